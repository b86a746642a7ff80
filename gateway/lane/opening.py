"""What the fields of a request say, and which requests are none: RFC 9113 §8 first, then gRPC."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.lane import replies
from gateway.lane.replies import ENCODINGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gateway.lane.call import Method
    from gateway.lane.fields import Field
    from gateway.lane.replies import Refusal


class MalformedRequestError(Exception):
    """RFC 9113 §8.1.1: these fields are no request."""


class Opening(NamedTuple):
    """What a header block asks for; one is shared by all calls that begin with the same block."""

    method: Method | None = None
    timeout_s: float = math.inf
    authorization: tuple[str, ...] = ()
    """Each that was sent: whoever asks for it takes no two for one."""
    inflate: int = 0
    content_length: int | None = None
    refusal: Refusal | None = None
    plain: bool = False
    """Whether a message that comes in one piece is all there is to look at."""


_NAME: Final = re.compile(rb":?[!#$%&'*+.^_`|~0-9a-z-]+")
_NO_VALUE: Final = re.compile(rb"[\0\r\n]|\A[ \t]|[ \t]\Z")
_REQUEST: Final = frozenset((b":method", b":scheme", b":path", b":authority"))
_OF_A_CONNECTION: Final = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade")
)
TIMEOUT: Final = b"grpc-timeout"
_SECONDS: Final = re.compile(rb"([0-9]{1,19})([HMSmun])")
_UNIT_S: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_GRPC: Final = re.compile(rb"application/grpc(?:[+;].*)?", re.DOTALL)


def opening_of(fields: Sequence[Field], methods: Mapping[bytes, Method]) -> Opening:
    """Read a request's fields; raises MalformedRequestError."""
    found = _checked(fields)
    for name in (b":method", b":scheme", b":path"):
        if not found.get(name):
            raise MalformedRequestError(f"{name.decode()} is missing")
    length = found.get(b"content-length")
    if length is not None and not re.fullmatch(rb"[0-9]{1,15}", length):
        raise MalformedRequestError("content-length is not a length")
    content_length = None if length is None else int(length)
    seconds = timeout_s(found.get(TIMEOUT))
    inflate = ENCODINGS.get(found.get(b"grpc-encoding", b"identity"))
    method = methods.get(found[b":path"])
    refusal = _refusal(found, method, seconds, inflate)
    if refusal is not None or seconds is None or inflate is None:
        return Opening(content_length=content_length, refusal=refusal)
    authorization = tuple(value.decode("latin-1") for name, value in fields if name == b"authorization")
    return Opening(method, seconds, authorization, inflate, content_length, plain=content_length is None)


def check_trailers(fields: Iterable[Field]) -> None:
    """Raise MalformedRequestError when these cannot be the end of a request."""
    if any(name.startswith(b":") for name in _checked(fields)):
        raise MalformedRequestError("trailers have a pseudo-field")


def _refusal(
    found: Mapping[bytes, bytes], method: Method | None, seconds: float | None, inflate: int | None
) -> Refusal | None:
    """Say why a well-formed request is no call of ours; the codes are those of grpcio's own server."""
    if not _GRPC.fullmatch(found.get(b"content-type", b"")):
        return replies.NOT_GRPC_HEAD if found[b":method"] == b"HEAD" else replies.NOT_GRPC
    wrong = (
        (found[b":method"] != b"POST", replies.NOT_POST),
        (b"te" not in found, replies.NO_TRAILERS),
        (found[b":scheme"] not in (b"http", b"https"), replies.WRONG_SCHEME),
        (b":authority" not in found and b"host" not in found, replies.NO_AUTHORITY),
        (seconds is None, replies.WRONG_TIMEOUT),
        (inflate is None, replies.UNKNOWN_ENCODING),
        (method is None, replies.UNKNOWN_METHOD),
    )
    return next((refusal for is_so, refusal in wrong if is_so), None)


def _checked(fields: Iterable[Field]) -> dict[bytes, bytes]:
    """Collect fields by name; those that come more than once are joined as HTTP says."""
    found: dict[bytes, bytes] = {}
    for name, value in fields:
        if not _NAME.fullmatch(name) or _NO_VALUE.search(value):
            raise MalformedRequestError("a field's name or value has a character that it may not have")
        if name[0] == ord(":"):
            if name not in _REQUEST or name in found or any(other[0] != ord(":") for other in found):
                raise MalformedRequestError("a pseudo-field is unknown, comes twice or comes late")
        elif name in _OF_A_CONNECTION or (name == b"te" and value != b"trailers"):
            raise MalformedRequestError("a field belongs to another version of HTTP")
        elif name in found:
            same = value == found[name]
            if name == b"content-length" and not same:
                raise MalformedRequestError("there are two content-lengths")
            value = value if same else found[name] + b", " + value  # noqa: PLW2901 - the joined one is the value
        found[name] = value
    return found


def timeout_s(value: bytes | None) -> float | None:
    """Read a grpc-timeout: without one for ever, None when it is none."""
    if value is None:
        return math.inf
    match = _SECONDS.fullmatch(value)
    return None if match is None else int(match[1]) * _UNIT_S[match[2]]
