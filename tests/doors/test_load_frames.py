"""The load generator keeps to HTTP/2, frame by frame: windows, streams at a time, pings, both header tables."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING

import pytest
from hpack import Decoder

from benchmarks.wire import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_BYTES_MAX,
    GOAWAY,
    HEADERS,
    MAX_CONCURRENT_STREAMS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Client,
    HeaderBlocks,
    WireError,
    body_of,
    frame,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.wire import Body

BLOCKS = HeaderBlocks.of("/service/Method", [("authorization", "Bearer k")])
WINDOW = 65_535
STATUS_0, STATUS_5 = b"\x40\x0bgrpc-status\x010", b"\x40\x0bgrpc-status\x015"
"""Trailers that enter the table; from then on each is 62, until the next one comes."""

NEWEST = b"\xbe"


class Peer:
    """The other end: it sends what it is told to, and takes frames apart."""

    def __init__(self, message: bytes) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            body = body_of(message, BLOCKS)
            self.client = Client(f"127.0.0.1:{listening.getsockname()[1]}", BLOCKS, lambda _: body)
            self._socket = listening.accept()[0]
        self._buffer = self._heard().removeprefix(PREFACE)
        self.frames()

    def close(self) -> None:
        """Hang up on both sides."""
        self.client.close()
        self._socket.close()

    def send(self, *frames: bytes) -> None:
        """Send, and have the client read."""
        self._socket.sendall(b"".join(frames))
        select.select((self.client.socket,), (), (), 5)
        self.client.receive()

    def greet(self, settings: bytes = b"") -> None:
        """Say how we are; calls may come."""
        self.send(frame(SETTINGS, 0, 0, settings))
        assert self.frames() == [(SETTINGS, ACK, 0, b"")]

    def answer(self, stream: int, trailers: bytes) -> None:
        """End a call."""
        self.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, trailers))

    def frames(self) -> list[tuple[int, int, int, bytes]]:
        """Read all that has come by now."""
        found = []
        self._buffer += self._heard()
        while self._buffer:
            length = int.from_bytes(self._buffer[:3], "big")
            kind, flags, stream = self._buffer[3], self._buffer[4], int.from_bytes(self._buffer[5:9], "big")
            found.append((kind, flags, stream, self._buffer[9 : 9 + length]))
            self._buffer = self._buffer[9 + length :]
        return found

    def _heard(self) -> bytes:
        """Read until nothing more comes; a large write comes in pieces."""
        heard = b""
        while select.select((self._socket,), (), (), 0.05)[0]:
            if self.client.unsent:
                self.client.flush()
            heard += self._socket.recv(1 << 20)
        return heard


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A connection whose requests fill a frame each; four of them are one byte more than the window."""
    made = Peer(bytes(FRAME_BYTES_MAX - 5))
    yield made
    made.close()


def asked(frames: list[tuple[int, int, int, bytes]]) -> list[int]:
    """Name the streams whose request is complete."""
    return [stream for kind, flags, stream, _ in frames if kind == DATA and flags == END_STREAM]


def test_headers_mean_the_same_in_full_and_by_their_place(peer: Peer) -> None:
    """Pseudo headers first, and each call's are those of the first one."""
    peer.greet()
    peer.client.ask([0, 1, 2])
    decoder = Decoder()
    blocks = [decoder.decode(payload) for kind, _, _, payload in peer.frames() if kind == HEADERS]
    assert [name for name, _ in blocks[0]][:4] == [":method", ":scheme", ":path", ":authority"]
    assert ("authorization", "Bearer k") in blocks[0]
    assert blocks == [blocks[0]] * 3


def test_nothing_is_asked_before_the_server_has_said_how_it_is(peer: Peer) -> None:
    """Its limits come with its settings."""
    peer.client.ask([0])
    assert peer.frames() == []
    peer.send(frame(SETTINGS, 0, 0, b""))
    assert asked(peer.frames()) == [1]


