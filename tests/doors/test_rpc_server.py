"""The grpcio server says how it is, tells errors in one shape, drains before it stops, and takes nobody's place."""

from __future__ import annotations

import asyncio
import re
import socket
import stat
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode, aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from structlog.testing import capture_logs

from gateway import errors
from gateway.credentials import Credentials
from gateway.entrances import Entrance, entrances
from gateway.rpc import server
from gateway.rpc.server import RpcDoor
from gateway.rpc.services import Method
from gateway.settings import Proof, SettingsError
from gateway.v1.entitlement_pb2 import CheckEntitlementRequest, CheckEntitlementResponse, Reason
from tests.conftest import NOBODY_IS_ASKED, SAMPLE, running_office
from tests.faults.own_redis import own_redis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tests.conftest import Running

    Answer = Callable[[CheckEntitlementRequest, float], Awaitable[CheckEntitlementResponse]]

SERVICE = "gateway.v1.EntitlementService"
CHECK = f"/{SERVICE}/CheckEntitlement"
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
ASKED = CheckEntitlementRequest(customer="acme", feature="calls").SerializeToString()


async def allow(_: CheckEntitlementRequest, __: float) -> CheckEntitlementResponse:
    """Answer every claim with a yes."""
    return CheckEntitlementResponse(allowed=True)


def door_of(answer: Answer) -> RpcDoor:
    """Make a door whose table has one method."""
    method = Method(CheckEntitlementRequest, lambda asked: (asked.customer,), answer)
    return RpcDoor({SERVICE: {"CheckEntitlement": method}}, Credentials(), deadline_ms=1000)


def places(*addresses: str) -> list[Entrance]:
    """Ask nothing of anybody on these addresses."""
    return entrances(addresses, [Proof.NONE], tls=False)


@asynccontextmanager
async def serving(answer: Answer, address: str) -> AsyncIterator[tuple[RpcDoor, aio.Channel]]:
    """Run such a door, with a channel to it."""
    door = door_of(answer)
    (bound,) = await door.start(places(address))
    async with aio.insecure_channel(bound) as channel:
        yield door, channel
        await door.stop()


def check(channel: aio.Channel, timeout_s: float | None = 5) -> Any:
    """Ask the one method."""
    return channel.unary_unary(CHECK)(ASKED, timeout=timeout_s)


@pytest.fixture
def address(short_folder: Path) -> str:
    """A place to listen."""
    return f"unix:{short_folder / 'door.sock'}"


