"""Which usage that is told afterwards is taken: written down once, and counted where its window may still be open."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from billing_core.entitlements import Limit, MeteredFeature
from billing_core.periods import milliseconds_of
from gateway.catalog_file import parse_catalog, parse_entitlement
from gateway.counters.keys import tag
from gateway.counters.record import MOVES_MAX
from gateway.decision import QUANTITY_MAX, dimension_violations, identifier_violations, keyed_event_id
from gateway.errors import (
    IdempotencyKeyReusedError,
    InvalidRequestError,
    NotFoundError,
    PreconditionError,
    TollkeeperError,
    Violation,
)
from gateway.records import catalogs, events, outbox, terms, usage
from gateway.records.usage import EventRow, Kind, Move
from gateway.thresholds import Thresholds
from gateway.windows import COMPUTED_MS, Calendar, Timeline, zone_named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from billing_core.catalog import Catalog, Plan
    from gateway.records.database import Connection, Database
    from gateway.records.outbox import OutboxMove
    from gateway.records.terms import CustomerTerms, SubscriptionTerms

BATCH_MAX: Final = 1_000
OLD_MAX: Final = timedelta(days=35)
AHEAD_MAX: Final = timedelta(minutes=5)
PLANS_MAX: Final = 1_000

_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class LateUse:
    """A use that was not asked for when it happened; without a moment it is told at once."""

    idempotency_key: str
    customer: str
    feature: str
    quantity: int
    at: datetime | None = None
    dimensions: Mapping[str, str] = field(default_factory=dict)
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a use: written down, now or before (`replayed`), or why not."""

    event_id: str = ""
    replayed: bool = False
    error: TollkeeperError | None = None


@dataclass(frozen=True, slots=True)
class _Counted:
    """A use as it is written down, and what its live counters would hear."""

    row: EventRow
    live: tuple[OutboxMove, ...]


class Ingesting:
    """Takes batches; remembers what plans' versions were sold as."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._calendar = Calendar()
        self._thresholds = Thresholds()
        self._sold: dict[tuple[str, int], Catalog] = {}

    async def ingest(self, uses: Sequence[LateUse]) -> list[Taken]:
        """Take 1 to 1,000 uses, each for itself, all that are taken in one transaction.

        Raises InvalidRequestError for another number of them, StoreUnavailableError; what is wrong with one use stands
        in its place in the answer.
        """
        if not 1 <= len(uses) <= BATCH_MAX:
            raise InvalidRequestError(Violation("events", f"there are {len(uses)}; expected 1 to {BATCH_MAX}"))
        now = datetime.now(UTC)
        wrong = [_violations(use, now) for use in uses]
        valid = [use for use, found in zip(uses, wrong, strict=True) if not found]
        async with self._database.transaction() as transaction:
            customers = sorted({use.customer for use in valid})
            await events.hold_customers(transaction, customers)
            known = {one.customer: one for one in await terms.documents(transaction, customers)}
            ids = [keyed_event_id(use.customer, use.idempotency_key) for use in valid]
            there = await events.find(transaction, ids)
            taken, fresh = [], dict[str, _Counted]()
            for use, found in zip(uses, wrong, strict=True):
                try:
                    if found:
                        raise InvalidRequestError(*found)
                    taken.append(await self._take(transaction, use, known.get(use.customer), there, fresh, now))
                except TollkeeperError as error:
                    taken.append(Taken(error=error))
            await self._write(transaction, fresh, known)
        return taken

    async def _take(
        self,
        transaction: Connection,
        use: LateUse,
        owner: CustomerTerms | None,
        there: Mapping[str, EventRow],
        fresh: dict[str, _Counted],
        now: datetime,
    ) -> Taken:
        """Decide about one use: 1. of whom and what; 2. whether it is there already; 3. what it counts on."""
        if owner is None:
            raise NotFoundError(f"customer {use.customer}")
        if owner.subscription is None:
            raise PreconditionError(f"customer {use.customer} has no subscription; create one first")
        event_id = keyed_event_id(use.customer, use.idempotency_key)
        before = there.get(event_id) or (fresh[event_id].row if event_id in fresh else None)
        if before is not None:
            if not _same(use, before):
                raise IdempotencyKeyReusedError
            return Taken(event_id, replayed=True)
        sold = await self._sold_as(transaction, owner.subscription)
        feature = sold.features.get(use.feature)
        if not isinstance(feature, MeteredFeature):
            why = "is not metered" if feature else f"is not in plan {owner.subscription.plan}"
            raise InvalidRequestError(Violation("feature", f"{use.feature} {why}; expected a metered feature of it"))
        at = use.at or now
        limit = _limit(use, owner, sold.plans[owner.subscription.plan], feature, at)
        counted = (
            self._moves(use, owner, limit, sold.plans[owner.subscription.plan], milliseconds_of(at)) if limit else []
        )
        moves = tuple(Move(counter, start, amount) for counter, start, _, amount in counted)
        is_kept = limit is not None and limit.rollover is not None  # its window is opened by who counts what was left
        live = [
            (counter, start, 0 if is_kept else end, amount)
            for counter, start, end, amount in counted
            if end > milliseconds_of(now)
        ]
        row = EventRow(
            *(event_id, at, use.customer, use.feature, feature.meter, use.quantity, owner.document_version),
            kind=Kind.INGESTED,
            dimensions=dict(use.dimensions) or None,
            subject=use.subject or None,
            moves=moves,
        )
        fresh[event_id] = _Counted(row, tuple(live))
        return Taken(event_id)

    def _moves(self, use: LateUse, owner: CustomerTerms, limit: Limit, plan: Plan, at_ms: int) -> list[OutboxMove]:
        """Say what it counts on: the limit in the window of its moment, and the part for a dimension's value."""
        assert owner.subscription is not None
        anchor_ms = milliseconds_of(owner.subscription.anchor)
        timeline = Timeline(zone_named(owner.timezone), anchor_ms, plan.billing_interval)
        start_ms, end_ms, _ = self._calendar.running(limit.window, limit.align, timeline, at_ms)
        if not start_ms:
            start_ms = at_ms - at_ms % COMPUTED_MS[limit.window]
            end_ms += start_ms
        counters = [f"{use.feature}:{limit.window.value}"]
        if limit.by is not None and (value := use.dimensions.get(limit.by.dimension)) is not None:
            own = f"{limit.by.dimension}={value}" if value in limit.by.ceilings else limit.by.dimension
            counters.append(f"{counters[0]}:{own}")
        return [(counter, start_ms, end_ms, use.quantity) for counter in counters]

    async def _sold_as(self, transaction: Connection, subscription: SubscriptionTerms) -> Catalog:
        key = subscription.plan, subscription.plan_version
        if key not in self._sold:
            stored = await catalogs.plan_version(transaction, *key)
            assert stored is not None, "a subscription names a plan version that exists"
            if len(self._sold) >= PLANS_MAX:
                self._sold.clear()
            self._sold[key] = await asyncio.to_thread(parse_catalog, stored.definition)
        return self._sold[key]

    async def _write(
        self, transaction: Connection, fresh: Mapping[str, _Counted], known: Mapping[str, CustomerTerms]
    ) -> None:
        """Write rows, totals, levels and what live counters must hear, bucket by bucket, so that two never deadlock."""
        by_bucket = defaultdict[str, list[_Counted]](list)
        for one in fresh.values():
            by_bucket[tag(known[one.row.customer].bucket)].append(one)
        for bucket, counted in sorted(by_bucket.items()):
            changed = await usage.write(transaction, bucket, [one.row for one in counted])
            await self._thresholds.cross(transaction, changed)
            written = await events.find(transaction, [one.row.event_id for one in counted])
            by_customer = defaultdict[str, list[_Counted]](list)
            for one in counted:
                if written[one.row.event_id].kind is Kind.INGESTED:  # else a check was written down in this moment
                    by_customer[one.row.customer].append(one)
            for customer, ours in sorted(by_customer.items()):
                told = _summed(ours)
                for at in range(0, len(told), MOVES_MAX):
                    place = bucket, customer, known[customer].document_version
                    await outbox.add(transaction, *place, ours[0].row.event_id, told[at : at + MOVES_MAX])


