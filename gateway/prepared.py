"""What a claim comes to: found out once, and good until a document of it is replaced or its window ends."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from gateway.counters.consume import REFUSED, REPLAYED, Key, Order
from gateway.counters.usage import pack_claim
from gateway.decision import Absent, Limit, Reason, Setting, Switch, Tally, decide, decide_counted, refuse
from gateway.windows import COMPUTED_MS, Calendar

if TYPE_CHECKING:
    from gateway.counters.consume import Answer
    from gateway.counters.standing import Standing
    from gateway.decision import Claim, Decision
    from gateway.entitlements import Customer, Plan, Subscriber


class Settled(NamedTuple):
    """A claim that is answered without a counter."""

    customer: Customer
    plan: Plan
    decision: Decision
    until_s: float = math.inf


class Counting(msgspec.Struct, eq=False):
    """A claim that is counted against a limit."""

    customer: Customer
    plan: Plan
    limit: Limit
    order: Order
    until_s: float
    """When its calendar window ends, on the loop's clock."""
    written: Any = None
    """What a door keeps of one answer to write the next."""


class Counted(msgspec.Struct, frozen=True, eq=False):
    """What the counters said of a claim that is counted; most often, a door needs no more to answer it."""

    found: Counting
    answer: Answer

    def decision(self) -> Decision:
        """Say what follows from it."""
        found, answer, order = self.found, self.answer, self.found.order
        window_end_ms = order.window_end_ms
        if not order.window_start_ms:  # it is the window's length
            window_end_ms += answer.window_start_ms
        tally = Tally(
            admitted=answer.kind != REFUSED,
            used=answer.used,
            now_ms=answer.now_ms,
            window_end_ms=window_end_ms,
            event_id=answer.event_id,
            replayed=answer.kind == REPLAYED,
        )
        return decide_counted(found.limit, order.quantity, tally, found.plan.name, order.version)


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
        match plan.features.get(claim.feature):
            case None:
                return Settled(customer, plan, refuse(Reason.FEATURE_UNKNOWN, plan.name, customer.version))
            case Switch() | Setting() | Absent() as entitlement:
                return Settled(customer, plan, decide(entitlement, plan.name, customer.version))
            case Limit() as limit:
                return self._counting(claim, who, limit, now_s)

    def _counting(self, claim: Claim, who: Subscriber, limit: Limit, now_s: float) -> Counting:
        customer, plan = who
        start_ms, end_ms, until_s = 0, COMPUTED_MS.get(limit.window, 0), math.inf
        if not end_ms:
            now_ms = self._standing.now_ms()
            start_ms, end_ms = self._calendar.span(limit.window, now_ms, customer.anchor_ms, plan.billing_interval)
            until_s = now_s + (end_ms - now_ms) / 1000
        event = None
        if limit.meter is not None:
            event = pack_claim(claim.customer, claim.feature, limit.meter, claim.quantity, customer.version)
        order = Order(
            bucket=customer.bucket,
            customer=claim.customer,
            counter=f"{claim.feature}:{limit.window.value}",
            window_start_ms=start_ms,
            window_end_ms=end_ms,
            quantity=claim.quantity,
            version=customer.version,
            ceiling=None if limit.overage else limit.ceiling,
            event=event,
            key=self._key(claim),
            peek=claim.peek,
        )
        return Counting(customer, plan, limit, order, until_s)

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
