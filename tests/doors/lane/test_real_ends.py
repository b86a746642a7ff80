"""Calls and connections that end early, under grpcio's clients: nothing that was counted is lost or counted twice."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc import StatusCode, aio

from gateway.credentials import Peer
from gateway.lane.lane import Lane
from gateway.lane.limits import Limits
from gateway.lane.server import LaneDoor
from gateway.listening import listen
from gateway.v1.entitlement_pb2_grpc import EntitlementServiceStub as Stub
from tests.doors.lane.both import NOBODY_IS_ASKED, TCP, TOKEN, Counted, both_doors, counted
from tests.faults.store_proxy import redis_proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import redis.asyncio

    from tests.conftest import Running
    from tests.doors.lane.both import Doors
    from tests.faults.store_proxy import StoreProxy

OWN = [("grpc.use_local_subchannel_pool", 1)]
"""A connection of its own for a channel."""

IDLE = Limits(idle_s=0.1, look_s=0.01)


@pytest.fixture
async def proxied(office: Running, short_folder: Path) -> AsyncIterator[tuple[Doors, StoreProxy, aio.Channel]]:
    """Doors whose way to Redis can be disturbed, and a channel on which one token was used."""
    async with AsyncExitStack() as stack:
        proxy, url = await stack.enter_async_context(redis_proxy(office.redis_url, short_folder))
        doors = await stack.enter_async_context(both_doors(url, short_folder))
        channel = await stack.enter_async_context(aio.insecure_channel(doors.tcp))
        assert (await Stub(channel).CheckEntitlement(TOKEN)).used == 1
        yield doors, proxy, channel


async def until_counted(redis_client: redis.asyncio.Redis, used: int) -> None:
    """Wait until just so much is counted."""
    async with asyncio.timeout(5):
        while (await counted(redis_client)).used != used:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("timeout_s", [None, 0.2])
async def test_a_call_whose_caller_has_gone_is_counted_once(
    proxied: tuple[Doors, StoreProxy, aio.Channel], redis_client: redis.asyncio.Redis, timeout_s: float | None
) -> None:
    """Cancelled, or out of time, while its script is on its way: the script runs, once, and the answer goes nowhere."""
    doors, proxy, channel = proxied
    proxy.hold_request = b"EVALSHA"
    call = Stub(channel).CheckEntitlement(TOKEN, timeout=timeout_s)
    under_way = asyncio.ensure_future(call.code())
    await proxy.held.wait()
    if timeout_s is None:
        call.cancel()
    assert await under_way is (StatusCode.CANCELLED if timeout_s is None else StatusCode.DEADLINE_EXCEEDED)
    await doors.settled()
    assert (await counted(redis_client)).used == 1
    proxy.release.set()
    await until_counted(redis_client, 2)
    assert (await Stub(channel).CheckEntitlement(TOKEN)).used == 3
    assert len((await counted(redis_client)).ids) == 3
    assert doors.lane.in_flight == 0


async def test_a_cancelled_call_whose_reply_is_lost_is_counted_once(
    proxied: tuple[Doors, StoreProxy, aio.Channel], redis_client: redis.asyncio.Redis
) -> None:
    """The script ran, and its reply was lost with the connection: nothing is asked twice for somebody who has gone."""
    doors, proxy, channel = proxied
    proxy.lose_reply_to = proxy.hold_request = b"EVALSHA"
    call = Stub(channel).CheckEntitlement(TOKEN)
    under_way = asyncio.ensure_future(call.code())
    await proxy.held.wait()
    call.cancel()
    assert await under_way is StatusCode.CANCELLED
    await doors.settled()
    proxy.release.set()
    await until_counted(redis_client, 2)
    assert (await Stub(channel).CheckEntitlement(TOKEN)).used == 3
    assert proxy.lost == 1
    assert len((await counted(redis_client)).ids) == 3
    assert doors.lane.in_flight == 0


async def test_a_storm_of_cancellations_loses_and_doubles_nothing(
    doors: Doors, redis_client: redis.asyncio.Redis
) -> None:
    """Of a thousand calls every other is cancelled somewhere on its way: each answer is counted, and no call twice."""
    async with aio.insecure_channel(doors.unix) as channel:
        check = Stub(channel).CheckEntitlement
        calls = [check(TOKEN) for _ in range(1000)]
        codes = [asyncio.ensure_future(call.code()) for call in calls]
        for number, call in enumerate(calls):
            if number % 2:
                call.cancel()
            if number % 50 == 0:
                await asyncio.sleep(0)
        ended = await asyncio.gather(*codes)
        answered = {(await call).decision_id for call, code in zip(calls, ended, strict=True) if code is StatusCode.OK}
        assert set(ended) == {StatusCode.OK, StatusCode.CANCELLED}
        await doors.settled()
        last = await check(TOKEN)
        found = await counted(redis_client)
        assert found.used == len(found.ids) == last.used
        assert answered | {last.decision_id} <= set(found.ids)
        assert 501 <= found.used <= 1001
    assert doors.lane.in_flight == 0


# connections


async def test_an_idle_channel_connects_again(office: Running, short_folder: Path) -> None:
    """The lane says goodbye, and that costs no call."""
    async with (
        both_doors(office.redis_url, short_folder, IDLE) as doors,
        aio.insecure_channel(doors.tcp) as channel,
    ):
        for number in (1, 2, 3):
            assert (await Stub(channel).CheckEntitlement(TOKEN)).used == number
            async with asyncio.timeout(5):
                while doors.lane.connections:
                    await asyncio.sleep(0.01)


async def test_a_call_that_crosses_the_goodbye_is_answered(doors: Doors, redis_client: redis.asyncio.Redis) -> None:
    """Its request lies unread when the lane says goodbye; it is taken all the same, and the next one connects anew."""
    with grpc.insecure_channel(doors.tcp) as channel:
        check = Stub(channel).CheckEntitlement
        for number in range(1, 21):
            assert (await asyncio.to_thread(check, TOKEN)).used == 2 * number - 1
            (connection,) = (one for one in doors.lane.connections if not one._leaving)
            crossing = check.future(TOKEN)
            time.sleep(0.02)  # noqa: ASYNC251 - nothing may be read here while the client's own thread sends it
            connection.look(connection._since_s + 1)  # sees that there was a call
            connection.look(connection._since_s + doors.lane.limits.idle_s + 1)
            assert connection._leaving
            assert (await asyncio.to_thread(crossing.result, 10)).used == 2 * number
    assert (await counted(redis_client)).used == 40


async def test_a_drain_loses_and_doubles_nothing(doors: Doors, redis_client: redis.asyncio.Redis) -> None:
    """A hundred callers go on asking while one of two workers stops and the other takes over: no call fails."""
    second = Lane(doors.lane.loop, doors.lane.methods, doors.lane.credentials, deadline_ms=30_000)
    ids: list[str] = []
    async with AsyncExitStack() as stack:
        for door, listening in zip((doors.door, LaneDoor(second)), listen(TCP, workers=2), strict=True):
            shared = await door.serve(listening, lambda _: Peer(NOBODY_IS_ASKED))
            stack.push_async_callback(door.stop)
        channels = [await stack.enter_async_context(aio.insecure_channel(shared, options=OWN)) for _ in range(20)]
        stopped = asyncio.Event()

        async def ask_on(channel: aio.Channel) -> None:
            asked_after = 0
            while asked_after < 5:
                ids.append((await Stub(channel).CheckEntitlement(TOKEN)).decision_id)
                asked_after += stopped.is_set()

        async with asyncio.TaskGroup() as asking:
            for channel in channels * 5:
                asking.create_task(ask_on(channel))
            while len(ids) < 500:
                await asyncio.sleep(0.005)
            assert doors.lane.connections
            await doors.door.stop()
            stopped.set()
        assert not doors.lane.connections
        assert len(second.connections) == 20
    assert await counted(redis_client) == Counted(len(ids), sorted(ids))


async def test_a_client_that_pings_is_answered(doors: Doors) -> None:
    """Keepalive at its quickest, which grpcio takes for one a second, does not cost the connection."""
    options = [
        ("grpc.keepalive_time_ms", 10),
        ("grpc.keepalive_timeout_ms", 5000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    async with aio.insecure_channel(doors.tcp, options=options) as channel:
        await Stub(channel).CheckEntitlement(TOKEN)
        connection = doors.connection
        pings = 0
        async with asyncio.timeout(30):
            while pings < 2:
                pings += connection._session._guard._counts.pop("PING", 0)
                await asyncio.sleep(0.01)
        assert (await Stub(channel).CheckEntitlement(TOKEN)).used == 2
        assert doors.connection is connection
