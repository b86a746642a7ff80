"""What a stream may see depends on its state (RFC 9113 §5.1), and an end is an end for both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hyperframe import frame as hyper

from gateway.lane.limits import Limits
from tests.doors.lane.wire import (
    CLOSED,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    NO_ERROR,
    PROTOCOL,
    REFUSED,
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
    from pathlib import Path

    from tests.doors.lane.wire import Served

HOLD = fields_of("/test/Hold")


async def test_who_has_said_all_may_say_no_more(served: Served, peer: Peer) -> None:
    """Half-closed: DATA and HEADERS after END_STREAM reset the stream; its call is over and its answer goes nowhere."""
    peer.send(peer.request(1, b"x", HOLD), raw(DATA, 0, 1, b"more"))
    assert await peer.reset_of(1) == CLOSED
    peer.send(peer.request(3, b"x", HOLD), peer.opening(3, [("a", "b")], flags=END_HEADERS | END_STREAM))
    assert await peer.reset_of(3) == CLOSED
    peer.send(peer.request(5, b"x", HOLD), raw(DATA, END_STREAM, 5, message(b"x")))
    assert await peer.reset_of(5) == CLOSED
    peer.send(peer.request(7, b"x", HOLD), peer.opening(7, [("a", "b")]))
    assert await peer.reset_of(7) == CLOSED
    await peer.echoes(9)
    assert len(served.held) == 4
    assert all(call.over for call in served.held)
    for call in served.held:
        call.answer(b"too late")
    await peer.silence()
    assert peer.answers[1].fields == peer.answers[3].fields == peer.answers[5].fields == {}
    assert served.lane.in_flight == 0


async def test_continuation_for_who_has_said_all_breaks_the_connection(peer: Peer) -> None:
    """There is no block that it could continue."""
    peer.send(peer.request(1, b"x", HOLD), raw(CONTINUATION, END_HEADERS, 1, b"\x82"))
    assert await peer.end() == PROTOCOL


async def test_data_for_a_closed_stream_resets_it_again(peer: Peer) -> None:
    """After the peer's own RST_STREAM and after an answered call alike; the connection lives on."""
    peer.send(peer.opening(1, HOLD), reset(1), raw(DATA, 0, 1, b"x"))
    assert await peer.reset_of(1) == CLOSED
    await peer.echoes(3)
    peer.send(raw(DATA, END_STREAM, 3, b"x"))
    assert await peer.reset_of(3) == CLOSED
    await peer.echoes(5)


async def test_updates_and_resets_of_a_closed_stream_are_overlooked(peer: Peer) -> None:
    """They may have crossed the end on their way."""
    await peer.echoes(1)
    peer.send(window(1, 10), window(1, 0), reset(1))
    await peer.echoes(3)


async def test_a_stream_is_opened_once(peer: Peer) -> None:
    """HEADERS for one that is closed break the connection, in the name of its state."""
    await peer.echoes(1)
    peer.send(peer.opening(1))
    assert await peer.end() == CLOSED


async def test_streams_are_opened_in_order(peer: Peer) -> None:
    """An id that was passed over is no new stream."""
    await peer.echoes(5)
    peer.send(peer.opening(3))
    assert await peer.end() == PROTOCOL


async def test_the_last_stream_there_can_be_is_served(peer: Peer) -> None:
    """2^31-1 is an id as any other, and none comes after it."""
    await peer.echoes(2**31 - 1)
    peer.send(peer.opening(2**31 - 3))
    assert await peer.end() == PROTOCOL


async def test_trailers_end_a_request(peer: Peer) -> None:
    """A request with trailers is a request; they must end it, and have no pseudo-fields."""
    body = raw(DATA, 0, 1, message(b"trailed"))
    peer.send(peer.opening(1), body, peer.opening(1, [("x-checksum", "1")], flags=END_HEADERS | END_STREAM))
    assert (await peer.answer(1)).message == b"trailed"
    peer.send(peer.opening(3), peer.opening(3, [("x-checksum", "1")]))
    assert await peer.reset_of(3) == PROTOCOL
    peer.send(peer.opening(5), peer.opening(5, [(":method", "POST")], flags=END_HEADERS | END_STREAM))
    assert await peer.reset_of(5) == PROTOCOL
    await peer.echoes(7)