async def test_it_says_how_it_is_and_what_it_offers(office: Running) -> None:
    """Reflection lists every service and describes it; health knows each of them and the whole, and nothing else."""
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
    ]
    async with aio.insecure_channel(office.target) as channel:
        stub, health = reflection_pb2_grpc.ServerReflectionStub(channel), health_pb2_grpc.HealthStub(channel)
        offered, described = [answer async for answer in stub.ServerReflectionInfo(iter(requests))]
        assert any(b"CheckEntitlement" in file for file in described.file_descriptor_response.file_descriptor_proto)
        listed = {one.name for one in offered.list_services_response.service}
        ours = {"Entitlement", "Catalog", "Customer", "Subscription", "Usage", "Invoice"}
        foreign = {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
        assert listed == {f"gateway.v1.{name}Service" for name in ours} | foreign
        for service in {"", *listed} - {"grpc.reflection.v1alpha.ServerReflection"}:
            asked = health_pb2.HealthCheckRequest(service=service)
            assert (await health.Check(asked)).status == SERVING
            watching = health.Watch(asked)
            assert (await watching.read()).status == SERVING
            watching.cancel()
        with pytest.raises(aio.AioRpcError) as refused:
            await health.Check(health_pb2.HealthCheckRequest(service="gateway.v1.Nothing"))
        assert refused.value.code() is StatusCode.NOT_FOUND
        with pytest.raises(aio.AioRpcError) as malformed:
            await channel.unary_stream("/grpc.health.v1.Health/Watch")(b"\xff").read()
        assert malformed.value.code() is StatusCode.INVALID_ARGUMENT
    assert await office.client.serving()


async def test_a_stop_lets_finish_what_is_under_way(address: str) -> None:
    """It says that it goes and refuses what is new; what was begun is answered before it has stopped."""
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow(request: CheckEntitlementRequest, deadline_s: float) -> CheckEntitlementResponse:
        begun.set()
        await may_end.wait()
        return await allow(request, deadline_s)

    async with serving(slow, address) as (door, channel), aio.insecure_channel(address) as other, asyncio.timeout(5):
        watching = health_pb2_grpc.HealthStub(other).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        assert (await watching.read()).status == SERVING
        under_way = asyncio.ensure_future(check(channel))
        await begun.wait()
        stopping = asyncio.create_task(door.stop())
        assert (await watching.read()).status == NOT_SERVING
        watching.cancel()
        async with aio.insecure_channel(address) as late:
            with pytest.raises(aio.AioRpcError) as refused:
                await check(late)
        assert refused.value.code() is StatusCode.UNAVAILABLE
        assert not stopping.done()
        may_end.set()
        assert CheckEntitlementResponse.FromString(await under_way).allowed
        await stopping


async def test_a_stop_does_not_wait_for_ever(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not end within the grace is cut off."""
    monkeypatch.setattr(server, "GRACE_S", 0.1)

    async def never(_: CheckEntitlementRequest, __: float) -> CheckEntitlementResponse:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    begun = asyncio.Event()
    async with serving(never, address) as (door, channel), asyncio.timeout(5):
        under_way = asyncio.ensure_future(check(channel))
        await begun.wait()
        await door.stop()
        with pytest.raises(aio.AioRpcError) as cut:
            await under_way
        assert cut.value.code() in {StatusCode.UNAVAILABLE, StatusCode.CANCELLED}


ERRORS = [
    (errors.InvalidRequestError(errors.Violation("f", "is wrong")), StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
    (errors.IdempotencyKeyReusedError("k"), StatusCode.INVALID_ARGUMENT, "IDEMPOTENCY_KEY_REUSED"),
    (errors.UnauthenticatedError("x"), StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
    (errors.PermissionDeniedError("x"), StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"),
    (errors.NotFoundError("x"), StatusCode.NOT_FOUND, "NOT_FOUND"),
    (errors.AlreadyExistsError("x"), StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS"),
    (errors.PreconditionError("x"), StatusCode.FAILED_PRECONDITION, "FAILED_PRECONDITION"),
    (errors.StoreUnavailableError("x"), StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE"),
    (errors.StoreCorruptError("x"), StatusCode.INTERNAL, "STORE_CORRUPT"),
    (SettingsError("a secret"), StatusCode.INTERNAL, "INTERNAL"),
    (ValueError("a secret dsn postgres://u:p@h"), StatusCode.INTERNAL, "INTERNAL"),
    (AssertionError("a secret"), StatusCode.INTERNAL, "INTERNAL"),
    (TimeoutError("a secret"), StatusCode.INTERNAL, "INTERNAL"),
    (KeyError("a secret"), StatusCode.INTERNAL, "INTERNAL"),
]


async def test_an_error_is_told_in_one_shape_and_a_bug_not_at_all(address: str) -> None:
    """Ours have their code and reason; any other is INTERNAL, with a reference to the log and none of its own words."""
    raised: list[Exception] = []

    async def fail(_: CheckEntitlementRequest, __: float) -> CheckEntitlementResponse:
        raise raised[-1]

    async with serving(fail, address) as (_, channel):
        for error, code, reason in ERRORS:
            raised.append(error)
            with pytest.raises(aio.AioRpcError) as refused, capture_logs() as logs:
                await check(channel)
            told = refused.value
            status = Status.FromString(dict(told.trailing_metadata())["grpc-status-details-bin"])
            details = [one.TypeName() for one in status.details]
            info, retry = ErrorInfo(), RetryInfo()
            assert status.details[0].Unpack(info)
            assert (told.code(), info.reason, info.domain) == (code, reason, "tollkeeper")
            assert details.count("google.rpc.ErrorInfo") == 1
            assert any(one.Unpack(retry) for one in status.details) == (code is StatusCode.UNAVAILABLE)
            assert "secret" not in repr((told.details(), told.trailing_metadata(), str(status)))
            if reason == "INTERNAL":
                found = re.fullmatch("internal error; the log has it as ([0-9a-f]{8})", told.details())
                assert found
                assert [(log["reference"], log["exc_info"]) for log in logs] == [(found[1], error)]


async def test_a_caller_without_patience_of_its_own_is_answered_in_ours(short_folder: Path, postgres_url: str) -> None:
    """Redis stands still and the caller set no deadline: within the server's own it is denied, marked degraded."""
    patience = replace(NOBODY_IS_ASKED, redis_timeout_ms=200, check_deadline_ms=300)
    with own_redis(short_folder) as own:
        await own.start()
        async with running_office(short_folder, own.url, postgres_url, patience) as office:
            await office.client.apply_catalog(SAMPLE)
            await office.client.create_customer("acme")
            await office.client.create_subscription("acme", "developer")
            assert (await office.client.check("acme", "input_tokens")).allowed
            own.pause()
            async with aio.insecure_channel(office.target) as channel:
                asked = CheckEntitlementRequest(customer="acme", feature="input_tokens").SerializeToString()
                loop = asyncio.get_running_loop()
                begun_s = loop.time()
                answer = CheckEntitlementResponse.FromString(await channel.unary_unary(CHECK)(asked))
            assert (answer.allowed, answer.reason, answer.degraded) == (False, Reason.STORE_UNAVAILABLE, True)
            assert loop.time() - begun_s < 1
            own.go_on()


async def test_nobody_takes_a_served_place(address: str) -> None:
    """A second server on the same port or socket refuses to start, and the first one serves on."""
    for place in (address, "127.0.0.1:0"):
        first = door_of(allow)
        (bound,) = await first.start(places(place))
        with pytest.raises(errors.PreconditionError, match="another process"):
            await door_of(allow).start(places(bound))
        async with aio.insecure_channel(bound) as channel:
            assert CheckEntitlementResponse.FromString(await check(channel)).allowed
        await first.stop()


async def test_a_socket_that_a_dead_process_left_is_taken_over(short_folder: Path, address: str) -> None:
    """Nobody serves it, so it is ours: open to its owner and group only."""
    path = short_folder / "door.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.is_socket()
    async with serving(allow, address) as (_, channel):
        assert CheckEntitlementResponse.FromString(await check(channel)).allowed
        assert stat.S_IMODE(path.stat().st_mode) == 0o660


async def test_what_is_no_place_for_a_socket_is_refused(short_folder: Path) -> None:
    """A file stays what it is, a folder too, and a missing folder is named."""
    (short_folder / "file").write_text("precious", encoding="utf-8")
    (short_folder / "folder").mkdir()
    for name, why in (("file", "is a file"), ("folder", "not a socket"), ("missing/door.sock", "there is no folder")):
        async with AsyncExitStack() as stack:
            door = door_of(allow)
            stack.push_async_callback(door.stop)
            with pytest.raises(errors.PreconditionError, match=why):
                await door.start(places(f"unix:{short_folder / name}"))
    assert (short_folder / "file").read_text(encoding="utf-8") == "precious"


async def test_it_tells_which_port_it_was_given(address: str) -> None:
    """Several places are served at once, and port 0 becomes a port."""
    door = door_of(allow)
    bound = await door.start(places("127.0.0.1:0", address))
    assert re.fullmatch(r"127\.0\.0\.1:[1-9][0-9]*", bound[0])
    assert bound[1] == address
    for place in bound:
        async with aio.insecure_channel(place) as channel:
            assert CheckEntitlementResponse.FromString(await check(channel)).allowed
    await door.stop()
