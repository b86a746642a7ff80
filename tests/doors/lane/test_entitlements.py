"""EntitlementService and Health on the lane, over a real Redis: each answer and each error is the other door's."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc.status_pb2 import Status
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway import app, errors
from gateway.counters.connection import Address
from gateway.lane.lane import Lane
from gateway.lane.methods import Entitlements, Health, methods
from gateway.lane.server import LaneDoor
from gateway.listening import listen
from gateway.settings import Settings
from gateway.v1.entitlement_pb2 import (
    BatchCheckEntitlementsRequest,
    BatchCheckEntitlementsResponse,
    CheckEntitlementRequest,
    CheckEntitlementResponse,
)
from tests.doors.lane.wire import Everybody

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from google.protobuf.message import Message

    from tests.conftest import Running

CHECK = "/gateway.v1.EntitlementService/CheckEntitlement"
BATCH = "/gateway.v1.EntitlementService/BatchCheckEntitlements"


@dataclass
class Doors:
    """Both doors of the same stores."""

    lane: aio.Channel
    rpc: aio.Channel
    health: Health
    credentials: Everybody


@asynccontextmanager
async def lane_of(redis_url: str, folder: Path, credentials: Everybody) -> AsyncIterator[tuple[str, Health]]:
    """Serve a lane with a checker of its own, as a sidecar does."""
    settings = Settings()
    async with AsyncExitStack() as stack:
        deciding = await stack.enter_async_context(app._deciding(settings, Address.parse(redis_url), None))
        checker, health = deciding.checker, Health()
        table = methods(Entitlements(checker), health, "check")
        loop = asyncio.get_running_loop()
        door = LaneDoor(Lane(loop, table, credentials, deadline_ms=settings.check_deadline_ms))
        stack.push_async_callback(door.stop)
        yield await door.serve(listen(f"unix:{folder / 'lane.sock'}")[0], lambda _: None), health


@pytest.fixture
async def doors(office: Running, short_folder: Path) -> AsyncIterator[Doors]:
    """The lane beside an office."""
    credentials = Everybody()
    async with (
        lane_of(office.redis_url, short_folder, credentials) as (address, health),
        aio.insecure_channel(address) as lane,
        aio.insecure_channel(office.target) as rpc,
    ):
        yield Doors(lane, rpc, health, credentials)


async def outcome(channel: aio.Channel, method: str, request: bytes) -> Any:
    """Ask; returns the answer's bytes, or code, message, details and trailers of the error."""
    try:
        return await channel.unary_unary(method)(request, timeout=5)
    except aio.AioRpcError as error:
        trailers = dict(error.trailing_metadata() or ())
        status = Status.FromString(trailers.pop("grpc-status-details-bin", b""))
        return error.code(), error.details(), status, trailers


async def both(doors: Doors, method: str, request: Message | bytes) -> Any:
    """Ask both doors the same, see that they say the same, and return it."""
    raw = request if isinstance(request, bytes) else request.SerializeToString()
    ours = await outcome(doors.lane, method, raw)
    theirs = await outcome(doors.rpc, method, raw)
    if isinstance(ours, bytes) and method == CHECK:
        assert ours == theirs
    elif isinstance(ours, bytes):
        read = BatchCheckEntitlementsResponse.FromString
        assert read(ours) == read(theirs)
    else:
        assert ours == theirs
    return ours


ASKED = {
    "a boolean": CheckEntitlementRequest(customer="acme", feature="priority_queue"),
    "a config": CheckEntitlementRequest(customer="acme", feature="max_seats"),
    "a peek": CheckEntitlementRequest(customer="acme", feature="input_tokens", peek=True),
    "a peek of too much": CheckEntitlementRequest(customer="acme", feature="input_tokens", quantity=10**9, peek=True),
    "a rate": CheckEntitlementRequest(customer="acme", feature="requests", peek=True),
    "an unknown customer": CheckEntitlementRequest(customer="nobody", feature="input_tokens"),
    "an unknown feature": CheckEntitlementRequest(customer="acme", feature="nothing"),
    "nothing": CheckEntitlementRequest(),
    "a quantity of 0": CheckEntitlementRequest(customer="acme", feature="input_tokens", quantity=0),
    "a negative quantity": CheckEntitlementRequest(customer="acme", feature="input_tokens", quantity=-1),
    "too large a quantity": CheckEntitlementRequest(customer="acme", feature="input_tokens", quantity=2**53),
    "an ill-formed customer": CheckEntitlementRequest(customer="{a}", feature="input_tokens"),
    "letters that are none": CheckEntitlementRequest(customer="\u0430cme \U0001f680 %", feature="a\nb"),
    "a long key": CheckEntitlementRequest(customer="acme", feature="input_tokens", idempotency_key="k" * 256),
    "a message cut": b"\x0a\x05acm",
    "no message of ours": b"\xff\xff\xff\xff",
    "a field of another type": b"\x08\x01",
    "an unknown field": CheckEntitlementRequest(customer="acme", feature="max_seats").SerializeToString()
    + b"\x98\x06\x01",
}