async def test_what_is_on_its_way_to_a_stream_that_we_ended_is_overlooked(peer: Peer) -> None:
    """An early answer, then RST_STREAM without an error; DATA and trailers that crossed it do no harm, once."""
    peer.send(peer.opening(1, fields_of("/test/Nothing")))
    answer = await peer.answer(1)
    assert (answer.status, await peer.reset_of(1)) == (12, NO_ERROR)
    peer.send(raw(DATA, 0, 1, b"x" * 100), peer.opening(1, [("a", "b")], flags=END_HEADERS | END_STREAM))
    await peer.echoes(3)
    peer.send(raw(DATA, 0, 1, b"more after the end"))
    await peer.silence()
    resets = [one.error_code for one in peer.heard if isinstance(one, hyper.RstStreamFrame)]
    assert (resets, peer.gone) == ([NO_ERROR, CLOSED], None)


async def test_the_table_is_kept_whatever_becomes_of_a_block(peer: Peer) -> None:
    """A block for a stream that is refused, malformed or gone still enters the table that later blocks refer to."""
    first = [*fields_of("/test/Nothing"), ("x-first", "1")]
    peer.send(peer.opening(1, first), peer.opening(3, [*fields_of(), ("Upper", "2")]))
    assert await peer.reset_of(3) == PROTOCOL
    peer.send(peer.opening(1, [("x-late", "3")], flags=END_HEADERS | END_STREAM))
    many = [*fields_of(), ("x-first", "1"), ("x-late", "3")]
    peer.send(peer.opening(5, many), raw(DATA, END_STREAM, 5, message(b"same table")))
    assert (await peer.answer(5)).message == b"same table"


async def test_cancelling_ends_a_call_for_good(served: Served, peer: Peer) -> None:
    """Nothing is written for it any more, its neighbours are answered, and it is under way until its method is done."""
    peer.send(peer.request(1, b"x", HOLD), peer.request(3, b"y", HOLD))
    await peer.silence()
    peer.send(reset(1))
    await peer.silence()
    first, second = served.held
    assert (first.over, first.wanted, second.over, second.wanted) == (True, False, False, True)
    assert served.lane.in_flight == 2
    first.answer(b"nobody hears this")
    first.fail(ValueError("nor this"))
    second.answer(b"heard")
    second.answer(b"once")
    assert (await peer.answer(3)).message == b"heard"
    await peer.silence()
    assert 1 not in peer.answers
    assert served.lane.in_flight == 0


async def test_a_lost_connection_ends_its_calls(served: Served) -> None:
    """What is answered afterwards is for nobody, and nothing of the connection is kept."""
    async with served.peer() as peer:
        peer.send(peer.request(1, b"x", HOLD))
        await peer.silence()
    async with served.peer() as other:
        await other.echoes(1)
    assert served.held[0].over
    served.held[0].answer(b"nobody hears this")
    assert served.lane.in_flight == 0
    assert len(served.lane.connections) <= 1


async def test_one_stream_too_many_is_refused(short_folder: Path) -> None:
    """It may be tried again; those below the limit are served, and one that ends makes room."""
    async with serving(short_folder, Limits(streams_max=3)) as served, served.peer() as peer:
        peer.send(*(peer.request(stream_id, b"x", HOLD) for stream_id in (1, 3, 5, 7)))
        assert await peer.reset_of(7) == REFUSED
        served.held[0].answer(b"room")
        assert (await peer.answer(1)).message == b"room"
        peer.send(peer.request(9, b"x", HOLD))
        await peer.silence()
        assert len(served.held) == 4


