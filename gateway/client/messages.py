"""What a gate says and hears, as messages: the one place of this room that knows both sides of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gateway.decision import Decision, LimitKind, LimitState, Reason
from gateway.v1 import entitlement_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping


class Asked(NamedTuple):
    """A claim as a caller makes it; what is None is the gateway's to fill in."""

    customer: str
    feature: str
    quantity: int | None = None
    idempotency_key: str = ""
    dimensions: Mapping[str, str] | None = None
    subject: str = ""
    peek: bool = False

    def message(self) -> entitlement_pb2.CheckEntitlementRequest:
        """Write it."""
        return entitlement_pb2.CheckEntitlementRequest(
            customer=self.customer,
            feature=self.feature,
            quantity=self.quantity,
            idempotency_key=self.idempotency_key,
            dimensions=self.dimensions,
            subject=self.subject,
            peek=self.peek,
        )


def decision_of(answered: entitlement_pb2.CheckEntitlementResponse) -> Decision:
    """Read a decision; a number that does not apply is None."""
    return Decision(
        allowed=answered.allowed,
        reason=Reason(answered.reason),
        decision_id=answered.decision_id,
        plan=answered.plan,
        limit=answered.limit if answered.HasField("limit") else None,
        used=answered.used if answered.HasField("used") else None,
        remaining=answered.remaining if answered.HasField("remaining") else None,
        resets_at_ms=answered.resets_at_ms if answered.HasField("resets_at_ms") else None,
        retry_after_ms=answered.retry_after_ms if answered.HasField("retry_after_ms") else None,
        overage=answered.overage if answered.HasField("overage") else None,
        value=answered.value,
        degraded=answered.degraded,
        replayed=answered.replayed,
        upgrade_plans=tuple(answered.upgrade_plans),
        limits=tuple(_limit_of(limit) for limit in answered.limits),
    )


def _limit_of(told: entitlement_pb2.LimitState) -> LimitState:
    return LimitState(
        name=told.name,
        kind=LimitKind(told.kind),
        limit=told.limit if told.HasField("limit") else None,
        used=told.used if told.HasField("used") else None,
        remaining=told.remaining if told.HasField("remaining") else None,
        resets_at_ms=told.resets_at_ms if told.HasField("resets_at_ms") else None,
        retry_after_ms=told.retry_after_ms if told.HasField("retry_after_ms") else None,
        reason=Reason(told.reason),
    )
