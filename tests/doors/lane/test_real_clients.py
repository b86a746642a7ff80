"""grpcio's clients, sync and aio, ask the lane with real stores behind it, and everything is counted exactly once."""

from __future__ import annotations

import asyncio
from itertools import product
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.lane.limits import HEADER_LIST_BYTES_MAX, Limits
from gateway.v1.entitlement_pb2 import BatchCheckEntitlementsRequest as Batch
from gateway.v1.entitlement_pb2 import CheckEntitlementRequest as Request
from gateway.v1.entitlement_pb2_grpc import EntitlementServiceStub as Stub
from tests.doors.lane.both import TOKEN, Counted, both_doors, counted

if TYPE_CHECKING:
    from pathlib import Path

    import redis.asyncio

    from tests.conftest import Running
    from tests.doors.lane.both import Doors

PLACES = ("tcp", "unix")
TIMEOUTS_S = (None, 30.0)


async def test_each_client_is_answered(doors: Doors) -> None:
    """Over TCP and a unix socket, with and without a deadline, sync and aio; health too."""
    used = 0
    for place, timeout_s in product(PLACES, TIMEOUTS_S):
        async with aio.insecure_channel(doors.at(place)) as channel:
            decision = await Stub(channel).CheckEntitlement(TOKEN, timeout=timeout_s)
            assert (decision.allowed, decision.used) == (True, used + 1)
            told = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=""))
            assert told.status == health_pb2.HealthCheckResponse.SERVING
        with grpc.insecure_channel(doors.at(place)) as channel:
            ask = Stub(channel).CheckEntitlement.with_call
            decision, call = await asyncio.to_thread(ask, TOKEN, timeout=timeout_s)
            assert (decision.allowed, decision.used) == (True, used + 2)
            assert (call.code(), call.details(), call.trailing_metadata()) == (grpc.StatusCode.OK, "", ())
        used += 2


@pytest.mark.parametrize(("place", "timeout_s"), [*product(PLACES, TIMEOUTS_S)])
async def test_a_thousand_calls_at_once(
    doors: Doors, redis_client: redis.asyncio.Redis, place: str, timeout_s: float | None
) -> None:
    """On one channel of each client: each gets an answer of its own, and two thousand tokens are counted."""
    with grpc.insecure_channel(doors.at(place)) as channel:
        under_way = [Stub(channel).CheckEntitlement.future(TOKEN, timeout=timeout_s) for _ in range(1000)]
        answers = await asyncio.to_thread(lambda: [call.result(timeout=60) for call in under_way])
    async with aio.insecure_channel(doors.at(place)) as channel:
        check = Stub(channel).CheckEntitlement
        answers += await asyncio.gather(*(check(TOKEN, timeout=timeout_s) for _ in range(1000)))
    assert await counted(redis_client) == Counted(2000, sorted(answer.decision_id for answer in answers))


async def test_ten_thousand_calls_one_after_another(doors: Doors, office: Running) -> None:
    """On one channel, each with a deadline of its own; the connection is one and the same to the end."""
    async with aio.insecure_channel(doors.tcp) as channel:
        check = Stub(channel).CheckEntitlement
        await check(TOKEN)
        connection = doors.connection
        for number in range(2, 10_001):
            assert (await check(TOKEN, timeout=10 + number / 7)).allowed
        assert doors.connection is connection
        assert not connection._session.streams.calls
        assert doors.lane.in_flight == 0
    async with asyncio.timeout(10):
        while {one.meter: one.quantity for one in (await office.client.usage("acme")).usage}["input_tokens"] != 10_000:
            await asyncio.sleep(0.05)


async def test_large_messages_pass_both_ways(doors: Doors, redis_client: redis.asyncio.Redis) -> None:
    """A batch of a thousand claims and its answers are each larger than a window; two share a connection."""
    narrow = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1024)]
    async with aio.insecure_channel(doors.unix, options=narrow) as channel:
        check = Stub(channel).BatchCheckEntitlements
        asked = [Batch(claims=[with_key(f"{batch}-{number}") for number in range(1000)]) for batch in range(2)]
        batches = await asyncio.gather(*map(check, asked))
    assert min(batch.ByteSize() for batch in (*asked, *batches)) > 2**16
    answers = [decision for batch in batches for decision in batch.decisions]
    assert await counted(redis_client) == Counted(2000, sorted(answer.decision_id for answer in answers))