async def test_data_may_end_without_a_byte(peer: Peer) -> None:
    """A last DATA frame without content ends a request as any other does."""
    peer.send(peer.opening(1), raw(DATA, 0, 1, message(b"then nothing")), raw(DATA, END_STREAM, 1))
    assert (await peer.answer(1)).message == b"then nothing"


MALFORMED = {
    "an upper case name": [*fields_of(), ("X-Upper", "1")],
    "a name with a space": [*fields_of(), ("x y", "1")],
    "an empty name": [*fields_of(), ("", "1")],
    "a value with a line feed": [*fields_of(), ("x", "a\nb")],
    "a value with a null": [*fields_of(), ("x", "a\0b")],
    "a value that begins with a space": [*fields_of(), ("x", " a")],
    "an unknown pseudo-field": [(":unknown", "1"), *fields_of()],
    "a pseudo-field of responses": [(":status", "200"), *fields_of()],
    "a pseudo-field that comes late": [*fields_of(without=":path"), (":path", "/test/Echo")],
    "two methods": [(":method", "POST"), *fields_of()],
    "two schemes": [(":scheme", "http"), *fields_of()],
    "two paths": [(":path", "/test/Echo"), *fields_of()],
    "two authorities": [(":authority", "test"), *fields_of()],
    "no method": fields_of(without=":method"),
    "no scheme": fields_of(without=":scheme"),
    "no path": fields_of(without=":path"),
    "an empty path": fields_of(""),
    "a connection": [*fields_of(), ("connection", "keep-alive")],
    "a proxy's connection": [*fields_of(), ("proxy-connection", "keep-alive")],
    "an upgrade": [*fields_of(), ("upgrade", "h2c")],
    "a transfer-encoding": [*fields_of(), ("transfer-encoding", "chunked")],
    "a keep-alive": [*fields_of(), ("keep-alive", "1")],
    "other things than trailers": [*fields_of(without="te"), ("te", "trailers, deflate")],
    "a length that is none": [*fields_of(), ("content-length", "-1")],
    "a length in letters": [*fields_of(), ("content-length", "seven")],
    "two lengths": [*fields_of(), ("content-length", "7"), ("content-length", "8")],
    "a length that is too small": [*fields_of(), ("content-length", "6")],
    "a length that is too large": [*fields_of(), ("content-length", "8")],
}


@pytest.mark.parametrize("case", MALFORMED)
async def test_a_malformed_request_costs_its_stream(peer: Peer, case: str) -> None:
    """RFC 9113 §8: it is reset, whether its DATA has come or not, and the next request is answered."""
    encoder = peer.encoder
    block = b"".join(encoder.encode([one]) for one in MALFORMED[case])
    peer.send(raw(HEADERS, END_HEADERS, 1, block), raw(DATA, END_STREAM, 1, message(b"ab")))
    assert await peer.reset_of(1) == PROTOCOL
    await peer.echoes(3)


async def test_a_length_that_is_right_is_fine(peer: Peer) -> None:
    """Over several frames, without their padding; and said twice."""
    peer.send(peer.opening(1, [*fields_of(), ("content-length", "7")]), raw(DATA, 0, 1, message(b"ab")[:3]))
    peer.send(raw(DATA, END_STREAM | 0x8, 1, b"\x03" + message(b"ab")[3:] + bytes(3)))
    assert (await peer.answer(1)).message == b"ab"
    peer.send(peer.opening(3, [*fields_of(), ("content-length", "1")], flags=END_HEADERS | END_STREAM))
    assert await peer.reset_of(3) == PROTOCOL
    twice = [*fields_of(), ("content-length", "7"), ("content-length", "7")]
    peer.send(peer.opening(5, twice), raw(DATA, END_STREAM, 5, message(b"ab")), settings())
    assert (await peer.answer(5)).message == b"ab"
    await peer.echoes(7)