def test_no_byte_is_sent_above_the_window(peer: Peer) -> None:
    """What does not fit waits for an update, in its order."""
    peer.greet()
    peer.client.ask(range(5))
    assert asked(peer.frames()) == [1, 3, 5]
    peer.send(frame(WINDOW_UPDATE, 0, 7, WINDOW.to_bytes(4, "big")))
    assert peer.frames() == []
    peer.send(frame(WINDOW_UPDATE, 0, 0, (1).to_bytes(4, "big")))
    assert asked(peer.frames()) == [7]
    peer.send(frame(WINDOW_UPDATE, 0, 0, WINDOW.to_bytes(4, "big")))
    assert asked(peer.frames()) == [9]


def test_no_more_streams_are_open_than_the_server_takes(peer: Peer) -> None:
    """The next one comes when one has ended."""
    peer.greet(MAX_CONCURRENT_STREAMS.to_bytes(2, "big") + (1).to_bytes(4, "big"))
    peer.client.ask([0, 1])
    assert asked(peer.frames()) == [1]
    peer.answer(1, STATUS_0)
    assert asked(peer.frames()) == [3]


def test_what_waits_is_looked_at_once(peer: Peer) -> None:
    """Not with every reply again: a generator that pays for its backlog falls behind by itself."""
    looked: list[int] = []
    body = body_of(b"", BLOCKS)

    def noting(number: int) -> Body:
        looked.append(number)
        return body

    peer.client._body = noting
    peer.greet(MAX_CONCURRENT_STREAMS.to_bytes(2, "big") + (1).to_bytes(4, "big"))
    peer.client.ask(range(1000))
    for number in range(20):
        peer.answer(2 * number + 1, STATUS_0 if number == 0 else NEWEST)
    assert looked == list(range(21))


def test_a_ping_comes_back(peer: Peer) -> None:
    """With what it held; an answer to one that nobody sent is let pass."""
    peer.greet()
    peer.send(frame(PING, ACK, 0, b"nobody's"), frame(PING, 0, 0, b"12345678"))
    assert peer.frames() == [(PING, ACK, 0, b"12345678")]


def test_the_same_bytes_mean_what_the_table_says_now(peer: Peer) -> None:
    """A remembered block is forgotten when another one changes the table."""
    peer.greet()
    peer.client.ask([0, 1, 2])
    peer.frames()
    peer.send(frame(WINDOW_UPDATE, 0, 0, (2 * WINDOW).to_bytes(4, "big")))
    peer.client.ask([3, 4])
    for stream, trailers in ((1, STATUS_0), (3, NEWEST), (5, STATUS_5), (7, NEWEST), (9, STATUS_0)):
        peer.answer(stream, trailers)
    assert [(number, status) for number, _, status in peer.client.replies] == [
        *((0, "0"), (1, "0"), (2, "5"), (3, "5"), (4, "0")),
    ]


def test_a_message_may_come_in_pieces(peer: Peer) -> None:
    """Over frames, and over reads that end anywhere."""
    peer.greet()
    peer.client.ask([0])
    peer.frames()
    whole = frame(DATA, 0, 1, b"first ") + frame(DATA, 0, 1, b"") + frame(DATA, 0, 1, b"second")
    whole += frame(HEADERS, END_HEADERS | END_STREAM, 1, STATUS_0)
    for place in range(len(whole)):
        peer.send(whole[place : place + 1])
    assert peer.client.replies == [(0, b"first second", "0")]


def test_a_stream_that_is_reset_is_a_wrong_reply_and_a_farewell_the_end(peer: Peer) -> None:
    """The one is counted among the replies; behind the other nothing can be."""
    peer.greet()
    peer.client.ask([0])
    peer.send(frame(RST_STREAM, 0, 1, (7).to_bytes(4, "big")))
    assert peer.client.replies == [(0, b"", "the stream was reset with error 7")]
    with pytest.raises(WireError, match="frame 7"):
        peer.send(frame(GOAWAY, 0, 0, bytes(8)))


def test_a_header_table_that_is_too_small_is_refused(peer: Peer) -> None:
    """Our headers are sent by their place in it."""
    with pytest.raises(WireError, match="header table"):
        peer.send(frame(SETTINGS, 0, 0, b"\0\1" + (64).to_bytes(4, "big")))