def _limit(use: LateUse, owner: CustomerTerms, plan: Plan, feature: MeteredFeature, at: datetime) -> Limit | None:
    """Find the limit that held at a use's moment: the customer's own, else its plan's."""
    given = plan.entitlements.get(use.feature)
    for override in owner.overrides:
        if override.feature == use.feature and (override.expires_at is None or at < override.expires_at):
            given = parse_entitlement(override.entitlement, feature)
    return given if isinstance(given, Limit) else None


def _summed(counted: Sequence[_Counted]) -> list[OutboxMove]:
    """Add up what goes into one window of one counter, as far as a counter can hold it."""
    amounts = defaultdict[tuple[str, int, int], int](int)
    for one in counted:
        for counter, start_ms, end_ms, amount in one.live:
            amounts[counter, start_ms, end_ms] += amount
    return [(*place, min(amount, QUANTITY_MAX)) for place, amount in amounts.items()]


def _same(use: LateUse, before: EventRow) -> bool:
    """Tell whether what is written down under a key is what is told now."""
    said = (use.customer, use.feature, use.quantity, dict(use.dimensions), use.subject)
    written = (before.customer, before.feature, before.quantity, dict(before.dimensions or {}), before.subject or "")
    return said == written and (use.at is None or before.kind is not Kind.INGESTED or use.at == before.at)


def _violations(use: LateUse, now: datetime) -> list[Violation]:
    wrong = [
        *identifier_violations("customer", use.customer),
        *identifier_violations("feature", use.feature),
        *(identifier_violations("subject", use.subject) if use.subject else ()),
    ]
    if not _KEY.fullmatch(use.idempotency_key):
        wrong.append(Violation("idempotency_key", "is not 1 to 255 printable ASCII characters; expected a key"))
    if not 1 <= use.quantity <= QUANTITY_MAX:
        wrong.append(Violation("quantity", f"{use.quantity} is out of range; expected 1 to 2^53-1"))
    if use.at is not None and use.at < now - OLD_MAX:
        wrong.append(Violation("at", f"is more than {OLD_MAX.days} days ago; expected a moment since"))
    if use.at is not None and use.at > now + AHEAD_MAX:
        wrong.append(Violation("at", f"is more than {AHEAD_MAX.seconds // 60} minutes ahead; expected a moment before"))
    wrong += dimension_violations(tuple(use.dimensions.items()))
    return wrong
