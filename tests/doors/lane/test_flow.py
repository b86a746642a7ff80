"""Windows, to the byte, both ways (RFC 9113 §5.2, §6.9)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hyperframe import frame as hyper

from gateway.lane.limits import CONNECTION_WINDOW, STREAM_WINDOW
from tests.doors.lane.wire import (
    DATA,
    END_STREAM,
    FLOW,
    HEADERS,
    Peer,
    fields_of,
    message,
    raw,
    reset,
    settings,
    window,
)

if TYPE_CHECKING:
    import pytest

    from tests.doors.lane.wire import Served

MUCH = fields_of("/test/Much")


def got(peer: Peer, stream_id: int) -> int:
    """Count the bytes of DATA that came for a stream."""
    return sum(peer.answers[stream_id].sizes) if stream_id in peer.answers else 0


async def test_a_window_of_one_byte_lets_one_byte_through_at_a_time(served: Served) -> None:
    """HEADERS come at once, each byte with its grant, and trailers with the last, for they need no window."""
    async with served.peer(settings(s4=1)) as peer:
        peer.send(peer.request(1, b"2", MUCH))
        await peer.silence()
        assert peer.answers[1].fields["content-type"] == "application/grpc"
        for count in range(1, 7):
            assert (got(peer, 1), peer.answers[1].ended) == (count, False)
            peer.send(window(1, 1))
            await peer.silence()
        assert (got(peer, 1), peer.answers[1].ended) == (7, True)
        assert peer.answers[1].sizes == [1] * 7
        assert peer.answers[1].message == b"mm"


async def test_a_window_of_nothing_lets_nothing_through_until_it_is_opened(served: Served) -> None:
    """An answer waits, and comes whole when SETTINGS open what they had shut."""
    async with served.peer(settings(s4=0)) as peer:
        peer.send(peer.request(1), peer.request(3))
        await peer.silence()
        assert got(peer, 1) == got(peer, 3) == 0
        peer.send(settings(s4=100))
        assert (await peer.answer(1)).message == (await peer.answer(3)).message == b"hello"


async def test_settings_are_acknowledged_before_what_they_let_out(served: Served) -> None:
    """Who has read the ACK knows that every frame after it, and none before, goes by the settings as a whole."""
    async with served.peer(settings(s4=0, s5=30_000), window(0, 2**20)) as peer:
        peer.send(peer.request(1, b"40000", MUCH))
        await peer.silence()
        peer.heard.clear()
        peer.send(settings(s4=2**20, s5=16_384))
        assert (await peer.answer(1)).sizes == [16_384, 16_384, 7_237]
        assert isinstance(peer.heard[0], hyper.SettingsFrame)
        assert "ACK" in peer.heard[0].flags


async def test_settings_that_shrink_a_window_in_flight_count_what_was_sent(served: Served) -> None:
    """A window becomes negative by what its stream had sent, and opens only when grants have made up for it."""
    async with served.peer(settings(s4=10)) as peer:
        peer.send(peer.request(1, b"95", MUCH))
        await peer.silence()
        assert got(peer, 1) == 10
        peer.send(settings(s4=3))  # 7 below nothing
        peer.send(window(1, 7))
        await peer.silence()
        assert got(peer, 1) == 10
        peer.send(window(1, 1))
        await peer.silence()
        assert got(peer, 1) == 11
        peer.send(settings(s4=92))  # 89 more
        assert (await peer.answer(1)).message == b"m" * 95
        assert peer.answers[1].sizes == [10, 1, 89]


async def test_the_connections_window_is_shared_first_come_first_served(served: Served) -> None:
    """65,535 bytes for all streams together; who waits longest is served first."""
    async with served.peer(settings(s4=2**20)) as peer:
        peer.send(peer.request(1, b"60000", MUCH), peer.request(3, b"16000", MUCH), peer.request(5, b"10", MUCH))
        await peer.silence()
        assert [got(peer, stream_id) for stream_id in (1, 3, 5)] == [60_005, 5_530, 0]
        peer.send(window(0, 10_475))
        await peer.silence()
        assert [got(peer, stream_id) for stream_id in (1, 3, 5)] == [60_005, 16_005, 0]
        peer.send(window(0, 15))
        assert (await peer.answer(5)).message == b"m" * 10


async def test_answers_that_leave_whole_use_up_the_connections_window(served: Served) -> None:
    """Four fit, of the fifth comes what is left of 65,535 bytes, and the rest with the grant."""
    async with served.peer(settings(s4=2**20)) as peer:
        peer.send(*(peer.request(stream_id, b"16000", MUCH) for stream_id in range(1, 11, 2)))
        await peer.silence()
        assert [got(peer, stream_id) for stream_id in range(1, 11, 2)] == [16_005] * 4 + [1_515]
        peer.send(window(0, 2**16))
        assert len((await peer.answer(9)).message) == 16_000


async def test_no_frame_is_larger_than_its_peer_takes(served: Served) -> None:
    """16,384 bytes unless SETTINGS say more."""
    async with served.peer(settings(s4=2**20), window(0, 2**20)) as peer:
        peer.send(peer.request(1, b"40000", MUCH))
        assert (await peer.answer(1)).sizes == [16_384, 16_384, 7_237]
        peer.send(settings(s5=30_000), peer.request(3, b"40000", MUCH))
        assert (await peer.answer(3)).sizes == [30_000, 10_005]


async def test_settings_may_not_push_a_granted_window_too_far(peer: Peer) -> None:
    """A stream that was granted more has a window above the first one: together they stay below 2^31."""
    peer.send(peer.opening(1, MUCH), window(1, 100), settings(s4=2**31 - 100))
    assert await peer.end() == FLOW


async def test_a_connection_may_be_granted_all_there_is(peer: Peer) -> None:
    """2^31-1 is a window; one more is none."""
    peer.send(window(0, 2**31 - 1 - 65_535))
    await peer.echoes(1)
    peer.send(window(0, 15 + 1))  # what the echo took, and one more
    assert await peer.end() == FLOW


async def test_a_blocked_answer_is_forgotten_with_its_stream(served: Served) -> None:
    """Reset by its peer, it leaves no byte behind, and the window is for others."""
    async with served.peer(settings(s4=4)) as peer:
        peer.send(peer.request(1, b"1000", MUCH))
        await peer.silence()
        assert got(peer, 1) == 4
        peer.send(reset(1), window(1, 1000), settings(s4=100))
        await peer.echoes(3)
        assert got(peer, 1) == 4
        session = next(iter(served.lane.connections))._session
        assert (session.outbox._held, session.outbox._credits, session.streams.calls) == ({}, {}, {})


async def test_a_peer_is_granted_anew_what_it_used_up(served: Served, peer: Peer) -> None:
    """Half a stream's window, half the connection's: then both are whole again, and not before."""
    body = message(bytes(CONNECTION_WINDOW // 2))
    await peer.silence()
    peer.heard.clear()
    peer.send(peer.opening(1, fields_of("/test/Hold")))
    room = {0: CONNECTION_WINDOW, 1: STREAM_WINDOW}
    for at in range(0, len(body), 16_384):
        piece = body[at : at + 16_384]
        peer.send(raw(DATA, END_STREAM if at + len(piece) == len(body) else 0, 1, piece))
        room = {stream_id: left - len(piece) for stream_id, left in room.items()}
        await peer.silence()
        await peer.silence()  # the first answer leaves before the turn's grants
        for one in peer.heard:
            if isinstance(one, hyper.WindowUpdateFrame):
                most = {0: CONNECTION_WINDOW, 1: STREAM_WINDOW}[one.stream_id]
                assert room[one.stream_id] <= most // 2
                room[one.stream_id] += one.window_increment
                assert room[one.stream_id] == most
        peer.heard.clear()
        assert room[0] > CONNECTION_WINDOW // 2
        assert room[1] > STREAM_WINDOW // 2 or at + len(piece) == len(body)
    assert served.held[0].message == bytes(CONNECTION_WINDOW // 2)


async def test_a_request_at_its_end_is_granted_nothing_more(served: Served) -> None:
    """However much it has used up in its last turn: nobody will send anything on that stream."""
    async with served.peer() as peer:
        await peer.silence()
        body = message(bytes(50_000))
        pieces = [body[at : at + 16_384] for at in range(0, len(body), 16_384)]
        frames = [raw(DATA, END_STREAM if piece is pieces[-1] else 0, 1, piece) for piece in pieces]
        (connection,) = served.lane.connections
        connection.data_received(peer.opening(1, fields_of("/test/Hold")) + b"".join(frames))  # in one turn
        await peer.silence()
        assert served.held[0].message == bytes(50_000)
        assert not [one for one in peer.heard if isinstance(one, hyper.WindowUpdateFrame) and one.stream_id == 1]


async def test_more_data_than_a_streams_window_resets_it(peer: Peer) -> None:
    """65,536 bytes at once are one too many, padding included; 65,535 are not."""
    peer.send(peer.opening(1, fields_of("/test/Hold")))
    frames = [raw(DATA, 0, 1, bytes(16_384))] * 3
    peer.send(*frames, raw(DATA, 0x8, 1, b"\xff" + bytes(16_382)))
    await peer.silence()
    assert peer.answers.get(1) is None or peer.answers[1].reset is None
    peer.send(peer.opening(3, fields_of("/test/Hold")))
    peer.send(raw(DATA, 0, 3, message(bytes(100_000))[:16_384]), *[raw(DATA, 0, 3, bytes(16_384))] * 2)
    peer.send(raw(DATA, 0x8, 3, b"\xff" + bytes(16_383)))
    assert await peer.reset_of(3) == FLOW
    await peer.echoes(5)


async def test_more_data_than_the_connections_window_ends_it(served: Served) -> None:
    """What is granted holds from when it was sent: a peer that does not wait for it has broken the rule."""
    async with served.peer() as peer:
        connection = next(iter(served.lane.connections), None)
        await peer.silence()
        connection = next(iter(served.lane.connections))
        session = connection._session
        peer_frames = b"".join(peer.opening(stream_id, fields_of("/test/Hold")) for stream_id in range(1, 61, 2))
        burst = b"".join(raw(DATA, 0, stream_id, bytes(16_384)) * 3 for stream_id in range(1, 61, 2))
        assert len(burst) > CONNECTION_WINDOW
        connection.data_received(peer_frames + burst)  # in one turn, as no socket can be made to
        assert session.streams.calls
        assert await peer.end() == FLOW


async def test_answers_of_one_turn_leave_in_one_write(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether they are given while frames are read or later."""
    order: list[str] = []
    async with served.peer() as peer:
        await peer.silence()
        session = next(iter(served.lane.connections))._session
        outbox = session.outbox
        transport = outbox._transport

        class Seen:
            """Counts what is written."""

            def write(self, data: bytes) -> None:
                """Write."""
                order.append(f"write {data.count(b'grpc-status')}")
                transport.write(data)

            def is_closing(self) -> bool:
                """Say whether it closes."""
                return transport.is_closing()

        monkeypatch.setattr(type(outbox), "_transport", Seen(), raising=False)
        peer.send(*(peer.request(stream_id) for stream_id in range(1, 11, 2)))
        await peer.answer(9)
        peer.send(*(peer.request(stream_id, b"x", fields_of("/test/Hold")) for stream_id in range(11, 21, 2)))
        while len(served.held) < 5:
            await asyncio.sleep(0)
        for call in served.held:
            call.answer(b"together")
        await peer.answer(19)
    assert order == ["write 5", "write 5"]


async def test_a_smaller_table_is_acknowledged_in_the_next_block(served: Served) -> None:
    """A peer whose decoder shrinks is told that our table is empty, before any field, and only once."""
    async with served.peer(settings(s1=0)) as peer:
        peer._decoder.max_allowed_table_size = 0
        peer._decoder.header_table_size = 4096
        peer.send(peer.request(1), peer.request(3))
        assert (await peer.answer(1)).message == (await peer.answer(3)).message == b"hello"
        blocks = [one.data for one in peer.heard if isinstance(one, hyper.HeadersFrame)]
        assert [block[:1] == b"\x20" for block in blocks] == [True, False, False, False]
    assert HEADERS == 1
