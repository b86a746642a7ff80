"""The hot path on one screen: entitlement → counters → decision, with at most one question to Redis."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Final

from gateway.counters.consume import Key, Order
from gateway.counters.usage import pack_claim
from gateway.decision import Absent, Limit, Reason, Setting, Switch, Tally, decide, decide_counted, degrade, refuse
from gateway.entitlements import Wanted, customer_document
from gateway.errors import IdempotencyKeyReusedError, StoreCorruptError, StoreUnavailableError
from gateway.telemetry import Event, Seldom
from gateway.windows import COMPUTED_MS, Calendar

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.counters.consume import Answer
    from gateway.counters.counting import Counters
    from gateway.counters.documents import Document, Documents
    from gateway.decision import Claim, Decision
    from gateway.entitlements import Entitlements, Subscriber

    Reply = Callable[[Decision | IdempotencyKeyReusedError], None]

TRIES_MAX: Final = 6
"""A document or a window may be found outdated this often in one check: more means that two parts disagree."""

_COUNTED: Final = frozenset((b"COUNTED", b"REPLAYED", b"PEEKED"))


class Checker:
    """Decides claims; everything it needs is in memory or one script away."""

    def __init__(
        self, entitlements: Entitlements, documents: Documents, counters: Counters, *, idempotency_ttl_ms: int
    ) -> None:
        self._entitlements = entitlements
        self._documents = documents
        self._counters = counters
        self._idempotency_ttl_ms = idempotency_ttl_ms
        self._calendar = Calendar()
        self._log = Seldom()
        self._time = asyncio.get_running_loop().time

    def submit(self, claim: Claim, reply: Reply, deadline_s: float, tries: int = TRIES_MAX) -> None:
        """Decide a claim; `reply` gets the decision once, no later than `deadline_s` on the loop's clock.

        The one error it may get instead is IdempotencyKeyReusedError.
        """
        reachable = self._documents.connected and tries > 0
        found = self._entitlements.find(claim.customer, self._time(), reachable=reachable)
        # 1. A document is missing or old: fetch it first. 2. No such customer, or no plan. 3. No such feature.
        # 4. Answered without a counter. 5. Counted.
        if isinstance(found, Wanted):
            if reachable:
                self._fetch(found.document, claim, reply, deadline_s, tries)
            else:
                reply(degrade())
            return
        if isinstance(found, Reason):
            reply(refuse(found))
            return
        plan, version = found.plan.name, found.version
        match found.plan.features.get(claim.feature):
            case None:
                reply(refuse(Reason.FEATURE_UNKNOWN, plan, version))
            case Switch() | Setting() | Absent() as entitlement:
                reply(decide(entitlement, plan, version))
            case Limit() as limit:
                self._count(found, limit, claim, reply, deadline_s, tries)

    def _count(self, who: Subscriber, limit: Limit, claim: Claim, reply: Reply, deadline_s: float, tries: int) -> None:
        length_ms = COMPUTED_MS.get(limit.window)
        if length_ms is None:
            interval = who.plan.billing_interval
            start_ms, end_ms = self._calendar.span(
                limit.window, self._counters.standing.now_ms(), who.anchor_ms, interval
            )
        else:
            start_ms, end_ms = 0, length_ms
        event = None
        if limit.meter is not None:
            event = pack_claim(claim.customer, claim.feature, limit.meter, claim.quantity, who.version)
        order = Order(
            bucket=who.bucket,
            customer=claim.customer,
            counter=f"{claim.feature}:{limit.window.value}",
            window_start_ms=start_ms,
            window_end_ms=end_ms,
            quantity=claim.quantity,
            version=who.version,
            ceiling=None if limit.overage else limit.ceiling,
            event=event,
            key=self._key(claim),
            peek=claim.peek,
        )

        def answered(answer: Answer) -> None:
            match answer.kind:
                case b"STALE" if tries:  # another gateway knows a newer document: fetch it
                    self._entitlements.forget(customer_document(claim.customer))
                    self.submit(claim, reply, deadline_s, tries - 1)
                case b"WRONG_WINDOW" if tries:  # our clock is not Redis's
                    self._counters.standing.tell_time(answer.now_ms)
                    self.submit(claim, reply, deadline_s, tries - 1)
                case b"KEY_REUSED":
                    reply(IdempotencyKeyReusedError(f"{claim.idempotency_key!r} of customer {claim.customer}"))
                case kind if kind in _COUNTED or kind == b"REFUSED":
                    window_end_ms = end_ms if length_ms is None else answer.window_start_ms + length_ms
                    tally = Tally(
                        admitted=kind in _COUNTED,
                        used=answer.used,
                        now_ms=answer.now_ms,
                        window_end_ms=window_end_ms,
                        event_id=answer.event_id,
                        replayed=kind == b"REPLAYED",
                    )
                    reply(decide_counted(limit, claim, tally, who.plan.name, who.version))
                case _:
                    reply(degrade(who.plan.name, who.version))

        self._counters.consume(order, answered, deadline_s)

    def _key(self, claim: Claim) -> Key | None:
        """Name the event after the client's key, and tell one request under that key from another."""
        if not claim.idempotency_key or claim.peek:
            return None
        named = f"l\0{claim.customer}\0{claim.idempotency_key}"
        asked = f"{claim.feature}\0{claim.quantity}"
        return Key(
            event_id=hashlib.sha256(named.encode()).hexdigest()[:32],
            fingerprint=hashlib.sha256(asked.encode()).hexdigest()[:16],
            remember_ms=self._idempotency_ttl_ms,
        )

    def _fetch(self, document: str, claim: Claim, reply: Reply, deadline_s: float, tries: int) -> None:
        """Fetch a document and submit the claim again; by its deadline it is answered without."""
        waiting = True

        def fetched(found: Document) -> None:
            nonlocal waiting
            if not waiting:
                return
            waiting = False
            timer.cancel()
            if isinstance(found, StoreUnavailableError):
                self.submit(claim, reply, deadline_s, 0)
                return
            try:
                self._entitlements.hold(document, found, self._time())
            except StoreCorruptError as error:
                self._log.warning(document, Event.DOCUMENT_REFUSED, key=document, error=str(error))
                reply(degrade())
                return
            self.submit(claim, reply, deadline_s, tries - 1)

        timer = asyncio.get_running_loop().call_at(
            deadline_s, lambda: fetched(StoreUnavailableError("the document did not come in time"))
        )
        self._documents.fetch(document, fetched)
