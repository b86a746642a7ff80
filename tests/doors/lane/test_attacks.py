"""What a hostile peer can make the lane spend is bounded, in memory and in time, and costs nobody else their answer."""

from __future__ import annotations

import asyncio
import random
import time
import tracemalloc
from contextlib import contextmanager
from typing import TYPE_CHECKING

import hpack
import pytest

from gateway.lane.guard import PER_SECOND_MAX
from gateway.lane.limits import CONNECTION_WINDOW, Limits
from tests.doors.lane.wire import (
    CALM,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    NO_ERROR,
    PING,
    PREFACE,
    PRIORITY,
    Peer,
    fields_of,
    message,
    raw,
    reset,
    serving,
    settings,
    window,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.doors.lane.wire import Served

MEBI = 1024 * 1024
HOLD = fields_of("/test/Hold")


@contextmanager
def bounded(*, mebibytes: float, seconds: float) -> Iterator[None]:
    """Fail when more memory stays in use at any time, or more of this process's time is spent."""
    tracemalloc.start()
    begun, spent = tracemalloc.get_traced_memory()[0], time.process_time()
    try:
        yield
        assert time.process_time() - spent < seconds
        assert tracemalloc.get_traced_memory()[1] - begun < mebibytes * MEBI
    finally:
        tracemalloc.stop()


FLOODS = {
    "SETTINGS": settings(s3=1),
    "PING": raw(PING, 0, 0, bytes(8)),
    "PRIORITY": raw(PRIORITY, 0, 7, bytes(5)),
    "empty DATA": raw(DATA, 0, 1),
    "padded empty DATA": raw(DATA, 0x8, 1, b"\x01\x00"),
    "WINDOW_UPDATE": window(0, 1),
    "WINDOW_UPDATE of a stream": window(1, 1),
    "unknown frames": raw(0x55, 0, 0),
    "GOAWAY": raw(7, 0, 0, bytes(8)),
    "empty CONTINUATION": raw(CONTINUATION, 0, 3),
}


@pytest.mark.parametrize("case", FLOODS)
async def test_a_flood_of_frames_is_cut_off(served: Served, peer: Peer, case: str) -> None:
    """ENHANCE_YOUR_CALM, long before it costs anything, and whoever else is there is served meanwhile."""
    async with served.peer() as other:
        peer.send(peer.opening(1, HOLD))
        await peer.silence()
        if case == "empty CONTINUATION":
            peer.send(raw(HEADERS, 0, 3))
        with bounded(mebibytes=8, seconds=2):
            peer.send(FLOODS[case] * 50_000)
            await other.echoes(1)
            assert await peer.end() in (CALM, None)  # our last words are lost when the flood fills the socket
        await other.echoes(3)
        assert len(served.lane.connections) == 1


async def test_a_usual_client_is_not_a_flood(peer: Peer) -> None:
    """As many frames of each kind a second as real clients send are fine."""
    peer.send(settings(s3=1) * 10, raw(PING, 0, 0, bytes(8)) * 500, raw(PRIORITY, 0, 7, bytes(5)) * 500)
    for stream_id in range(1, 2001, 2):
        peer.send(peer.request(stream_id), window(0, 1), window(stream_id, 1), window(0, 1))
    assert (await peer.answer(1999)).message == b"hello"
    await peer.echoes(2001)


async def test_rapid_reset_is_cut_off(served: Served, peer: Peer) -> None:
    """Calls that are opened and cancelled are under way until their methods are done, and only so many a second."""
    most = PER_SECOND_MAX["reset"]
    async with served.peer() as other:
        with bounded(mebibytes=32, seconds=5):
            for stream_id in range(1, 20 * most, 2):
                peer.send(peer.request(stream_id, b"x", HOLD), reset(stream_id))
            assert await peer.end() in (CALM, None)
        assert len(served.held) <= 2 * most + 1  # the clock's second may turn once
        assert served.lane.in_flight == len(served.held)
        await other.echoes(1)
    for call in served.held:
        call.answer(b"for nobody")
    assert served.lane.in_flight == 0


MADE_RESETS = {
    "no grant": lambda _, stream_id: window(stream_id, 0),
    "too large a grant": lambda _, stream_id: window(stream_id, 2**31 - 1),
    "DATA after the end": lambda _, stream_id: raw(DATA, 0, stream_id, b"x"),
    "HEADERS after the end": lambda peer, stream_id: peer.opening(stream_id, [("a", "b")]),
}


@pytest.mark.parametrize("case", MADE_RESETS)
async def test_making_us_reset_is_cut_off_too(served: Served, peer: Peer, case: str) -> None:
    """A peer that has us reset its calls is no better than one that does so itself: the work counts as under way."""
    most = PER_SECOND_MAX["reset"]
    with bounded(mebibytes=48, seconds=6):
        for stream_id in range(1, 10 * most, 2):
            peer.send(peer.request(stream_id, b"x", HOLD), MADE_RESETS[case](peer, stream_id))
        assert await peer.end() in (CALM, None)
    assert len(served.held) <= 2 * most + 1
    assert served.lane.in_flight == len(served.held)


async def test_calls_under_way_are_bounded_whoever_resets_them(short_folder: Path) -> None:
    """Over all connections: what was cancelled still counts while it is under way."""
    async with serving(short_folder, Limits(in_flight_max=50)) as served, served.peer() as peer:
        for stream_id in range(1, 401, 2):
            peer.send(peer.request(stream_id, b"x", HOLD), reset(stream_id))
        await peer.silence()
        assert len(served.held) == served.lane.in_flight == 50


async def test_a_block_without_end_is_cut_off(served: Served, peer: Peer) -> None:
    """CONTINUATION flood: neither many small pieces nor few large ones fill the memory."""
    encoder = hpack.Encoder()
    junk = encoder.encode([(f"x-{number}", "v" * 50) for number in range(250)])
    flood = raw(HEADERS, 0, 1, junk) + raw(CONTINUATION, 0, 1, junk) * 100
    with bounded(mebibytes=4, seconds=1):
        peer.send(flood)
        assert await peer.end() in (CALM, None)
    assert not served.lane.connections


async def test_an_hpack_bomb_is_defused(served: Served, peer: Peer) -> None:
    """A block of 16 KiB that means 64 MiB of fields: refused, nothing of it is kept, and the next call is answered."""
    entry = bytes((0x40, 1)) + b"a" + b"\x7f\xa1\x1e" + b"v" * 4000
    peer.send(raw(HEADERS, END_HEADERS, 1, entry))
    bomb = b"\xbe" * 16_000
    with bounded(mebibytes=1, seconds=2):
        for stream_id in range(3, 23, 2):
            peer.send(raw(HEADERS, END_HEADERS, stream_id, bomb))
        assert (await peer.answer(21)).status == 8
    clean = hpack.Encoder()
    peer.send(raw(HEADERS, END_HEADERS, 23, b"\x20" + clean.encode([(*one, True) for one in fields_of()])))
    peer.send(raw(DATA, END_STREAM, 23, message(b"fine")))
    assert (await peer.answer(23)).message == b"fine"
    assert served.lane.in_flight == 0


async def test_bombs_by_the_hundred_are_cut_off(served: Served, peer: Peer) -> None:
    """A flood of them is a flood."""
    bomb = b"\x82" * 2000  # :method GET, again and again
    with bounded(mebibytes=4, seconds=5):
        for stream_id in range(1, 2001, 2):
            peer.send(raw(HEADERS, END_HEADERS, stream_id, bomb))
        assert await peer.end() in (CALM, None)
    assert served.lane.in_flight == 0


async def test_requests_that_never_end_fill_no_memory(short_folder: Path) -> None:
    """A thousand streams each with half a message: refused together at a bound, each ended at its deadline."""
    limits = Limits(body_bytes_max=2 * MEBI)
    async with serving(short_folder, limits) as served, served.peer() as peer:
        half = message(bytes(100_000))[:16_384]
        with bounded(mebibytes=8, seconds=5):
            for stream_id in range(1, 1201, 2):
                peer.send(peer.opening(stream_id), raw(DATA, 0, stream_id, half))
                if stream_id % 32 == 1:
                    await peer.silence()
            await peer.silence()
        refused = [answer for answer in peer.answers.values() if answer.status == 14]
        assert len(refused) == 600 - 2 * MEBI // 16_384
        assert all(answer.reset == NO_ERROR for answer in refused)
        (connection,) = served.lane.connections
        for stream_id in list(connection._session.streams.calls):
            peer.send(reset(stream_id))
        await peer.silence()
        assert connection._session.streams._intake.kept == 0
        await peer.echoes(2001)


async def test_messages_of_single_bytes_cost_no_more_than_their_bytes(peer: Peer) -> None:
    """A frame a byte: what is kept is the message, not its frames."""
    body = message(bytes(30_000))
    peer.send(peer.opening(1))
    with bounded(mebibytes=1, seconds=3):
        for at in range(len(body)):
            peer.send(raw(DATA, 0, 1, body[at : at + 1]))
            if at % 2000 == 0:
                await peer.silence()
        peer.send(raw(DATA, END_STREAM, 1))
        assert len((await peer.answer(1)).data) == len(body)


async def test_a_gzip_bomb_is_not_inflated(served: Served, peer: Peer) -> None:
    """Two hundred of them: each costs what its limit allows, one at a time."""
    import gzip  # noqa: PLC0415 - of this test only

    bomb = message(gzip.compress(bytes(10 * MEBI)), 1)
    fields = fields_of("/test/Echo", ("grpc-encoding", "gzip"))
    with bounded(mebibytes=8, seconds=5):
        for stream_id in range(1, 401, 2):
            peer.send(peer.opening(stream_id, fields), raw(DATA, END_STREAM, stream_id, bomb))
        assert [(await peer.answer(stream_id)).status for stream_id in range(1, 401, 2)] == [8] * 200
    assert served.held == []


async def test_who_does_not_read_is_not_read(short_folder: Path) -> None:
    """A slow reader: nothing more is taken from it, what it is owed is bounded, and it is cut off."""
    limits = Limits(slow_reader_s=0.3, look_s=0.05)
    async with serving(short_folder, limits) as served, served.peer(settings(s4=2**31 - 1), window(0, 2**30)) as peer:
        flood = b"".join(peer.request(stream_id, b"2000", fields_of("/test/Much")) for stream_id in range(1, 80_001, 2))
        with bounded(mebibytes=8, seconds=5):
            peer.send(flood)
            while served.lane.connections:
                assert all(len(one._rest) < MEBI // 2 for one in served.lane.connections)
                await asyncio.sleep(0.05)
        async with served.peer() as other:
            await other.echoes(1)


async def test_a_reader_that_is_merely_late_gets_everything(served: Served) -> None:
    """Taken up again, a connection that was held back brings every answer whole."""
    async with served.peer(settings(s4=2**31 - 1), window(0, 2**30)) as peer:
        for stream_id in range(1, 101, 2):
            peer.send(peer.request(stream_id, b"100000", fields_of("/test/Much")))
        await asyncio.sleep(0.2)
        (connection,) = served.lane.connections
        assert connection._session.outbox.paused
        for stream_id in range(1, 101, 2):
            assert len((await peer.answer(stream_id)).message) == 100_000
        await peer.echoes(101)


async def test_random_bytes_are_no_conversation(served: Served) -> None:
    """With and without a preface before them: every connection ends, and the lane serves on."""
    chance = random.Random(11)  # noqa: S311 - to repeat a failure
    with bounded(mebibytes=8, seconds=20):
        for number in range(300):
            async with served.peer(b"", greeting=PREFACE + settings() if number % 2 else b"") as peer:
                peer.send(chance.randbytes(chance.randrange(24, 20_000)))
                peer._writer.write_eof()
                await peer.end()
    async with served.peer() as other:
        await other.echoes(1)


def test_the_bounds_are_those_that_are_tested() -> None:
    """A window for a connection is what a burst may bring."""
    assert CONNECTION_WINDOW == MEBI
