"""How a call's bytes become a request, and an error its end: what grpcio itself says of either is not for callers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, TypeVar

from google.protobuf.message import DecodeError, Message

from gateway.errors import MalformedMessageError
from gateway.rpc.status import DETAILS, status_of

if TYPE_CHECKING:
    from grpc import aio

Request = TypeVar("Request", bound=Message)


def parsed(kind: type[Request], raw: bytes) -> Request:
    """Read a message; raises MalformedMessageError."""
    try:
        return kind.FromString(raw)
    except DecodeError as error:
        raise MalformedMessageError(kind.DESCRIPTOR.full_name) from error


async def abort(context: aio.ServicerContext[bytes, bytes], error: Exception) -> NoReturn:
    """End a call with an error, in our words and with our details."""
    code, status = status_of(error)
    await context.abort(code, status.message, ((DETAILS, status.SerializeToString()),))
    raise AssertionError("abort raises")
