"""What a row of the conformance tables is made of: frames that are sent as they are, and what must be heard then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from struct import pack
from typing import Final

from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hyperframe import frame as hyper

from tests.doors.lane.wire import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    Peer,
    raw,
    settings,
    window,
)

Heard = Callable[[Peer], Awaitable[None]]
Steps = tuple[bytes | Heard, ...]
Rows = dict[str, Steps]

HELLO: Final = PREFACE + settings()
SHUT: Final = HELLO + settings(s4=0)
"""With a first window of nothing: an answer is held back, and its stream is still half closed."""

WHOLE: Final = END_HEADERS | END_STREAM
OF_GET: Final = b"\x82\x86\x84\x01\x04test"
OF_POST: Final = b"\x83\x86\x84\x01\x04test"
"""GET or POST, http, the path / and an authority: a request that knows nothing of gRPC, and enters no table."""

ENTERS, OUTSIDE, NEVER = 0x40, 0x00, 0x10
"""How a field begins that enters the table, that does not, and that nobody may let in."""

_huffman: Final = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode


# what is sent


def get(more: bytes = b"", stream_id: int = 1) -> bytes:
    """Write a whole GET in one frame, with more fields behind."""
    return raw(HEADERS, WHOLE, stream_id, OF_GET + more)


def post(more: bytes = b"", stream_id: int = 1) -> bytes:
    """Write the beginning of a POST."""
    return raw(HEADERS, END_HEADERS, stream_id, OF_POST + more)


def begun(flags: int = 0, stream_id: int = 1) -> bytes:
    """Write HEADERS of a GET whose block goes on."""
    return raw(HEADERS, flags, stream_id, OF_GET)


def continued(flags: int = END_HEADERS, stream_id: int = 1) -> bytes:
    """Write CONTINUATION with one field."""
    return raw(CONTINUATION, flags, stream_id, literal(b"x-more", b"field"))


def trailers(flags: int, block: bytes) -> bytes:
    """Write a second HEADERS frame."""
    return raw(HEADERS, flags | END_HEADERS, 1, block)


def data(text: bytes = b"test", flags: int = END_STREAM, stream_id: int = 1) -> bytes:
    """Write DATA."""
    return raw(DATA, flags, stream_id, text)


def ping(payload: bytes = b"conforms") -> bytes:
    """Write PING."""
    return raw(PING, 0, 0, payload)


def weight(of: int, *, on: int = 0, exclusive: bool = False, weighs: int = 255) -> bytes:
    """Write PRIORITY: of one stream, on another."""
    return raw(PRIORITY, 0, of, pack(">IB", on | exclusive << 31, weighs))


def goaway(code: int) -> bytes:
    """Write GOAWAY."""
    return raw(GOAWAY, 0, 0, pack(">II", 0, code))


def literal(name: bytes | int, value: bytes, *, first: int = OUTSIDE, huffman: bool = False) -> bytes:
    """Write a field that is not looked up whole; a name may be an index, `first` says if it enters the table."""
    if isinstance(name, bytes):
        return bytes((first,)) + text(name, huffman=huffman) + text(value, huffman=huffman)
    most = 0x3F if first == ENTERS else 0x0F
    index = bytes((first | name,)) if name < most else bytes((first | most, name - most))
    return index + text(value, huffman=huffman)


def text(written: bytes, *, huffman: bool = False) -> bytes:
    """Write a string of HPACK."""
    coded = _huffman(written) if huffman else written
    return bytes((len(coded) | huffman << 7,)) + coded


# what must be heard


def answered(stream_id: int = 1) -> Heard:
    """Hear a whole HTTP answer on a stream."""

    async def hear(peer: Peer) -> None:
        answer = await peer.answer(stream_id)
        assert (answer.fields[":status"], answer.reset, answer.ended) == ("415", None, True)

    return hear


def breaks(code: int) -> Heard:
    """Hear why the connection ends, and its end."""

    async def hear(peer: Peer) -> None:
        assert await peer.end() == code

    return hear


def resets(code: int, stream_id: int = 1) -> Heard:
    """Hear that a stream is reset; the connection goes on."""

    async def hear(peer: Peer) -> None:
        assert await peer.reset_of(stream_id) == code
        assert peer.gone is None

    return hear


def brings(*sizes: int, ended: bool = False) -> Heard:
    """Hear of stream 1 all DATA that its window lets out, in frames of these sizes."""

    async def hear(peer: Peer) -> None:
        await peer.silence()
        answer = peer.answers[1]
        assert (answer.fields[":status"], answer.sizes, answer.ended) == ("415", list(sizes), ended)

    return hear


def pong(payload: bytes = b"conforms") -> Heard:
    """Hear the answer to a PING: the next frame but SETTINGS, the first grant and what streams are told."""

    async def hear(peer: Peer) -> None:
        while not isinstance(found := await peer.hear(), hyper.PingFrame):
            assert found is not None, f"the connection ended with {peer.gone}"
        assert (found.opaque_data, set(found.flags)) == (payload, {"ACK"})

    return hear


def acknowledged(count: int) -> Heard:
    """Hear so many acknowledgements of SETTINGS, from the beginning on."""

    async def hear(peer: Peer) -> None:
        await peer.silence()
        found = [one for one in peer.heard if isinstance(one, hyper.SettingsFrame) and "ACK" in one.flags]
        assert [one.body_len for one in found] == [0] * count

    return hear


async def greeted(peer: Peer) -> None:
    """Hear SETTINGS first, which are no acknowledgement."""
    first = await peer.hear()
    assert isinstance(first, hyper.SettingsFrame)
    assert not first.flags


async def goes_on(peer: Peer) -> None:
    """See that a new request is answered."""
    peer.send(get(stream_id=2**31 - 1), window(2**31 - 1, 1000))
    await answered(2**31 - 1)(peer)
