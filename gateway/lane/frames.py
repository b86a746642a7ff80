"""What a frame looks like, and what may be wrong with one: the numbers of RFC 9113."""

from __future__ import annotations

from struct import Struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
HAS_PRIORITY: Final = 0x20

HEADER_TABLE_SIZE: Final = 0x1
ENABLE_PUSH: Final = 0x2
MAX_CONCURRENT_STREAMS: Final = 0x3
INITIAL_WINDOW_SIZE: Final = 0x4
MAX_FRAME_SIZE: Final = 0x5
MAX_HEADER_LIST_SIZE: Final = 0x6

NO_ERROR: Final = 0x0
PROTOCOL_ERROR: Final = 0x1
INTERNAL_ERROR: Final = 0x2
FLOW_CONTROL_ERROR: Final = 0x3
STREAM_CLOSED: Final = 0x5
FRAME_SIZE_ERROR: Final = 0x6
REFUSED_STREAM: Final = 0x7
CANCEL: Final = 0x8
COMPRESSION_ERROR: Final = 0x9
ENHANCE_YOUR_CALM: Final = 0xB

FRAME_BYTES_MAX: Final = 16_384
"""What every peer must take, and all that we take: no request is the better for larger frames."""

FRAME_BYTES_CEILING: Final = 2**24 - 1
WINDOW_START: Final = 65_535
"""Every window before anybody has changed it."""

WINDOW_MAX: Final = 2**31 - 1
STREAM_ID_MAX: Final = 2**31 - 1
HEADER_TABLE_START: Final = 4096

HEAD_BYTES: Final = 9
head: Final = Struct(">IBI")
"""Length and type in one number, flags, and the stream with a bit that means nothing."""

number: Final = Struct(">I")
setting: Final = Struct(">HI")


class ConnectionFault(Exception):  # noqa: N818 - RFC 9113 has connection errors; ours are in gateway.errors
    """The peer did what leaves nothing to be said on this connection but why it ends."""

    def __init__(self, code: int, why: str) -> None:
        self.code = code
        super().__init__(why)


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """Write a frame."""
    return head.pack(len(payload) << 8 | kind, flags, stream_id) + payload


def settings(values: dict[int, int]) -> bytes:
    """Write our settings."""
    return frame(SETTINGS, 0, 0, b"".join(setting.pack(*pair) for pair in values.items()))


def rst_stream(stream_id: int, code: int) -> bytes:
    """Write the end of a stream."""
    return frame(RST_STREAM, 0, stream_id, number.pack(code))


def window_update(stream_id: int, more: int) -> bytes:
    """Write a grant of so many bytes; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream_id, number.pack(more))


def goaway(last_stream_id: int, code: int, why: str = "") -> bytes:
    """Write the last frame of a connection, or the announcement of it."""
    return frame(GOAWAY, 0, 0, number.pack(last_stream_id) + number.pack(code) + why.encode("ascii", "replace"))


def unpadded(flags: int, payload: bytes) -> bytes:
    """Take padding and priority off a payload; raises ConnectionFault when there is more of them than of it."""
    start, end = 0, len(payload)
    if flags & PADDED:
        if not payload:
            raise ConnectionFault(FRAME_SIZE_ERROR, "a padded frame has no byte that says by how much")
        start, end = 1, end - payload[0]
    if flags & HAS_PRIORITY:
        start += 5
    if start > end:
        raise ConnectionFault(PROTOCOL_ERROR, "a frame is shorter than what its flags say is in it")
    return payload[start:end]
