"""What a claim comes to: found out once, and good until a document of it is replaced or its window ends."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, NamedTuple

from billing_core.entitlements import Algorithm, Align
from gateway.counters.order import Key, Order, Quota, Span
from gateway.counters.usage import pack_claim
from gateway.decision import Limit, Reason, decide, degrade, keyed_event_id, refuse
from gateway.limits import Allowance, Metered, NamedLicences, Rate, Rated, Slots, entitlement_of
from gateway.windows import FOREVER_MS, Calendar

if TYPE_CHECKING:
    from gateway.counters.standing import Standing
    from gateway.decision import Claim, Decision
    from gateway.entitlements import Customer, Plan, Subscriber


class Settled(NamedTuple):
    """A claim that is answered without a counter."""

    customer: Customer
    plan: Plan
    decision: Decision
    until_s: float = math.inf


class Counting(NamedTuple):
    """A claim that is counted against a limit."""

    customer: Customer
    plan: Plan
    limit: Limit
    order: Order
    until_s: float
    """When its calendar window ends, on the loop's clock."""


class Prepared:
    """A claim with what was last found out about it; doors keep one for each request that they see again."""

    __slots__ = ("claim", "found")

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.found: Settled | Counting | None = None


class Preparing:
    """Finds out what claims come to."""

    def __init__(self, standing: Standing, idempotency_ttl_ms: int) -> None:
        self._standing = standing
        self._idempotency_ttl_ms = idempotency_ttl_ms
        self._calendar = Calendar()

    def find_out(self, claim: Claim, who: Subscriber, now_s: float) -> Settled | Counting:
        """Return what a claim of this customer comes to from now on."""
        customer, plan = who
        offer = plan.features.get(claim.feature)
        if offer is None:
            return Settled(customer, plan, refuse(Reason.FEATURE_UNKNOWN, plan.name, customer.version))
        now_ms = self._standing.now_ms()
        found = entitlement_of(offer, customer.particulars, self._calendar, who.timeline, now_ms)
        until_s = math.inf if found.until_ms == FOREVER_MS else now_s + (found.until_ms - now_ms) / 1000
        match found.entitlement:
            case Metered() | Rated() | Slots() | NamedLicences() as entitlement:
                limit = _only_limit(entitlement)
                if limit is None:  # what takes more than one counter is not counted yet, and so not allowed
                    return Settled(customer, plan, degrade(plan.name, customer.version), until_s)
                return self._counting(claim, who, limit, (now_ms, now_s), until_s)
            case entitlement:
                decision = decide(entitlement, plan.name, customer.version, claim.quantity)
                return Settled(customer, plan, decision, until_s)

    def _counting(
        self, claim: Claim, who: Subscriber, one: _Counted, now: tuple[int, float], until_s: float
    ) -> Counting:
        customer, plan = who
        limit, (now_ms, now_s) = one.limit, now
        start_ms, end_ms, _ = self._calendar.running(limit.window, one.align, who.timeline, now_ms)
        if start_ms:
            until_s = min(until_s, now_s + (end_ms - now_ms) / 1000)
        event = None
        if limit.meter is not None:
            event = pack_claim(
                *(claim.customer, claim.feature, limit.meter, claim.quantity, customer.version), one.counter, start_ms
            )
        order = Order(
            bucket=customer.bucket,
            customer=claim.customer,
            limits=(Quota(one.counter, Span(start_ms, end_ms), one.ceiling),),
            quantity=claim.quantity,
            version=customer.version,
            event=event,
            key=self._key(claim),
            peek=claim.peek,
        )
        return Counting(customer, plan, limit, order, until_s)

    def _key(self, claim: Claim) -> Key | None:
        """Name the event after the client's key, and tell one request under that key from another."""
        if not claim.idempotency_key or claim.peek:
            return None
        asked = f"{claim.feature}\0{claim.quantity}"
        return Key(
            event_id=keyed_event_id(claim.customer, claim.idempotency_key),
            fingerprint=hashlib.sha256(asked.encode()).hexdigest()[:16],
            remember_ms=self._idempotency_ttl_ms,
        )


class _Counted(NamedTuple):
    """A limit that one counter counts in windows, and where it refuses."""

    limit: Limit
    counter: str
    align: Align
    ceiling: int | None


def _only_limit(entitlement: Metered | Rated | Slots | NamedLicences) -> _Counted | None:
    """Return the limit of what has just one, in windows that begin anew."""
    match entitlement:
        case Metered(members=(Allowance(rollover=None) as one,), rates=(), by=None, beyond=beyond):
            limit = Limit(entitlement.meter, one.window, one.size, beyond != 0, entitlement.upgrade_plans)
            ceiling = None if one.size is None or beyond is None else one.size + beyond
            return _Counted(limit, one.counter, one.align, ceiling)
        case Rated(rates=(Rate(algorithm=Algorithm.FIXED) as rate,), upgrade_plans=upgrades):
            limit = Limit(None, rate.window, rate.ceiling, overage=False, upgrade_plans=upgrades)
            return _Counted(limit, rate.counter, Align.CALENDAR, rate.ceiling)
        case _:
            return None
