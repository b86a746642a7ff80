"""The table of what the lane answers: EntitlementService and Health, each method a function of its call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse

from gateway import answers
from gateway.claims import BATCH_MAX, claim_of, claims_of, commit_of, extend_of, release_of, reserve_of
from gateway.decision import Decision, identifier_violations
from gateway.errors import InvalidRequestError, MalformedMessageError, NotFoundError, TollkeeperError
from gateway.lane.call import Method
from gateway.lane.messages import batch_bytes, claims_in, decision_bytes
from gateway.lane.remembered import Remembered
from gateway.status import status_of
from gateway.v1.entitlement_pb2 import (
    BatchCheckEntitlementsRequest,
    CheckEntitlementRequest,
    CommitReservationRequest,
    ExtendReservationRequest,
    ListEntitlementsRequest,
    ReleaseReservationRequest,
    ReserveQuotaRequest,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TypeVar

    from google.protobuf.message import Message

    from gateway.checker import Checker, Told
    from gateway.counters.settle import Action, Settled
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
        prepared = self._claims.get(call.message)
        if prepared is None:
            request = _parsed(CheckEntitlementRequest, call.message)
            call.caller.check_customer(request.customer)  # before anything is said of the claim, as on the other door
            claim = claim_of(request)
            prepared = self._checker.prepare(claim)
            if not claim.idempotency_key:  # a key comes once, or once more
                self._claims.hold(call.message, prepared)
        elif call.caller.customers is not None:
            call.caller.check_customer(prepared.claim.customer)
        self._checker.submit(prepared, _answer, call)

    def batch_check(self, call: Call) -> None:
        """Decide every claim for itself."""
        parts = claims_in(call.message)
        known = [self._claims.get(part) for part in parts[:BATCH_MAX]]
        prepared: Sequence[Prepared] = [one for one in known if one is not None]
        if not parts or len(prepared) < len(parts):
            request = _parsed(BatchCheckEntitlementsRequest, call.message)
            prepared = self._prepared(call, request, parts)
            if request.atomic:
                self._checker.submit_atomic(prepared, _answer_batch, call)
                return
        elif call.caller.customers is not None:
            for one in prepared:
                call.caller.check_customer(one.claim.customer)
        self._checker.submit_batch(prepared, _answer_batch, call)

    def reserve(self, call: Call) -> None:
        """Hold what is claimed."""
        request = _parsed(ReserveQuotaRequest, call.message)
        call.caller.check_customer(request.claim.customer)
        self._checker.submit(self._checker.prepare(reserve_of(request)), _answer_reserved, call)

    def extend(self, call: Call) -> None:
        """Keep a reservation longer."""
        request = _parsed(ExtendReservationRequest, call.message)
        call.caller.check_customer(request.customer)
        self._settle(call, *extend_of(request))

    def commit(self, call: Call) -> None:
        """Count what was really used."""
        request = _parsed(CommitReservationRequest, call.message)
        call.caller.check_customer(request.customer)
        self._settle(call, *commit_of(request))

    def release(self, call: Call) -> None:
        """Give back what is held."""
        request = _parsed(ReleaseReservationRequest, call.message)
        call.caller.check_customer(request.customer)
        self._settle(call, *release_of(request))

    def list(self, call: Call) -> None:
        """Peek at every feature."""
        request = _parsed(ListEntitlementsRequest, call.message)
        call.caller.check_customer(request.customer)
        if wrong := identifier_violations("customer", request.customer):
            raise InvalidRequestError(*wrong)
        self._checker.list_features(request.customer, _answer_listed, call)

    def _settle(self, call: Call, customer: str, reservation: str, action: Action) -> None:
        def answer(call: Call, told: Settled | TollkeeperError) -> None:
            if isinstance(told, TollkeeperError):
                call.fail(told)
                return
            try:
                response = answers.settled(customer, reservation, told)
            except TollkeeperError as error:
                call.fail(error)
            else:
                call.answer(response.SerializeToString())

        self._checker.settle(customer, reservation, action, answer, call)

    def _prepared(
        self, call: Call, request: BatchCheckEntitlementsRequest, parts: Sequence[bytes]
    ) -> Sequence[Prepared]:
        """Read a batch whole, and keep its claims as those are that come alone: their bytes are the same."""
        for claimed in request.claims:
            call.caller.check_customer(claimed.customer)
        claims = claims_of(request)
        prepared = [self._checker.prepare(claim) for claim in claims]
        if len(parts) == len(prepared):
            for part, one in zip(parts, prepared, strict=True):
                if not one.claim.idempotency_key:
                    self._claims.hold(part, one)
        return prepared


def _answer(call: Call, told: Told) -> None:
    if isinstance(told, Decision):
        call.answer(decision_bytes(told))
    else:
        call.fail(told)


def _answer_batch(call: Call, told: Iterable[Told]) -> None:
    call.answer(batch_bytes(one if isinstance(one, Decision) else status_of(one) for one in told))


def _answer_reserved(call: Call, told: Told) -> None:
    if isinstance(told, Decision):
        call.answer(answers.reserved(told).SerializeToString())
    else:
        call.fail(told)


def _answer_listed(call: Call, told: tuple[list[str], list[Told]] | TollkeeperError) -> None:
    if isinstance(told, TollkeeperError):
        call.fail(told)
        return
    features, of_each = told
    decisions = [one for one in of_each if isinstance(one, Decision)]
    call.answer(answers.entitlements(features, decisions).SerializeToString())


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
    punctual = {
        b"CheckEntitlement": entitlements.check,
        b"BatchCheckEntitlements": entitlements.batch_check,
        b"ReserveQuota": entitlements.reserve,
        b"ExtendReservation": entitlements.extend,
        b"CommitReservation": entitlements.commit,
        b"ReleaseReservation": entitlements.release,
        b"ListEntitlements": entitlements.list,
    }
    service = b"/gateway.v1.EntitlementService/"
    table = {service + name: Method(submit, role, punctual=True) for name, submit in punctual.items()} | {
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
