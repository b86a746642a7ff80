"""Each frame has its form and its place; who breaks them is told which rule it was (RFC 9113 §3.4, §4, §6)."""

from __future__ import annotations

import asyncio
from struct import pack
from typing import TYPE_CHECKING

import pytest
from hyperframe import frame as hyper

from tests.doors.lane.wire import (
    ACK,
    CALM,
    CANCEL,
    COMPRESSION,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FLOW,
    GOAWAY,
    HAS_PRIORITY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PROTOCOL,
    PUSH,
    RST,
    SETTINGS,
    SIZE,
    WINDOW,
    Peer,
    fields_of,
    message,
    raw,
    reset,
    settings,
    window,
)

if TYPE_CHECKING:
    from tests.doors.lane.wire import Served

CONNECTION_ERRORS = {
    "DATA on stream 0": (raw(DATA, 0, 0, b"x"), PROTOCOL),
    "DATA on an idle stream": (raw(DATA, 0, 1, b"x"), PROTOCOL),
    "DATA on a server's stream": (raw(DATA, 0, 2, b"x"), PROTOCOL),
    "DATA on a server's stream below one of ours": (
        raw(HEADERS, END_HEADERS, 3, b"\x82") + raw(DATA, 0, 2, b"x"),
        PROTOCOL,
    ),
    "HEADERS on stream 0": (raw(HEADERS, END_HEADERS, 0, b"\x82"), PROTOCOL),
    "HEADERS on a server's stream": (raw(HEADERS, END_HEADERS, 2, b"\x82"), PROTOCOL),
    "HEADERS all padding": (raw(HEADERS, END_HEADERS | PADDED, 1, b"\x05\x82\x82"), PROTOCOL),
    "HEADERS padded by nothing": (raw(HEADERS, END_HEADERS | PADDED, 1), SIZE),
    "HEADERS too short for a priority": (raw(HEADERS, END_HEADERS | HAS_PRIORITY, 1, b"\0\0\0"), PROTOCOL),
    "HEADERS that depend on themselves": (raw(HEADERS, END_HEADERS | HAS_PRIORITY, 1, pack(">IB", 1, 0)), PROTOCOL),
    "PRIORITY on stream 0": (raw(PRIORITY, 0, 0, bytes(5)), PROTOCOL),
    "PRIORITY of 4 bytes": (raw(PRIORITY, 0, 1, bytes(4)), SIZE),
    "PRIORITY on itself": (raw(PRIORITY, 0, 3, pack(">IB", 3, 16)), PROTOCOL),
    "RST_STREAM on stream 0": (reset(0), PROTOCOL),
    "RST_STREAM on an idle stream": (reset(1), PROTOCOL),
    "RST_STREAM on a server's stream": (reset(2), PROTOCOL),
    "RST_STREAM of 3 bytes": (raw(RST, 0, 1, bytes(3)), SIZE),
    "SETTINGS on a stream": (raw(SETTINGS, 0, 1), PROTOCOL),
    "SETTINGS of 5 bytes": (raw(SETTINGS, 0, 0, bytes(5)), SIZE),
    "SETTINGS ACK with content": (raw(SETTINGS, ACK, 0, bytes(6)), SIZE),
    "ENABLE_PUSH 2": (settings(s2=2), PROTOCOL),
    "INITIAL_WINDOW_SIZE 2^31": (settings(s4=2**31), FLOW),
    "MAX_FRAME_SIZE 16383": (settings(s5=2**14 - 1), PROTOCOL),
    "MAX_FRAME_SIZE 2^24": (settings(s5=2**24), PROTOCOL),
    "PUSH_PROMISE": (raw(PUSH, END_HEADERS, 1, bytes(4) + b"\x82"), PROTOCOL),
    "PING on a stream": (raw(PING, 0, 1, bytes(8)), PROTOCOL),
    "PING of 6 bytes": (raw(PING, 0, 0, bytes(6)), SIZE),
    "GOAWAY on a stream": (raw(GOAWAY, 0, 1, bytes(8)), PROTOCOL),
    "GOAWAY of 7 bytes": (raw(GOAWAY, 0, 0, bytes(7)), SIZE),
    "WINDOW_UPDATE by 0": (window(0, 0), PROTOCOL),
    "WINDOW_UPDATE of 3 bytes": (raw(WINDOW, 0, 0, bytes(3)), SIZE),
    "WINDOW_UPDATE on an idle stream": (window(1, 1), PROTOCOL),
    "WINDOW_UPDATE on a server's stream": (window(2, 1), PROTOCOL),
    "WINDOW_UPDATE beyond 2^31-1": (window(0, 2**31 - 1), FLOW),
    "WINDOW_UPDATE beyond 2^31-1 in two": (window(0, 2**30) + window(0, 2**30), FLOW),
    "CONTINUATION alone": (raw(CONTINUATION, END_HEADERS, 1, b"\x82"), PROTOCOL),
    "CONTINUATION after a whole block": (
        raw(HEADERS, END_HEADERS, 1, b"\x82") + raw(CONTINUATION, END_HEADERS, 1, b"\x82"),
        PROTOCOL,
    ),
    "CONTINUATION of another stream": (
        raw(HEADERS, 0, 1, b"\x82") + raw(CONTINUATION, END_HEADERS, 3, b"\x82"),
        PROTOCOL,
    ),
    "CONTINUATION on stream 0": (raw(HEADERS, 0, 1, b"\x82") + raw(CONTINUATION, END_HEADERS, 0, b"\x82"), PROTOCOL),
    "DATA in a block": (raw(HEADERS, 0, 1, b"\x82") + raw(DATA, 0, 1, b"x"), PROTOCOL),
    "HEADERS in a block": (raw(HEADERS, 0, 1, b"\x82") + raw(HEADERS, END_HEADERS, 3, b"\x82"), PROTOCOL),
    "PING in a block": (raw(HEADERS, 0, 1, b"\x82") + raw(PING, 0, 0, bytes(8)), PROTOCOL),
    "PRIORITY in a block": (raw(HEADERS, 0, 1, b"\x82") + raw(PRIORITY, 0, 1, bytes(5)), PROTOCOL),
    "an unknown frame in a block": (raw(HEADERS, 0, 1, b"\x82") + raw(0x16, 0, 0, bytes(8)), PROTOCOL),
    "a frame of 16,385 bytes": (raw(DATA, 0, 1, bytes(16_385)), SIZE),
    "the head of a frame of 2^24-1 bytes": (b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", SIZE),
    "HEADERS of 16,385 bytes": (raw(HEADERS, END_HEADERS, 1, bytes(16_385)), SIZE),
    "a block that ends in a field": (raw(HEADERS, END_HEADERS, 1, b"\x00\x05ab"), COMPRESSION),
    "a block with no field of that index": (raw(HEADERS, END_HEADERS, 1, b"\xc6"), COMPRESSION),
}


@pytest.mark.parametrize("case", CONNECTION_ERRORS)
async def test_a_frame_that_breaks_the_connection_is_answered_by_goaway(peer: Peer, case: str) -> None:
    """The last frame names the rule's error, and then the connection is closed."""
    frames, code = CONNECTION_ERRORS[case]
    peer.send(frames)
    assert await peer.end() == code


STREAM_ERRORS = {
    "WINDOW_UPDATE by 0": (window(1, 0), PROTOCOL),
    "WINDOW_UPDATE beyond 2^31-1": (window(1, 2**31 - 1), FLOW),
    "WINDOW_UPDATE beyond 2^31-1 in two": (window(1, 2**30) + window(1, 2**30), FLOW),
}


@pytest.mark.parametrize("case", STREAM_ERRORS)
async def test_a_frame_that_breaks_its_stream_costs_no_other(peer: Peer, case: str) -> None:
    """The stream is reset with the rule's error, its neighbour is answered."""
    frames, code = STREAM_ERRORS[case]
    peer.send(peer.opening(1, fields_of("/test/Hold")), frames)
    assert await peer.reset_of(1) == code
    await peer.echoes(3)


OVERLOOKED = {
    "an unknown frame": raw(0x16, 0xFF, 0, b"12345678"),
    "an unknown frame of a stream": raw(0xFF, 0, 77, b"12345678"),
    "an unknown setting": settings(s255=1, s9=2**32 - 1),
    "PRIORITY of an idle stream": raw(PRIORITY, 0, 7, pack(">IB", 3, 255)),
    "GOAWAY with an unknown error": raw(GOAWAY, 0, 0, pack(">II", 0, 0xFF)),
    "PING ACK that nobody asked for": raw(PING, ACK, 0, b"12345678"),
    "SETTINGS ACK": raw(SETTINGS, ACK, 0),
    "the reserved bit": pack(">IBI", 8 << 8 | PING, 0, 1 << 31) + b"12345678",
    "flags without meaning": raw(PING, 0xFE, 0, b"12345678"),
    "every setting": settings(s1=100, s2=0, s3=1, s4=65_535, s5=2**24 - 1, s6=100),
}


@pytest.mark.parametrize("case", OVERLOOKED)
async def test_what_has_no_meaning_does_no_harm(peer: Peer, case: str) -> None:
    """Extensions, old priorities and superfluous acknowledgements are overlooked."""
    peer.send(OVERLOOKED[case])
    await peer.echoes(9)


async def test_a_reset_with_an_unknown_code_is_a_reset(served: Served, peer: Peer) -> None:
    """An error that nobody knows means the end of the stream all the same."""
    peer.send(peer.request(1, b"x", fields_of("/test/Hold")), reset(1, 0xFF))
    await peer.echoes(3)
    assert served.held[0].over


async def test_ping_and_settings_are_acknowledged(peer: Peer) -> None:
    """A PING brings its eight bytes back, SETTINGS one empty ACK."""
    peer.send(raw(PING, 0, 0, b"12345678"), settings(s3=100))
    await peer.silence()
    pings = [one for one in peer.heard if isinstance(one, hyper.PingFrame)]
    assert next((one.opaque_data, "ACK" in one.flags) for one in pings) == (b"12345678", True)
    acks = [one for one in peer.heard if isinstance(one, hyper.SettingsFrame) and "ACK" in one.flags]
    assert len(acks) == 2
    assert all(one.body_len == 0 for one in acks)


async def test_the_server_says_what_it_takes_first(peer: Peer) -> None:
    """Its first frame is SETTINGS: how many streams, how much metadata; and it widens the connection's window."""
    first = await peer.hear()
    assert isinstance(first, hyper.SettingsFrame)
    assert first.settings == {3: 1000, 6: 32_768}
    wider = await peer.hear()
    assert isinstance(wider, hyper.WindowUpdateFrame)
    assert 65_535 + wider.window_increment == 1_048_576


@pytest.mark.parametrize("size", [1, 2, 9, 17])
async def test_frames_may_arrive_in_any_pieces(served: Served, size: int) -> None:
    """Cut anywhere, the preface too: what is meant does not change."""
    async with served.peer(b"", greeting=b"") as peer:
        stream = PREFACE + settings() + peer.request(1, b"in pieces") + raw(PING, 0, 0, bytes(8))
        while not served.lane.connections:
            await asyncio.sleep(0)
        (connection,) = served.lane.connections
        for at in range(0, len(stream), size):
            connection.data_received(stream[at : at + size])  # a socket would put the pieces together again
        assert (await peer.answer(1)).message == b"in pieces"


WRONG_GREETINGS = {
    "HTTP/1.1": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "an upgrade": b"POST / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n",
    "TLS": bytes.fromhex("160301020001000001fc0303"),
    "one byte wrong": PREFACE[:-1] + b"\r",
    "zeros": bytes(64),
}


@pytest.mark.parametrize("case", WRONG_GREETINGS)
async def test_who_speaks_another_protocol_is_told_and_left(served: Served, case: str) -> None:
    """Anything but the preface is a protocol error, as soon as it differs."""
    async with served.peer(b"", greeting=WRONG_GREETINGS[case]) as peer:
        assert await peer.end() == PROTOCOL


@pytest.mark.parametrize("first", [raw(PING, 0, 0, bytes(8)), raw(SETTINGS, ACK, 0), raw(0x16, 0, 0)])
async def test_settings_come_first(served: Served, first: bytes) -> None:
    """A preface is not complete without SETTINGS."""
    async with served.peer(first) as peer:
        assert await peer.end() == PROTOCOL


async def test_headers_may_be_cut_padded_and_weighed(peer: Peer) -> None:
    """CONTINUATION, padding and priority change nothing of what a block says; nor does padding of DATA."""
    block = peer.encoder.encode(fields_of())
    priority = pack(">IB", 0, 200)
    body = message(b"padded")
    peer.send(
        raw(HEADERS, PADDED | HAS_PRIORITY, 1, b"\x07" + priority + block[:3] + bytes(7)),
        raw(CONTINUATION, 0, 1, block[3:9]),
        raw(CONTINUATION, 0, 1),
        raw(CONTINUATION, END_HEADERS, 1, block[9:]),
        raw(DATA, PADDED, 1, b"\xff" + body[:6] + bytes(255)),
        raw(DATA, PADDED | END_STREAM, 1, b"\x00" + body[6:]),
    )
    assert (await peer.answer(1)).message == b"padded"
    peer.send(raw(HEADERS, HAS_PRIORITY | END_HEADERS, 3, priority + peer.encoder.encode(fields_of())))
    peer.send(raw(DATA, END_STREAM, 3, message(b"weighed")))
    assert (await peer.answer(3)).message == b"weighed"


async def test_headers_that_are_all_of_a_request_may_be_padded(peer: Peer) -> None:
    """What is taken off a HEADERS frame is not looked for again in the DATA that never comes."""
    block = peer.encoder.encode(fields_of())
    peer.send(raw(HEADERS, PADDED | END_HEADERS | END_STREAM, 1, b"\x08" + block + bytes(8)))
    assert (await peer.answer(1)).status == 13
    await peer.echoes(3)


@pytest.mark.parametrize("padding", [b"\x06hello", b"\xff", b"\x01"])
async def test_padding_longer_than_its_frame_breaks_the_connection(peer: Peer, padding: bytes) -> None:
    """There is no telling what was meant."""
    peer.send(peer.opening(1), raw(DATA, PADDED, 1, padding))
    assert await peer.end() == PROTOCOL


async def test_a_block_without_end_is_no_block(peer: Peer) -> None:
    """CONTINUATION frames, empty ones too, are bounded in number and in size."""
    peer.send(raw(HEADERS, 0, 1, b""), *(raw(CONTINUATION, 0, 1) for _ in range(20)))
    assert await peer.end() == CALM


@pytest.mark.parametrize(("size", "code"), [(65_536, COMPRESSION), (65_537, CALM)])
async def test_a_block_has_64_kib_at_most(peer: Peer, size: int, code: int) -> None:
    """Beyond that nobody reads it; below, these zeros are read and make no sense."""
    rest = raw(CONTINUATION, END_HEADERS, 1, bytes(size - 4 * 16_000))
    peer.send(raw(HEADERS, 0, 1, bytes(16_000)), raw(CONTINUATION, 0, 1, bytes(16_000)) * 3, rest)
    assert await peer.end() == code


def test_the_codes_are_those_of_the_library() -> None:
    """The numbers that these tests expect are not our own."""
    from h2.errors import ErrorCodes as Codes  # noqa: PLC0415 - for this one comparison

    ours = [PROTOCOL, FLOW, SIZE, CANCEL, COMPRESSION, CALM]
    theirs = [Codes.PROTOCOL_ERROR, Codes.FLOW_CONTROL_ERROR, Codes.FRAME_SIZE_ERROR, Codes.CANCEL]
    assert ours == [*theirs, Codes.COMPRESSION_ERROR, Codes.ENHANCE_YOUR_CALM]
