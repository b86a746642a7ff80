"""The methods of gateway.v1.EntitlementService on this door: what a checker is asked, and what it tells."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from gateway import answers
from gateway.claims import claim_of, claims_of, commit_of, extend_of, release_of, reserve_of
from gateway.decision import identifier_violations
from gateway.errors import InvalidRequestError, TollkeeperError
from gateway.prepared import Counted
from gateway.rpc.status import status_of
from gateway.v1 import entitlement_pb2

if TYPE_CHECKING:
    from gateway.checker import Checker, Told
    from gateway.counters.settle import Action, Settled
    from gateway.decision import Decision

Answered = TypeVar("Answered")


class Entitlements:
    """Each method waits for a checker that waits for nobody."""

    def __init__(self, checker: Checker) -> None:
        self._checker = checker

    async def check(
        self, request: entitlement_pb2.CheckEntitlementRequest, deadline_s: float
    ) -> entitlement_pb2.CheckEntitlementResponse:
        """Decide one claim."""
        asker: _Asker[Told] = _Asker(deadline_s)
        self._checker.submit(self._checker.prepare(claim_of(request)), _Asker.hear, asker)
        return answers.response_of(_decision(await asker.told()))

    async def batch_check(
        self, request: entitlement_pb2.BatchCheckEntitlementsRequest, deadline_s: float
    ) -> entitlement_pb2.BatchCheckEntitlementsResponse:
        """Decide every claim for itself, or all of them or none; those of a bucket are one question to Redis."""
        prepared = [self._checker.prepare(claim) for claim in claims_of(request)]
        asker: _Asker[list[Told]] = _Asker(deadline_s)
        submit = self._checker.submit_atomic if request.atomic else self._checker.submit_batch
        submit(prepared, _Asker.hear, asker)
        told = await asker.told()
        response = entitlement_pb2.BatchCheckEntitlementsResponse()
        for place, one in enumerate(told):
            if isinstance(one, TollkeeperError):
                response.decisions.add()
                response.failed_requests[place].CopyFrom(status_of(one)[1])
            else:
                response.decisions.append(answers.response_of(_decision(one)))
        return response

    async def reserve(
        self, request: entitlement_pb2.ReserveQuotaRequest, deadline_s: float
    ) -> entitlement_pb2.ReserveQuotaResponse:
        """Hold what is claimed."""
        asker: _Asker[Told] = _Asker(deadline_s)
        self._checker.submit(self._checker.prepare(reserve_of(request)), _Asker.hear, asker)
        return answers.reserved(_decision(await asker.told()))

    async def extend(
        self, request: entitlement_pb2.ExtendReservationRequest, deadline_s: float
    ) -> entitlement_pb2.ReservationResponse:
        """Keep a reservation longer."""
        return await self._settle(extend_of(request), deadline_s)

    async def commit(
        self, request: entitlement_pb2.CommitReservationRequest, deadline_s: float
    ) -> entitlement_pb2.ReservationResponse:
        """Count what was really used."""
        return await self._settle(commit_of(request), deadline_s)

    async def release(
        self, request: entitlement_pb2.ReleaseReservationRequest, deadline_s: float
    ) -> entitlement_pb2.ReservationResponse:
        """Give back what is held."""
        return await self._settle(release_of(request), deadline_s)

    async def list(
        self, request: entitlement_pb2.ListEntitlementsRequest, deadline_s: float
    ) -> entitlement_pb2.ListEntitlementsResponse:
        """Peek at every feature."""
        if wrong := identifier_violations("customer", request.customer):
            raise InvalidRequestError(*wrong)
        asker: _Asker[tuple[list[str], list[Told]] | TollkeeperError] = _Asker(deadline_s)
        self._checker.list_features(request.customer, _Asker.hear, asker)
        told = await asker.told()
        if isinstance(told, TollkeeperError):
            raise told
        features, decisions = told
        return answers.entitlements(features, [_decision(one) for one in decisions])

    async def _settle(self, asked: tuple[str, str, Action], deadline_s: float) -> entitlement_pb2.ReservationResponse:
        asker: _Asker[Settled | TollkeeperError] = _Asker(deadline_s)
        self._checker.settle(*asked, _Asker.hear, asker)
        told = await asker.told()
        if isinstance(told, TollkeeperError):
            raise told
        return answers.settled(*asked[:2], told)


def _decision(told: Told) -> Decision:
    """Take a decision, however it is told. Raises what is told instead of one."""
    if isinstance(told, TollkeeperError):
        raise told.with_traceback(None)
    return told.decision() if isinstance(told, Counted) else told


class _Asker(Generic[Answered]):
    """Waits for what a checker tells."""

    def __init__(self, deadline_s: float) -> None:
        self.deadline_s = deadline_s
        self.wanted = True
        self._future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()

    async def told(self) -> Answered:
        """Wait; a caller who goes away is told nothing, and what was counted stays counted."""
        try:
            return await self._future
        finally:
            self.wanted = False

    def hear(self, told: Answered) -> None:
        """Wake whoever waits."""
        if not self._future.done():
            self._future.set_result(told)
