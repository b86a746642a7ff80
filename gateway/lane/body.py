"""How the bytes of DATA frames become one message: length, compression, and what is too much."""

from __future__ import annotations

import zlib
from struct import Struct
from typing import TYPE_CHECKING, Final

from gateway.lane import replies
from gateway.lane.limits import STREAM_WINDOW

if TYPE_CHECKING:
    from gateway.lane.opening import Opening
    from gateway.lane.replies import Refusal

PREFIX_BYTES: Final = 5
prefix: Final = Struct(">BI").unpack_from
"""Whether a message is compressed, and how long it is."""


class Body:
    """What has come of one request so far; of a second message, which a unary method never reads, nothing is kept."""

    __slots__ = ("_bytes_max", "_keep", "_opening", "_start", "kept", "room", "total")

    def __init__(self, opening: Opening, bytes_max: int) -> None:
        self._opening = opening
        self._bytes_max = bytes_max
        self._start = bytearray()
        self._keep = 0 if opening.refusal else PREFIX_BYTES
        self.kept = 0
        self.total = 0
        self.room = STREAM_WINDOW
        """How much the stream may still send before it is granted more."""

    def add(self, piece: bytes) -> Refusal | None:
        """Take a piece; returns why the whole can never be taken, as soon as that is known."""
        self.total += len(piece)
        if self.kept >= self._keep:
            return None
        self._start += piece
        self.kept += len(piece)
        if self._keep == PREFIX_BYTES and self.kept >= PREFIX_BYTES:
            length = prefix(self._start)[1]
            if length > self._bytes_max:
                return replies.MESSAGE_TOO_LARGE
            self._keep += length
        return None

    @property
    def fits(self) -> bool:
        """Whether as much came as was announced."""
        return self._opening.content_length in (None, self.total)

    def message(self) -> bytes | Refusal:
        """Return the message of a request that is at its end, or why there is none."""
        if self.kept < max(self._keep, PREFIX_BYTES):
            return replies.NO_MESSAGE
        compressed, length = prefix(self._start)
        message = bytes(self._start[PREFIX_BYTES : PREFIX_BYTES + length])
        if not compressed & 1:
            return message
        if not self._opening.inflate:
            return replies.NOT_ANNOUNCED
        return inflated(message, self._opening.inflate, self._bytes_max)


def inflated(message: bytes, window_bits: int, bytes_max: int) -> bytes | Refusal:
    """Decompress a message, never further than the first byte that is too many."""
    reader = zlib.decompressobj(window_bits)
    try:
        found = reader.decompress(message, bytes_max + 1)
    except zlib.error:
        return replies.NOT_INFLATED
    if len(found) > bytes_max:
        return replies.MESSAGE_TOO_LARGE
    return found if reader.eof else replies.NOT_INFLATED
