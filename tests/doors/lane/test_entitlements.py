"""What one door counts the other sees, and what the lane says of health; that answers are equal is shown elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from grpc import StatusCode, aio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse, HealthListRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from gateway.lane.entitlements import Entitlements
from gateway.lane.methods import Health, methods
from gateway.v1.entitlement_pb2 import CheckEntitlementRequest
from gateway.v1.entitlement_pb2_grpc import EntitlementServiceStub as Stub
from tests.doors.lane.both import SERVICE
from tests.doors.lane.wire import serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.doors.lane.both import Doors


async def test_what_one_door_counts_the_other_sees(doors: Doors) -> None:
    """A claim is counted once, whichever door it comes through, and its event has a name."""
    claim = CheckEntitlementRequest(customer="acme", feature="input_tokens", quantity=5)
    async with aio.insecure_channel(doors.unix) as lane, aio.insecure_channel(doors.rpc) as rpc:
        for used, channel in enumerate((lane, rpc, lane), 1):
            answer = await Stub(channel).CheckEntitlement(claim)
            assert (answer.allowed, answer.used, answer.remaining) == (True, 5 * used, 1_000_000 - 5 * used)
            assert "-" in answer.decision_id


async def test_a_key_counts_once_over_both_doors(doors: Doors) -> None:
    """Replayed on the other; with another request it is an error there."""
    claim = CheckEntitlementRequest(customer="acme", feature="input_tokens", quantity=5, idempotency_key="k")
    async with aio.insecure_channel(doors.unix) as lane, aio.insecure_channel(doors.rpc) as rpc:
        first = await Stub(lane).CheckEntitlement(claim)
        assert (first.allowed, first.replayed) == (True, False)
        again = await Stub(rpc).CheckEntitlement(claim)
        assert (again.used, again.replayed, again.decision_id) == (5, True, first.decision_id)
        claim.quantity = 6
        with pytest.raises(aio.AioRpcError) as reused:
            await Stub(rpc).CheckEntitlement(claim)
        assert reused.value.code() is StatusCode.INVALID_ARGUMENT


async def test_health_says_how_it_is(short_folder: Path) -> None:
    """Of each service and of the whole, and when it stops; nobody is asked who they are, and nobody may watch."""
    checker: Any = None  # is never asked
    health = Health()
    services = ["", SERVICE, "grpc.health.v1.Health"]
    async with serving(short_folder) as served, aio.insecure_channel(served.address) as channel:
        served.lane.methods = methods(Entitlements(checker), health, "check")
        stub = HealthStub(channel)
        for status in (HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING):
            for service in services:
                assert (await stub.Check(HealthCheckRequest(service=service))).status == status
            listed = (await stub.List(HealthListRequest())).statuses
            assert {name: one.status for name, one in listed.items()} == dict.fromkeys(services, status)
            health.serving = False
        with pytest.raises(aio.AioRpcError) as streaming:
            await stub.Watch(HealthCheckRequest(service="")).read()
        assert streaming.value.code() is StatusCode.UNIMPLEMENTED
        assert served.credentials.asked == []