def with_key(key: str) -> Request:
    """Claim one token under a long key."""
    return Request(customer="acme", feature="input_tokens", idempotency_key=key.ljust(64, "k"))


METADATA_BYTES = HEADER_LIST_BYTES_MAX - 1024
"""What a client can add to what it says by itself."""


def metadata(size: int) -> tuple[tuple[str, str | bytes], ...]:
    """Write metadata that counts so many bytes, 32 for each field among them: many fields, binary ones too."""
    many: list[tuple[str, str | bytes]] = [(f"x-field-{number:04}", "v" * 20) for number in range(size // 2 // 64)]
    binary = ("x-one-bin", bytes(range(256)) * (size // 4 // 342))  # in base64 it is a third longer
    rest = size - 64 * len(many) - (41 + -(-len(binary[1]) * 4 // 3)) - 37
    return (*many, binary, ("x-one", "v" * rest))


@pytest.mark.parametrize("place", PLACES)
async def test_much_metadata_passes_and_too_much_is_refused(doors: Doors, place: str) -> None:
    """Up to 32 KiB; of a client that does not heed our settings one call is refused, and its connection goes on."""
    async with aio.insecure_channel(doors.at(place)) as channel:
        check = Stub(channel).CheckEntitlement
        for number in (1, 2, 3):
            assert (await check(TOKEN, metadata=metadata(METADATA_BYTES))).used == number
        connection = doors.connection
        for size in (METADATA_BYTES + 2048, 2 * METADATA_BYTES):
            with pytest.raises(aio.AioRpcError) as refused:
                await check(TOKEN, metadata=metadata(size))
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await check(TOKEN)).used == 4
        assert doors.connection is connection


async def test_far_too_much_metadata_costs_a_connection_and_no_more(doors: Doors) -> None:
    """Nobody reads on for ever; the channel connects again by itself."""
    async with aio.insecure_channel(doors.tcp) as channel:
        check = Stub(channel).CheckEntitlement
        with pytest.raises(aio.AioRpcError) as refused:
            await check(TOKEN, metadata=metadata(10 * METADATA_BYTES))
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert (await check(TOKEN, wait_for_ready=True)).used == 1


@pytest.mark.parametrize("how", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_a_client_may_compress(doors: Doors, how: grpc.Compression) -> None:
    """Whole channels and single calls, long messages and short ones, sync and aio."""
    padded = Batch(claims=[TOKEN] * 300)
    async with aio.insecure_channel(doors.tcp, compression=how) as channel:
        assert (await Stub(channel).CheckEntitlement(TOKEN)).used == 1
        assert len((await Stub(channel).BatchCheckEntitlements(padded)).decisions) == 300
    with grpc.insecure_channel(doors.tcp) as channel:
        ask: Any = Stub(channel).BatchCheckEntitlements
        assert len((await asyncio.to_thread(ask, padded, compression=how)).decisions) == 300
        once = Request(customer="acme", feature="input_tokens", peek=True)
        ask = Stub(channel).CheckEntitlement
        assert (await asyncio.to_thread(ask, once, compression=how)).used == 601


async def test_a_compressed_message_that_grows_too_large_is_refused(office: Running, short_folder: Path) -> None:
    """By the size that it has when it is read, not by that on the wire."""
    async with (
        both_doors(office.redis_url, short_folder, Limits(message_bytes_max=10_000)) as doors,
        aio.insecure_channel(doors.tcp, compression=grpc.Compression.Gzip) as channel,
    ):
        with pytest.raises(aio.AioRpcError) as refused:
            await Stub(channel).BatchCheckEntitlements(Batch(claims=[TOKEN] * 1000))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await Stub(channel).CheckEntitlement(TOKEN)).used == 1


async def test_an_error_reaches_each_client_with_its_details(doors: Doors) -> None:
    """Code, words and the binary trailer that says which field is wrong."""
    wrong = Request(customer="a b", feature="input_tokens")
    async with aio.insecure_channel(doors.tcp) as channel:
        with pytest.raises(aio.AioRpcError) as first:
            await Stub(channel).CheckEntitlement(wrong)
    with grpc.insecure_channel(doors.unix) as channel, pytest.raises(grpc.RpcError) as second:
        await asyncio.to_thread(Stub(channel).CheckEntitlement, wrong)
    told: Any
    for told in (first.value, second.value):
        assert told.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert told.details().startswith("The request is not valid: customer: 'a b' is ill-formed")
        assert b"google.rpc.BadRequest" in dict(told.trailing_metadata())["grpc-status-details-bin"]
