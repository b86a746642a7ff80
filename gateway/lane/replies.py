"""How an answer looks on the wire: header blocks that never change, and those that say what went wrong."""

from __future__ import annotations

import binascii
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from google.rpc.status_pb2 import Status

INVALID_ARGUMENT, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = 3, 4, 8, 12, 13

_INDEXED_STATUS: Final = {200: b"\x88", 400: b"\x8c", 404: b"\x8d", 500: b"\x8e"}
_SEVEN_BITS: Final = 0x7F


class Refusal(NamedTuple):
    """What is answered without asking a method: fields, and a text for who does not speak gRPC."""

    block: bytes
    text: bytes = b""
    patient: bool = False
    """Answered when the request is at its end, as HTTP servers do; gRPC's are answered at once."""


def literal(name: bytes, value: bytes) -> bytes:
    """Write a field that enters no table, so that no answer depends on another."""
    return b"\x00" + _string(name) + _string(value)


def _string(text: bytes) -> bytes:
    length = len(text)
    if length < _SEVEN_BITS:
        return bytes((length,)) + text
    rest, written = length - _SEVEN_BITS, bytearray((_SEVEN_BITS,))
    while rest > _SEVEN_BITS:
        written.append(rest & _SEVEN_BITS | 0x80)
        rest >>= 7
    written.append(rest)
    return bytes(written) + text


def _status_line(status: int) -> bytes:
    return _INDEXED_STATUS.get(status) or b"\x08" + _string(b"%d" % status)


GRPC: Final = _status_line(HTTPStatus.OK) + literal(b"content-type", b"application/grpc")
SUCCEEDED: Final = literal(b"grpc-status", b"0")
TABLE_EMPTIED: Final = b"\x20"
"""Our table has no entry, from here on by rule: what a peer that lowers its size must be told once."""


def failed(code: int, message: str, details: bytes = b"") -> bytes:
    """Write the only header block of an answer that is an error."""
    block = GRPC + literal(b"grpc-status", b"%d" % code) + literal(b"grpc-message", percent_encoded(message))
    if details:
        unpadded = binascii.b2a_base64(details, newline=False).rstrip(b"=")
        block += literal(b"grpc-status-details-bin", unpadded)
    return block


def failed_with(status: Status) -> bytes:
    """Write an error of ours with all its details."""
    return failed(status.code, status.message, status.SerializeToString())


def percent_encoded(message: str) -> bytes:
    """Write a message in the characters that a header may have."""
    return b"".join(_PERCENT[byte] for byte in message.encode("utf-8", "replace"))


_AS_IT_IS: Final = frozenset(range(ord(" "), ord("~") + 1)) - {ord("%")}
_PERCENT: Final = [bytes((byte,)) if byte in _AS_IT_IS else b"%%%02X" % byte for byte in range(256)]

ENCODINGS: Final = {b"identity": 0, b"gzip": 31, b"deflate": 15}
"""What a message may be compressed with, and what zlib calls it; 0 says not at all."""


def _plain(status: HTTPStatus, why: bytes, *, head_only: bool = False) -> Refusal:
    """Answer somebody who speaks HTTP and not gRPC."""
    block = (
        _status_line(status) + literal(b"content-type", b"text/plain") + literal(b"content-length", b"%d" % len(why))
    )
    return Refusal(block, b"" if head_only else why, patient=True)


_NOT_GRPC: Final = b"This port speaks gRPC: POST with content-type application/grpc.\n"
NOT_GRPC: Final = _plain(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, _NOT_GRPC)
NOT_GRPC_HEAD: Final = _plain(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, _NOT_GRPC, head_only=True)

NOT_POST: Final = Refusal(failed(INTERNAL, ":method is not POST"))
NO_TRAILERS: Final = Refusal(failed(INTERNAL, "te: trailers is missing"))
WRONG_SCHEME: Final = Refusal(failed(INTERNAL, ":scheme is neither http nor https"))
NO_AUTHORITY: Final = Refusal(failed(INTERNAL, ":authority is missing"))
WRONG_TIMEOUT: Final = Refusal(failed(INTERNAL, "grpc-timeout is not up to 19 digits and one of H M S m u n"))
UNKNOWN_METHOD: Final = Refusal(failed(UNIMPLEMENTED, "Method not found!"))
UNKNOWN_ENCODING: Final = Refusal(
    failed(UNIMPLEMENTED, "grpc-encoding is not supported") + literal(b"grpc-accept-encoding", b",".join(ENCODINGS))
)
LIST_TOO_LARGE: Final = Refusal(failed(RESOURCE_EXHAUSTED, "the request's metadata is larger than 32 KiB"))
NO_MESSAGE: Final = Refusal(failed(INTERNAL, "the request ends before its message is whole"))
MESSAGE_TOO_LARGE: Final = Refusal(failed(RESOURCE_EXHAUSTED, "the message is larger than this server takes"))
NOT_ANNOUNCED: Final = Refusal(failed(INTERNAL, "the message is marked as compressed, and no grpc-encoding says how"))
NOT_INFLATED: Final = Refusal(failed(INTERNAL, "the message cannot be decompressed"))
DEADLINE_SPENT: Final = Refusal(failed(DEADLINE_EXCEEDED, "Deadline Exceeded"))
