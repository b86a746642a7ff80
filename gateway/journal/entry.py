"""What one entry says, as bytes that prove themselves: whatever stands before or behind it, it is whole or not there.

An entry is a head, a body of the size that the head tells, and the CRC-32 of both. The body is the line, the event id
and the counter, each ended by a zero byte, and then the packed claim as the usage stream holds it.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple
from zlib import crc32

from gateway.errors import PreconditionError

MARK: Final = b"\xfftk\xfe"
"""Begins each entry; the text of a body is UTF-8, in which these bytes do not occur."""

COUNTED: Final = 1
"""The kind of an entry: a use that the counters hold. Other kinds come with a newer format."""

BODY_BYTES_MAX: Final = 4096
"""Several times what the longest names make."""

_HEAD: Final = struct.Struct("<4sHBBQQQ")  # mark, bytes of body, kind, bucket, sequence, at_ms, window_start_ms
_pack_head: Final = _HEAD.pack
_CRC_BYTES: Final = 4
_proof: Final = struct.Struct("<I").pack
ENTRY_BYTES_MAX: Final = _HEAD.size + BODY_BYTES_MAX + _CRC_BYTES

Use = tuple[bytes, int, int, bytes]
"""What an entry says that others of its bucket do not: its event's id, when it was decided, when its window started,
and what `constant` made of its claim."""


class Entry(NamedTuple):
    """One counted use: all that is needed to count it again."""

    sequence: int
    """From 1 on, without a gap, within one journal."""
    at_ms: int
    """When it was decided, by Redis's clock."""
    bucket: int
    line: str
    """Of the bucket when it was counted: ``<deployment>:<epoch>:<master_replid>``."""
    event_id: str
    counter: str
    window_start_ms: int
    event: bytes
    """The packed claim."""


def constant(counter: str, event: bytes) -> bytes:
    """Write the part of an entry that is the same for each use under one claim."""
    return b"%b\0%b" % (counter.encode(), event)


def pack(sequence: int, line: bytes, bucket: int, use: Use) -> bytes:
    """Write one entry."""
    event_id, at_ms, window_start_ms, packed = use
    size = len(line) + len(event_id) + len(packed) + 2
    assert size <= BODY_BYTES_MAX
    head = _pack_head(MARK, size, COUNTED, bucket, sequence, at_ms, window_start_ms)
    unproved = b"".join((head, line, b"\0", event_id, b"\0", packed))
    return unproved + _proof(crc32(unproved))


def unpack(data: bytes, at: int) -> Entry:
    """Read the entry that `bytes_at` found there."""
    _, size, kind, bucket, sequence, at_ms, window_start_ms = _HEAD.unpack_from(data, at)
    if kind != COUNTED:
        raise PreconditionError(f"an entry is of kind {kind}, which a newer version wrote; upgrade tollkeeper")
    body = data[at + _HEAD.size : at + _HEAD.size + size]
    line, event_id, counter, event = body.split(b"\0", 3)
    return Entry(sequence, at_ms, bucket, line.decode(), event_id.decode(), counter.decode(), window_start_ms, event)


def sequence_at(data: bytes, at: int) -> int:
    """Tell the sequence number of the entry that `bytes_at` found there."""
    sequence = _HEAD.unpack_from(data, at)[4]
    assert isinstance(sequence, int)
    return sequence


def bytes_at(data: bytes, at: int) -> int:
    """Tell how many bytes the entry that begins there has; 0 when there is none, or not all of it."""
    if len(data) - at < _HEAD.size:
        return 0
    mark, size, *_ = _HEAD.unpack_from(data, at)
    end = at + _HEAD.size + size
    if mark != MARK or size > BODY_BYTES_MAX or end + _CRC_BYTES > len(data):
        return 0
    whole = crc32(data[at:end]) == int.from_bytes(data[end : end + _CRC_BYTES], "little")
    return end + _CRC_BYTES - at if whole else 0
