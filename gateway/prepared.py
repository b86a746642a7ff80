"""What a claim comes to: found out once, and good until a document of it is replaced or its window ends."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from gateway.counters.order import Key, Order, Pool, Quota, Rolled
from gateway.counters.usage import pack_claim
from gateway.decision import Reason, decide, keyed_event_id, refuse
from gateway.errors import InvalidRequestError, Violation
from gateway.limits import Metered, NamedLicences, Rated, Slots, entitlement_of
from gateway.orders import Ordering
from gateway.tally import decide_counted
from gateway.windows import FOREVER_MS, Calendar

if TYPE_CHECKING:
    from gateway.counters.consume import Answer
    from gateway.counters.standing import Standing
    from gateway.decision import Claim, Decision
    from gateway.entitlements import Customer, Plan, Subscriber
    from gateway.orders import Countable
    from gateway.tally import Against

_RESERVE = 1
"""The kind of an event that holds and bills nothing yet."""


class Answered(NamedTuple):
    """A claim that is answered without a counter; with an error when it lacks what the feature needs."""

    customer: Customer
    plan: Plan
    told: Decision | InvalidRequestError
    until_s: float = math.inf


class Counting(msgspec.Struct, eq=False):
    """A claim that is counted against limits."""

    customer: Customer
    plan: Plan
    against: Against
    order: Order
    until_s: float
    """When its first calendar window ends, on the loop's clock."""
    written: Any = None
    """What a door keeps of one answer to write the next."""


class Counted(msgspec.Struct, frozen=True, eq=False):
    """What the counters said of a claim that is counted; most often, a door needs no more to answer it."""

    found: Counting
    answer: Answer

    def decision(self) -> Decision:
        """Say what follows from it."""
        found, order = self.found, self.found.order
        return decide_counted(found.against, self.answer, order.quantity, found.plan.name, order.version)


class Prepared:
    """A claim with what was last found out about it; doors keep one for each request that they see again."""

    __slots__ = ("claim", "found")

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.found: Answered | Counting | None = None


class Preparing:
    """Finds out what claims come to."""

    def __init__(self, standing: Standing, idempotency_ttl_ms: int) -> None:
        self._standing = standing
        self._idempotency_ttl_ms = idempotency_ttl_ms
        self._calendar = Calendar()

    def find_out(self, claim: Claim, who: Subscriber, now_s: float) -> Answered | Counting:
        """Return what a claim of this customer comes to from now on."""
        customer, plan = who
        offer = plan.features.get(claim.feature)
        if offer is None:
            return Answered(customer, plan, refuse(Reason.FEATURE_UNKNOWN, plan.name, customer.version))
        now_ms = self._standing.now_ms()
        found = entitlement_of(offer, customer.particulars, self._calendar, who.timeline, now_ms)

        def until_s(until_ms: int) -> float:
            return math.inf if until_ms == FOREVER_MS else now_s + (until_ms - now_ms) / 1000

        match found.entitlement:
            case Metered() | Rated() | Slots() | NamedLicences() as entitlement:
                if isinstance(entitlement, NamedLicences) and not claim.subject:
                    nobody = InvalidRequestError(Violation("subject", "is empty; expected who uses the licence"))
                    return Answered(customer, plan, nobody, until_s(found.until_ms))
                against = Ordering(self._calendar, who, claim, now_ms).against(entitlement)
                order = self._order(claim, customer, entitlement, against)
                return Counting(customer, plan, against, order, until_s(min(found.until_ms, against.until_ms)))
            case entitlement:
                decision = decide(entitlement, plan.name, customer.version, claim.quantity)
                return Answered(customer, plan, decision, until_s(found.until_ms))

    def _order(self, claim: Claim, customer: Customer, entitlement: Countable, against: Against) -> Order:
        """Pack a claim for the counters; of a slot that is not to be held it is only asked whether there is one."""
        return Order(
            bucket=customer.bucket,
            customer=claim.customer,
            limits=against.limits,
            quantity=claim.quantity,
            version=customer.version,
            event=_event(claim, customer.version, against),
            key=self._key(claim),
            peek=claim.peek or (isinstance(entitlement, Slots) and against.hold is None),
            hold=against.hold,
        )

    def _key(self, claim: Claim) -> Key | None:
        """Name the event after the client's key, and tell one request under that key from another."""
        if not claim.idempotency_key or claim.peek:
            return None
        asked = f"{claim.feature}\0{claim.quantity}"
        if claim.dimensions or claim.subject or claim.hold_ms is not None:
            asked += f"\0{claim.dimensions}\0{claim.subject}\0{claim.hold_ms}"
        return Key(
            event_id=keyed_event_id(claim.customer, claim.idempotency_key),
            fingerprint=hashlib.sha256(asked.encode()).hexdigest()[:16],
            remember_ms=self._idempotency_ttl_ms,
        )


def _event(claim: Claim, version: int, against: Against) -> bytes | None:
    """Write the constant part of the event; what has no meter and holds nothing leaves none."""
    if against.meter is None and against.hold is None:
        return None
    first = against.limits[0]
    assert isinstance(first, Quota | Pool), "what is metered or held counts on a quota or a pool"
    counted = first.members[first.base] if isinstance(first, Pool) else first
    assert not isinstance(counted, Rolled), "a pool's base is a member"
    return pack_claim(
        *(claim.customer, claim.feature, against.meter, claim.quantity, version, counted.counter),
        counted.span.start_ms,
        dimensions=dict(claim.dimensions),
        subject=claim.subject or None,
        kind=0 if against.hold is None else _RESERVE,
    )
