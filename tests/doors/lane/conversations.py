"""What is said to the lane when it is fuzzed: conversations with nothing wrong, and what chance makes of them."""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, Final

import hpack

from tests.doors.lane.wire import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HAS_PRIORITY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    fields_of,
    message,
    raw,
    reset,
    settings,
    window,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

CALLS: Final = 10
WRONG_FLAGS: Final = (0, 1, 4, 5, 8, 0x20, 0x2D, 255)


def valid(chance: Random) -> Iterator[bytes]:
    """Yield the preface and then frames, one by one, with nothing wrong in them."""
    encoder = hpack.Encoder()
    yield PREFACE + settings(s4=chance.choice([0, 1, 100, 65_535, 2**31 - 1]), s1=chance.choice([0, 100, 4096]))
    stream_id = 1
    for _ in range(CALLS):
        fields = fields_of(chance.choice(["/test/Echo", "/test/Hold", "/test/BlowUp", "/x"]))
        if chance.random() < 0.3:
            fields.append(("grpc-timeout", f"{chance.randrange(1000)}m"))
        if chance.random() < 0.1:
            encoder.header_table_size = chance.choice([0, 100, 4096])
        yield from _headers(chance, stream_id, encoder.encode(fields, huffman=chance.random() < 0.5))
        yield from _data(chance, stream_id, message(chance.randbytes(chance.choice([0, 1, 20, 3000]))))
        if chance.random() < 0.1:
            yield raw(HEADERS, END_HEADERS | END_STREAM, stream_id, encoder.encode([("x-late", "1")]))
        else:
            yield raw(DATA, END_STREAM, stream_id)
        yield chance.choice(
            [
                window(chance.choice([0, stream_id]), chance.randrange(1, 2000)),
                raw(PING, 0, 0, bytes(8)),
                settings(s4=chance.randrange(70_000)),
                reset(stream_id),
                b"",
            ]
        )
        stream_id += 2 * chance.choice([1, 1, 1, 5])


def _headers(chance: Random, stream_id: int, block: bytes) -> Iterator[bytes]:
    """Yield a block in one frame or two, padded or not, with a priority or without."""
    flags, before, padding = 0, b"", b""
    if chance.random() < 0.2:
        flags, padding = PADDED, bytes(chance.randrange(256))
        before = bytes((len(padding),))
    if chance.random() < 0.1:
        flags, before = flags | HAS_PRIORITY, before + pack(">IB", 0, 15)
    if chance.random() < 0.3:
        cut = chance.randrange(len(block))
        yield raw(HEADERS, flags, stream_id, before + block[:cut] + padding)
        yield raw(CONTINUATION, END_HEADERS, stream_id, block[cut:])
    else:
        yield raw(HEADERS, flags | END_HEADERS, stream_id, before + block + padding)


def _data(chance: Random, stream_id: int, body: bytes) -> Iterator[bytes]:
    """Yield a message in one frame or two, padded or not."""
    cut = chance.randrange(len(body)) if chance.random() < 0.2 else 0
    if cut:
        yield raw(DATA, 0, stream_id, body[:cut])
    if chance.random() < 0.2:
        padding = bytes(chance.randrange(256))
        yield raw(DATA, PADDED, stream_id, bytes((len(padding),)) + body[cut:] + padding)
    else:
        yield raw(DATA, 0, stream_id, body[cut:])


def spoilt(chance: Random, frames: list[bytes], places: int) -> list[bytes]:
    """Spoil a conversation in so many places; returns it."""
    for _ in range(places):
        at = chance.randrange(1, len(frames))
        match chance.randrange(6):
            case 0:
                frames.insert(at, _random_frame(chance))
            case 1:
                frames[at] = _mutated(chance, frames[at])
            case 2:
                frames.insert(at, frames[at])
            case 3 if len(frames) > 2:
                del frames[at]
            case 4:
                frames.insert(chance.randrange(1, len(frames)), frames.pop(at))
            case _:
                frames[at] = flipped(chance, frames[at])
    return frames


def _random_frame(chance: Random) -> bytes:
    stream_id = chance.choice([0, 1, 2, 3, 5, 2**31 - 1, chance.randrange(2**32)])
    size = chance.choice([0, 1, 4, 5, 6, 8, chance.randrange(200)])
    return raw(chance.randrange(12), chance.randrange(256), stream_id, chance.randbytes(size))


def _mutated(chance: Random, one: bytes) -> bytes:
    """Change flags, type or stream of a frame, and leave its payload."""
    if len(one) < 9:
        return one
    at = chance.choice([3, 4, 4, 4, 8])
    return one[:at] + bytes((chance.choice(WRONG_FLAGS),)) + one[at + 1 :]


def flipped(chance: Random, data: bytes) -> bytes:
    """Change some bytes wherever they are."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 3])):
        if changed:
            changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)
