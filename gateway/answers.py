"""How what was decided becomes messages of EntitlementService, on every door."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.counters import settle
from gateway.errors import NotFoundError, StoreUnavailableError
from gateway.v1 import entitlement_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.counters.settle import Settled
    from gateway.decision import Decision, LimitState

_STATES: Final = {
    settle.OPEN: entitlement_pb2.HELD,
    settle.COMMITTED: entitlement_pb2.COMMITTED,
    settle.RELEASED: entitlement_pb2.RELEASED,
    settle.COMMITTED_LATE: entitlement_pb2.COMMITTED_LATE,
    settle.EXPIRED: entitlement_pb2.EXPIRED,
}


def response_of(decision: Decision) -> entitlement_pb2.CheckEntitlementResponse:
    """Write a decision; what does not apply stays absent."""
    return entitlement_pb2.CheckEntitlementResponse(
        allowed=decision.allowed,
        reason=entitlement_pb2.Reason.ValueType(decision.reason),
        limit=decision.limit,
        used=decision.used,
        remaining=decision.remaining,
        resets_at_ms=decision.resets_at_ms,
        retry_after_ms=decision.retry_after_ms,
        value=decision.value,
        overage=decision.overage,
        degraded=decision.degraded,
        replayed=decision.replayed,
        decision_id=decision.decision_id,
        plan=decision.plan,
        upgrade_plans=decision.upgrade_plans,
        limits=[_limit(state) for state in decision.limits],
    )


def reserved(decision: Decision) -> entitlement_pb2.ReserveQuotaResponse:
    """Write a decision with what it holds."""
    response = entitlement_pb2.ReserveQuotaResponse(decision=response_of(decision))
    if decision.held is not None:
        response.reservation = decision.decision_id
        response.expires_at_ms, response.ttl_ms = decision.held.expires_at_ms, decision.held.ttl_ms
    return response


def settled(customer: str, reservation: str, said: Settled) -> entitlement_pb2.ReservationResponse:
    """Write what became of a reservation.

    Raises NotFoundError when there is none of that name, PreconditionError when it has ended otherwise than was asked,
    StoreUnavailableError when nobody can tell.
    """
    if said.kind == settle.UNKNOWN:
        raise NotFoundError(f"reservation {reservation} of customer {customer}")
    if said.how not in _STATES:
        raise StoreUnavailableError("nobody can tell what became of the reservation; ask again")
    open_until_ms = said.at_ms if said.how == settle.OPEN else None
    return entitlement_pb2.ReservationResponse(
        state=_STATES[said.how],
        quantity=said.quantity,
        expires_at_ms=open_until_ms,
        replayed=said.kind == settle.ENDED_BEFORE,
    )


def entitlements(features: Sequence[str], decisions: Sequence[Decision]) -> entitlement_pb2.ListEntitlementsResponse:
    """Write what a check of one unit of each feature would be answered."""
    response = entitlement_pb2.ListEntitlementsResponse(plan=decisions[0].plan if decisions else "")
    for feature, decision in zip(features, decisions, strict=True):
        response.entitlements.add(feature=feature, decision=response_of(decision))
    return response


def _limit(state: LimitState) -> entitlement_pb2.LimitState:
    return entitlement_pb2.LimitState(
        name=state.name,
        kind=entitlement_pb2.LimitKind.ValueType(state.kind),
        limit=state.limit,
        used=state.used,
        remaining=state.remaining,
        resets_at_ms=state.resets_at_ms,
        retry_after_ms=state.retry_after_ms,
        reason=entitlement_pb2.Reason.ValueType(state.reason),
    )
