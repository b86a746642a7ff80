"""The table of what the lane answers: EntitlementService and Health, each method a function of its call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse

from gateway.claims import BATCH_MAX, claim_of, claims_of
from gateway.errors import IdempotencyKeyReusedError, MalformedMessageError, NotFoundError, TollkeeperError
from gateway.lane.call import Method
from gateway.lane.messages import answer_bytes, batch_bytes, claims_in
from gateway.lane.remembered import Remembered
from gateway.status import status_of
from gateway.v1.entitlement_pb2 import BatchCheckEntitlementsRequest, CheckEntitlementRequest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeVar

    from google.protobuf.message import Message

    from gateway.checker import Checker, Told
    from gateway.lane.call import Call
    from gateway.prepared import Prepared

    Request = TypeVar("Request", bound=Message)

CLAIMS_MAX: Final = 65_536
"""Claims that are kept compiled: some 1,000 bytes each, 64 MB at the most, where so many are asked again and again."""


class Entitlements:
    """The unary methods of gateway.v1.EntitlementService."""

    def __init__(self, checker: Checker) -> None:
        self._checker = checker
        self._claims: Remembered[Prepared] = Remembered(CLAIMS_MAX)

    def check(self, call: Call) -> None:
        """Decide one claim."""
        self._checker.submit(self._prepared(call, call.message), _answer, call)

    def batch_check(self, call: Call) -> None:
        """Decide every claim for itself."""
        parts = claims_in(call.message)
        try:
            alike = {part: self._prepared(call, part) for part in set(parts)} if len(parts) <= BATCH_MAX else {}
        except TollkeeperError:
            alike = {}
        prepared = [alike[part] for part in parts] if alike else self._read_whole(call)
        self._checker.submit_batch(prepared, _answer_batch, call)

    def _prepared(self, call: Call, message: bytes) -> Prepared:
        """Read a claim, or know it again."""
        prepared = self._claims.get(message)
        if prepared is None:
            request = _parsed(CheckEntitlementRequest, message)
            call.caller.check_customer(request.customer)  # before anything is said of the claim, as on the other door
            claim = claim_of(request)
            prepared = self._checker.prepare(claim)
            if not claim.idempotency_key:  # a key comes once, or once more
                self._claims.hold(message, prepared)
        elif call.caller.customers is not None:
            call.caller.check_customer(prepared.claim.customer)
        return prepared

    def _read_whole(self, call: Call) -> list[Prepared]:
        """Read a batch that cannot be read claim by claim, and say what is wrong with it and where."""
        request = _parsed(BatchCheckEntitlementsRequest, call.message)
        for claimed in request.claims:
            call.caller.check_customer(claimed.customer)
        return [self._checker.prepare(claim) for claim in claims_of(request)]


def _answer(call: Call, told: Told) -> None:
    if isinstance(told, IdempotencyKeyReusedError):
        call.fail(told)
    else:
        call.answer(answer_bytes(told))


def _answer_batch(call: Call, told: Iterable[Told]) -> None:
    call.answer(batch_bytes(status_of(one) if isinstance(one, IdempotencyKeyReusedError) else one for one in told))


class Health:
    """The unary methods of grpc.health.v1.Health."""

    def __init__(self) -> None:
        self.serving = True
        self._services: list[str] = []

    def answers_for(self, table: dict[bytes, Method]) -> None:
        """Speak for the services of a table, and for the whole."""
        self._services = ["", *dict.fromkeys(path.decode().split("/")[1] for path in table)]

    def check(self, call: Call) -> None:
        """Say how one service is."""
        service = _parsed(HealthCheckRequest, call.message).service
        if service not in self._services:
            raise NotFoundError(f"service {service[:64]!r}")
        call.answer(self._status().SerializeToString())

    def list(self, call: Call) -> None:
        """Say how every service is."""
        _parsed(HealthListRequest, call.message)
        statuses = {service: self._status() for service in self._services}
        call.answer(HealthListResponse(statuses=statuses).SerializeToString())

    def _status(self) -> HealthCheckResponse:
        serving = HealthCheckResponse.SERVING if self.serving else HealthCheckResponse.NOT_SERVING
        return HealthCheckResponse(status=serving)


def methods(entitlements: Entitlements, health: Health, role: Any) -> dict[bytes, Method]:
    """List every method by its path; who asks for an entitlement needs `role`."""
    table = {
        b"/gateway.v1.EntitlementService/CheckEntitlement": Method(entitlements.check, role, punctual=True),
        b"/gateway.v1.EntitlementService/BatchCheckEntitlements": Method(entitlements.batch_check, role, punctual=True),
        b"/grpc.health.v1.Health/Check": Method(health.check),
        b"/grpc.health.v1.Health/List": Method(health.list),
    }
    health.answers_for(table)
    return table


def _parsed(kind: type[Request], message: bytes) -> Request:
    try:
        return kind.FromString(message)
    except DecodeError as error:
        raise MalformedMessageError(kind.DESCRIPTOR.full_name) from error
