"""Real clients: grpcio, synchronous and not, with everything that it does on a connection by itself."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import grpc
import h2.config
import h2.connection
import h2.events
import h2.exceptions
import pytest
from grpc import aio

from tests.doors.lane.wire import ERRORS, fields_of

if TYPE_CHECKING:
    from tests.doors.lane.wire import Served


async def test_a_thousand_calls_at_once(served: Served) -> None:
    """With deadlines and without, each has its own answer."""
    async with aio.insecure_channel(served.address) as channel:
        echo = channel.unary_unary("/test/Echo")
        for timeout_s in (None, 30):
            asked = [b"%d" % number for number in range(1000)]
            assert await asyncio.gather(*(echo(one, timeout=timeout_s) for one in asked)) == asked


async def test_ten_thousand_calls_one_after_another(served: Served) -> None:
    """On one channel, by a client with threads; nothing is left of any."""

    def ask() -> int:
        with grpc.insecure_channel(served.address) as channel:
            echo = channel.unary_unary("/test/Echo")
            return sum(echo(b"%d" % number, timeout=10) == b"%d" % number for number in range(10_000))

    assert await asyncio.to_thread(ask) == 10_000
    assert served.lane.in_flight == 0
    assert all(not one._session.streams.calls for one in served.lane.connections)


async def test_cancelling_and_running_out_of_time(served: Served) -> None:
    """The method learns of it, and the channel goes on."""
    async with aio.insecure_channel(served.address) as channel:
        hold = channel.unary_unary("/test/Hold")(b"x")
        while not served.held:
            await asyncio.sleep(0.001)
        hold.cancel()
        with pytest.raises(aio.AioRpcError) as late:
            await channel.unary_unary("/test/Hold")(b"x", timeout=0.05)
        assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert await channel.unary_unary("/test/Echo")(b"on", timeout=5) == b"on"
        async with asyncio.timeout(5):
            while not all(call.over for call in served.held):
                await asyncio.sleep(0.001)


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_compressed_requests_and_large_answers(served: Served, compression: grpc.Compression) -> None:
    """A large message both ways, and metadata of many kilobytes."""
    async with aio.insecure_channel(served.address, compression=compression) as channel:
        large = b"large" * 200_000
        metadata = (("x-large", "v" * 7000), ("x-large-bin", bytes(range(256)) * 4))
        assert await channel.unary_unary("/test/Echo")(large, timeout=10, metadata=metadata) == large
        with pytest.raises(aio.AioRpcError) as refused:
            await channel.unary_unary("/test/Echo")(bytes(3_000_000), timeout=10)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_an_errors_words_arrive_as_they_were(served: Served) -> None:
    """Whatever characters are in them."""
    async with aio.insecure_channel(served.address) as channel:
        with pytest.raises(aio.AioRpcError) as refused:
            await channel.unary_unary("/test/Fail")(b"reused", timeout=5)
    assert refused.value.details() == str(ERRORS["reused"])


async def test_a_server_that_comes_back_is_found_again(served: Served) -> None:
    """After a goodbye the channel connects anew, and loses no call."""
    async with aio.insecure_channel(served.address) as channel:
        echo = channel.unary_unary("/test/Echo")
        assert await echo(b"one", timeout=5) == b"one"
        for connection in list(served.lane.connections):
            connection.leave()
        answers = await asyncio.gather(*(echo(b"%d" % number, timeout=10) for number in range(100)))
        assert answers == [b"%d" % number for number in range(100)]


async def test_the_library_h2_finds_nothing_wrong(served: Served) -> None:
    """It checks every frame that we send against its own idea of the protocol, through requests of all kinds."""
    reader, writer = await asyncio.open_unix_connection(served.address.removeprefix("unix:"))
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    client.update_settings({1: 0, 4: 10})
    answered: dict[int, bytes] = {}
    waiting = set(range(1, 41, 2))
    for stream_id in waiting:
        path = ("/test/Echo", "/test/Fail", "/test/Nothing", "/test/Much")[stream_id % 4 if stream_id % 8 < 4 else 0]
        client.send_headers(stream_id, fields_of(path))
        client.send_data(
            stream_id, b"\0\0\0\0\x06reused" if path == "/test/Fail" else b"\0\0\0\0\x0242", end_stream=True
        )
    async with asyncio.timeout(10):
        while waiting:
            writer.write(client.data_to_send())
            for event in client.receive_data(await reader.read(65_536)):
                if isinstance(event, h2.events.DataReceived):
                    answered[event.stream_id] = answered.get(event.stream_id, b"") + event.data
                    with contextlib.suppress(h2.exceptions.StreamClosedError):  # the end came in the same read
                        client.increment_flow_control_window(7, event.stream_id)
                if isinstance(event, h2.events.StreamEnded):
                    waiting.discard(event.stream_id)
                assert not isinstance(event, h2.events.ConnectionTerminated), event
    writer.close()
    assert any(answered.values())
