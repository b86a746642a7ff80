"""HPACK: which fields a header block holds, and whether reading it changed the table that later blocks refer to.

The table and the Huffman code are the `hpack` library's. The walk over a block is ours, for two reasons: the library
takes 25 to 40 µs for a block, which a client that indexes its changing `grpc-timeout` would cost us on every call, and
it does not say whether a block changed the table.
"""

from __future__ import annotations

from typing import Final

from hpack.exceptions import HPACKDecodingError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from gateway.lane.frames import COMPRESSION_ERROR, HEADER_TABLE_START, ConnectionFault
from gateway.lane.limits import HEADER_LIST_BYTES_MAX

Field = tuple[bytes, bytes]

FIELD_OVERHEAD_BYTES: Final = 32
_INTEGER_SHIFT_MAX: Final = 28
"""Four further bytes hold every number that can be meant."""


class HeaderListTooLargeError(Exception):
    """The fields are more than we take; the table is as their sender believes it to be."""


class FieldReader:
    """Reads the header blocks of one connection, every one of them and in order."""

    __slots__ = ("_table", "changes")

    def __init__(self) -> None:
        self._table = HeaderTable()
        self.changes = 0
        """Rises whenever the table may have become another."""

    def read(self, block: bytes) -> list[Field]:
        """Return the fields; raises ConnectionFault, or HeaderListTooLargeError when all were read and are too many."""
        try:
            return self._read(block)
        except (IndexError, HPACKDecodingError) as error:
            raise ConnectionFault(COMPRESSION_ERROR, "a header block cannot be read") from error

    def _read(self, block: bytes) -> list[Field]:
        fields: list[Field] = []
        size, at, end = 0, 0, len(block)
        while at < end:
            first = block[at]
            # 1. A field of the table. 2. One that enters it. 3. The table's new size. 4. One that does not enter it.
            if first & 0x80:
                index, at = _integer(block, at, 0x7F)
                field = self._table.get_by_index(index)
            elif first & 0x40:
                field, at = self._literal(block, at, 0x3F)
                self.changes += 1
                self._table.add(*field)
            elif first & 0x20:
                room, at = _integer(block, at, 0x1F)
                if fields or room > HEADER_TABLE_START:
                    raise HPACKDecodingError("a table size in the wrong place, or too large")
                self.changes += 1
                self._table.maxsize = room
                continue
            else:
                field, at = self._literal(block, at, 0x0F)
            size += len(field[0]) + len(field[1]) + FIELD_OVERHEAD_BYTES
            fields.append(field)
        if size > HEADER_LIST_BYTES_MAX:
            raise HeaderListTooLargeError
        return fields

    def _literal(self, block: bytes, at: int, mask: int) -> tuple[Field, int]:
        index, at = _integer(block, at, mask)
        if index:
            name = self._table.get_by_index(index)[0]
        else:
            name, at = _string(block, at)
        value, at = _string(block, at)
        return (name, value), at


def _integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """Read the number that begins in the low bits of a byte; returns it and where the next thing begins."""
    value = block[at] & mask
    at += 1
    if value < mask:
        return value, at
    shift = 0
    while True:
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follow
            return value, at
        shift += 7
        if shift > _INTEGER_SHIFT_MAX:
            raise HPACKDecodingError("a number of more than five bytes")


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    huffman = block[at] & 0x80
    length, at = _integer(block, at, 0x7F)
    end = at + length
    if end > len(block):
        raise HPACKDecodingError("a string is longer than its block")
    text = block[at:end]
    return (bytes(decode_huffman(text)) if huffman else text), end
