"""How the messages of EntitlementService become claims, on every door."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from gateway.counters.settle import Commit, Extend, Release
from gateway.decision import HOLD_MS_MAX, HOLD_MS_MIN, QUANTITY_MAX, Claim, identifier_violations
from gateway.errors import InvalidRequestError, Violation

if TYPE_CHECKING:
    from gateway.v1 import entitlement_pb2

BATCH_MAX: Final = 1000
ATOMIC_MAX: Final = 64
"""What one call of the script takes."""

_RESERVATION: Final = re.compile(r"[a-z0-9-]{1,64}")


def claim_of(request: entitlement_pb2.CheckEntitlementRequest, hold_ms: int | None = None) -> Claim:
    """Read a claim; raises InvalidRequestError naming every field that is wrong."""
    return Claim(
        customer=request.customer,
        feature=request.feature,
        quantity=request.quantity if request.HasField("quantity") else 1,
        peek=request.peek,
        idempotency_key=request.idempotency_key,
        dimensions=tuple(sorted(request.dimensions.items())) if request.dimensions else (),
        subject=request.subject,
        hold_ms=hold_ms,
    )


def reserve_of(request: entitlement_pb2.ReserveQuotaRequest) -> Claim:
    """Read a claim that is to be held; raises InvalidRequestError as above."""
    if request.claim.peek:
        raise InvalidRequestError(Violation("claim.peek", "is true; expected a claim that is counted"))
    if request.HasField("ttl_ms") and not HOLD_MS_MIN <= request.ttl_ms <= HOLD_MS_MAX:
        raise InvalidRequestError(_ttl_violation(request.ttl_ms))
    return claim_of(request.claim, hold_ms=request.ttl_ms)


def extend_of(request: entitlement_pb2.ExtendReservationRequest) -> tuple[str, str, Extend]:
    """Read whose reservation is to be kept, which, and for how long."""
    wrong = _reservation_violations(request.customer, request.reservation)
    if not HOLD_MS_MIN <= request.ttl_ms <= HOLD_MS_MAX:
        wrong.append(_ttl_violation(request.ttl_ms))
    if wrong:
        raise InvalidRequestError(*wrong)
    return request.customer, request.reservation, Extend(request.ttl_ms)


def commit_of(request: entitlement_pb2.CommitReservationRequest) -> tuple[str, str, Commit]:
    """Read whose reservation is over, which, and what was used."""
    wrong = _reservation_violations(request.customer, request.reservation)
    if not request.HasField("quantity"):
        wrong.append(Violation("quantity", "is missing; expected what was really used, 0 to 2^53-1"))
    elif not 0 <= request.quantity <= QUANTITY_MAX:
        wrong.append(Violation("quantity", f"{request.quantity} is out of range; expected 0 to 2^53-1"))
    if wrong:
        raise InvalidRequestError(*wrong)
    return request.customer, request.reservation, Commit(request.quantity)


def release_of(request: entitlement_pb2.ReleaseReservationRequest) -> tuple[str, str, Release]:
    """Read whose reservation is over, and which."""
    if wrong := _reservation_violations(request.customer, request.reservation):
        raise InvalidRequestError(*wrong)
    return request.customer, request.reservation, Release()


def _reservation_violations(customer: str, reservation: str) -> list[Violation]:
    wrong = identifier_violations("customer", customer)
    if not _RESERVATION.fullmatch(reservation):
        wrong.append(Violation("reservation", "is no reservation's name; expected the one that ReserveQuota answered"))
    return wrong


def _ttl_violation(ttl_ms: int) -> Violation:
    return Violation("ttl_ms", f"{ttl_ms} is out of range; expected {HOLD_MS_MIN} to {HOLD_MS_MAX}")


def claims_of(request: entitlement_pb2.BatchCheckEntitlementsRequest) -> list[Claim]:
    """Read a batch whole, before any claim of it is decided; a field's path says which claim is wrong."""
    most = ATOMIC_MAX if request.atomic else BATCH_MAX
    if not 1 <= len(request.claims) <= most:
        raise InvalidRequestError(Violation("claims", f"there are {len(request.claims)}; expected 1 to {most}"))
    claims: list[Claim] = []
    wrong: list[Violation] = []
    for index, asked in enumerate(request.claims):
        try:
            claims.append(claim_of(asked))
        except InvalidRequestError as error:
            wrong += [Violation(f"claims[{index}].{one.field}", one.description) for one in error.violations]
    if request.atomic and len({claim.customer for claim in claims}) > 1:
        wrong.append(Violation("claims", "are of several customers; expected one when all or none are to be counted"))
    if wrong:
        raise InvalidRequestError(*wrong)
    return claims