@pytest.mark.parametrize("case", ASKED)
async def test_both_doors_say_the_same(doors: Doors, case: str) -> None:
    """Byte for byte when it is an answer; in code, message, details and trailers when it is an error; and again."""
    first = await both(doors, CHECK, ASKED[case])
    assert await both(doors, CHECK, ASKED[case]) == first


async def test_what_one_door_counts_the_other_sees(doors: Doors) -> None:
    """A claim is counted once, whichever door it comes through, and its event has a name."""
    asked = CheckEntitlementRequest(customer="acme", feature="input_tokens", quantity=5).SerializeToString()
    for used, channel in enumerate((doors.lane, doors.rpc, doors.lane), 1):
        answer = CheckEntitlementResponse.FromString(await outcome(channel, CHECK, asked))
        assert (answer.allowed, answer.used, answer.remaining) == (True, 5 * used, 1_000_000 - 5 * used)
        assert "-" in answer.decision_id


async def test_a_key_counts_once_over_both_doors(doors: Doors) -> None:
    """Replayed on the other; with another request it is the same error on both."""
    asked = CheckEntitlementRequest(customer="acme", feature="input_tokens", quantity=5, idempotency_key="k")
    first = CheckEntitlementResponse.FromString(await outcome(doors.lane, CHECK, asked.SerializeToString()))
    assert (first.allowed, first.replayed) == (True, False)
    again = CheckEntitlementResponse.FromString(await both(doors, CHECK, asked))
    assert (again.used, again.replayed, again.decision_id) == (5, True, first.decision_id)
    asked.quantity = 6
    code, _, status, _ = await both(doors, CHECK, asked)
    assert (code, len(status.details)) == (grpc.StatusCode.INVALID_ARGUMENT, 1)


async def test_batches_are_the_same(doors: Doors) -> None:
    """Each claim for itself; a reused key by its place; a wrong claim, none and too many fail the whole."""
    key = CheckEntitlementRequest(customer="acme", feature="input_tokens", idempotency_key="k")
    await outcome(doors.lane, CHECK, key.SerializeToString())
    key.quantity = 7
    kinds = ["a boolean", "a config", "a peek", "an unknown customer", "an unknown feature"]
    mixed = BatchCheckEntitlementsRequest(claims=[*(ASKED[kind] for kind in kinds), key])
    answer = BatchCheckEntitlementsResponse.FromString(await both(doors, BATCH, mixed))
    assert (len(answer.decisions), list(answer.failed_requests)) == (6, [5])
    for wrong in (
        BatchCheckEntitlementsRequest(),
        BatchCheckEntitlementsRequest(claims=[ASKED["a boolean"], ASKED["nothing"], ASKED["a quantity of 0"]]),
        BatchCheckEntitlementsRequest(claims=[ASKED["a boolean"]] * 1001),
        b"\x0a\x05abc",
    ):
        assert (await both(doors, BATCH, wrong))[0] is grpc.StatusCode.INVALID_ARGUMENT
    counted = BatchCheckEntitlementsRequest(claims=[ASKED["a boolean"]] * 1000)
    assert len(BatchCheckEntitlementsResponse.FromString(await both(doors, BATCH, counted)).decisions) == 1000


async def test_a_caller_asks_for_its_customers_only(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is bound to some customers is checked for each claim, in a batch too, and nothing is counted before."""

    def refuse(_: Everybody, customer: str) -> None:
        if customer != "acme":
            raise errors.PreconditionError(customer)

    monkeypatch.setattr(Everybody, "customers", frozenset({"acme"}))
    monkeypatch.setattr(Everybody, "check_customer", refuse)
    allowed, other = ASKED["a peek"], ASKED["an unknown customer"]
    assert isinstance(await outcome(doors.lane, CHECK, allowed.SerializeToString()), bytes)
    counted = CheckEntitlementRequest(customer="acme", feature="input_tokens")
    batch = BatchCheckEntitlementsRequest(claims=[counted, other])
    for method, asked in ((CHECK, other), (BATCH, batch)):
        assert (await outcome(doors.lane, method, asked.SerializeToString()))[0] is grpc.StatusCode.FAILED_PRECONDITION
    peeked = CheckEntitlementResponse.FromString(await outcome(doors.lane, CHECK, allowed.SerializeToString()))
    assert peeked.used == 0


async def test_health_says_how_it_is(doors: Doors) -> None:
    """Of each service and of the whole; of an unknown one it says so, and when it stops it says that."""
    stub = health_pb2_grpc.HealthStub(doors.lane)
    services = ["", "gateway.v1.EntitlementService", "grpc.health.v1.Health"]
    for serving in (health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING):
        for service in services:
            assert (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status == serving
        listed = (await stub.List(health_pb2.HealthListRequest())).statuses
        assert {name: one.status for name, one in listed.items()} == dict.fromkeys(services, serving)
        doors.health.serving = False
    with pytest.raises(aio.AioRpcError) as unknown:
        await stub.Check(health_pb2.HealthCheckRequest(service="nothing"))
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
    with pytest.raises(aio.AioRpcError) as streaming:
        await stub.Watch(health_pb2.HealthCheckRequest(service="")).read()
    assert streaming.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert doors.credentials.asked == []
