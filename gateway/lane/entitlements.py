"""The methods of gateway.v1.EntitlementService on this door: bytes to claims, and what is told to bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError

from gateway import answers
from gateway.claims import BATCH_MAX, claim_of, claims_of, commit_of, extend_of, release_of, reserve_of
from gateway.decision import Decision, identifier_violations
from gateway.errors import InvalidRequestError, MalformedMessageError, TollkeeperError
from gateway.lane.messages import answer_bytes, batch_bytes, claims_in
from gateway.lane.remembered import Remembered
from gateway.prepared import Counted
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
    """Each method hands its call to a checker, which answers it."""

    def __init__(self, checker: Checker) -> None:
        self._checker = checker
        self._claims: Remembered[Prepared] = Remembered(CLAIMS_MAX)

    def check(self, call: Call) -> None:
        """Decide one claim."""
        self._checker.submit(self._prepared(call, call.message), _answer, call)

    def batch_check(self, call: Call) -> None:
        """Decide every claim for itself, or all of them or none."""
        parts = claims_in(call.message)
        try:
            alike = {part: self._prepared(call, part) for part in set(parts)} if len(parts) <= BATCH_MAX else {}
        except TollkeeperError:
            alike = {}
        if alike:
            self._checker.submit_batch([alike[part] for part in parts], _answer_batch, call)
            return
        prepared, atomic = self._read_whole(call)
        submit = self._checker.submit_atomic if atomic else self._checker.submit_batch
        submit(prepared, _answer_batch, call)

    def reserve(self, call: Call) -> None:
        """Hold what is claimed."""
        request = parsed(ReserveQuotaRequest, call.message)
        call.caller.check_customer(request.claim.customer)
        self._checker.submit(self._checker.prepare(reserve_of(request)), _answer_reserved, call)

    def extend(self, call: Call) -> None:
        """Keep a reservation longer."""
        request = parsed(ExtendReservationRequest, call.message)
        call.caller.check_customer(request.customer)
        self._settle(call, *extend_of(request))

    def commit(self, call: Call) -> None:
        """Count what was really used."""
        request = parsed(CommitReservationRequest, call.message)
        call.caller.check_customer(request.customer)
        self._settle(call, *commit_of(request))

    def release(self, call: Call) -> None:
        """Give back what is held."""
        request = parsed(ReleaseReservationRequest, call.message)
        call.caller.check_customer(request.customer)
        self._settle(call, *release_of(request))

    def list_features(self, call: Call) -> None:
        """Peek at every feature."""
        request = parsed(ListEntitlementsRequest, call.message)
        call.caller.check_customer(request.customer)
        if wrong := identifier_violations("customer", request.customer):
            raise InvalidRequestError(*wrong)
        self._checker.list_features(request.customer, _answer_listed, call)

    def _prepared(self, call: Call, message: bytes) -> Prepared:
        """Read a claim, or know it again."""
        prepared = self._claims.get(message)
        if prepared is None:
            request = parsed(CheckEntitlementRequest, message)
            call.caller.check_customer(request.customer)  # before anything is said of the claim, as on the other door
            claim = claim_of(request)
            prepared = self._checker.prepare(claim)
            if not claim.idempotency_key:  # a key comes once, or once more
                self._claims.hold(message, prepared)
        elif call.caller.customers is not None:
            call.caller.check_customer(prepared.claim.customer)
        return prepared

    def _read_whole(self, call: Call) -> tuple[Sequence[Prepared], bool]:
        """Read a batch that cannot be read claim by claim, and say what is wrong with it and where."""
        request = parsed(BatchCheckEntitlementsRequest, call.message)
        for claimed in request.claims:
            call.caller.check_customer(claimed.customer)
        return [self._checker.prepare(claim) for claim in claims_of(request)], request.atomic

    def _settle(self, call: Call, customer: str, reservation: str, action: Action) -> None:
        def answer(call: Call, told: Settled | TollkeeperError) -> None:
            try:
                if isinstance(told, TollkeeperError):
                    raise told.with_traceback(None)
                response = answers.settled(customer, reservation, told)
            except TollkeeperError as error:
                call.fail(error)
            else:
                call.answer(response.SerializeToString())

        self._checker.settle(customer, reservation, action, answer, call)


def parsed(kind: type[Request], message: bytes) -> Request:
    """Read a message. Raises MalformedMessageError."""
    try:
        return kind.FromString(message)
    except DecodeError as error:
        raise MalformedMessageError(kind.DESCRIPTOR.full_name) from error


def _answer(call: Call, told: Told) -> None:
    if isinstance(told, TollkeeperError):
        call.fail(told)
    else:
        call.answer(answer_bytes(told))


def _answer_batch(call: Call, told: Iterable[Told]) -> None:
    call.answer(batch_bytes(status_of(one) if isinstance(one, TollkeeperError) else one for one in told))


def _answer_reserved(call: Call, told: Told) -> None:
    if isinstance(told, TollkeeperError):
        call.fail(told)
    else:
        call.answer(answers.reserved(_decision(told)).SerializeToString())


def _answer_listed(call: Call, told: tuple[list[str], list[Told]] | TollkeeperError) -> None:
    if isinstance(told, TollkeeperError):
        call.fail(told)
        return
    features, of_each = told
    decisions = [_decision(one) for one in of_each if not isinstance(one, TollkeeperError)]
    call.answer(answers.entitlements(features, decisions).SerializeToString())


def _decision(told: Decision | Counted) -> Decision:
    return told.decision() if isinstance(told, Counted) else told
