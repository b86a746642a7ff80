"""How the messages of EntitlementService become claims, on every door."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.decision import Claim
from gateway.errors import InvalidRequestError, Violation

if TYPE_CHECKING:
    from gateway.v1 import entitlement_pb2

BATCH_MAX: Final = 1000


def claim_of(request: entitlement_pb2.CheckEntitlementRequest) -> Claim:
    """Read a claim; raises InvalidRequestError naming every field that is wrong."""
    return Claim(
        customer=request.customer,
        feature=request.feature,
        quantity=request.quantity if request.HasField("quantity") else 1,
        peek=request.peek,
        idempotency_key=request.idempotency_key,
        dimensions=tuple(sorted(request.dimensions.items())) if request.dimensions else (),
        subject=request.subject,
    )


def claims_of(request: entitlement_pb2.BatchCheckEntitlementsRequest) -> list[Claim]:
    """Read a batch whole, before any claim of it is decided; a field's path says which claim is wrong."""
    if not 1 <= len(request.claims) <= BATCH_MAX:
        count = len(request.claims)
        raise InvalidRequestError(Violation("claims", f"there are {count}; expected 1 to {BATCH_MAX}"))
    claims: list[Claim] = []
    wrong: list[Violation] = []
    for index, asked in enumerate(request.claims):
        try:
            claims.append(claim_of(asked))
        except InvalidRequestError as error:
            wrong += [Violation(f"claims[{index}].{one.field}", one.description) for one in error.violations]
    if wrong:
        raise InvalidRequestError(*wrong)
    return claims
