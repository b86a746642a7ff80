"""What an error of ours is in gRPC, on every door: one table, one shape; nothing foreign gets out."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from gateway.errors import (
    AlreadyExistsError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    MalformedMessageError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    PreconditionError,
    StoreCorruptError,
    StoreUnavailableError,
    TollkeeperError,
    UnauthenticatedError,
)
from gateway.telemetry import Event, log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message

DOMAIN: Final = "tollkeeper"
DETAILS: Final = "grpc-status-details-bin"
MESSAGE_CHARACTERS_MAX: Final = 1000
DETAILS_BYTES_MAX: Final = 2500

INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED = 3, 5, 6, 7
FAILED_PRECONDITION, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 9, 13, 14, 16
"""The numbers of gRPC: a door without grpcio says them too."""

CODES: Final[dict[type[TollkeeperError], int]] = {
    InvalidRequestError: INVALID_ARGUMENT,
    MalformedMessageError: INVALID_ARGUMENT,
    IdempotencyKeyReusedError: INVALID_ARGUMENT,
    UnauthenticatedError: UNAUTHENTICATED,
    PermissionDeniedError: PERMISSION_DENIED,
    NotFoundError: NOT_FOUND,
    AlreadyExistsError: ALREADY_EXISTS,
    PreconditionError: FAILED_PRECONDITION,
    StoreUnavailableError: UNAVAILABLE,
    OverloadedError: UNAVAILABLE,
    StoreCorruptError: INTERNAL,
}
RETRIED: Final = (StoreUnavailableError, OverloadedError)
"""What may be otherwise in a second."""


def status_of(error: Exception) -> Status:
    """Say what went wrong: an error of ours in its own words, any other as INTERNAL with a reference into the log."""
    if not isinstance(error, TollkeeperError) or type(error) not in CODES:
        reference = secrets.token_hex(4)
        log.error(Event.UNEXPECTED, reference=reference, exc_info=error)
        return told(INTERNAL, "INTERNAL", f"internal error; the log has it as {reference}")
    details: list[Message] = []
    if isinstance(error, InvalidRequestError):
        details.append(bad_request([(one.field, one.description) for one in error.violations]))
    elif isinstance(error, RETRIED):
        details.append(RetryInfo(retry_delay=Duration(seconds=1)))
    return told(CODES[type(error)], error.reason, str(error), details)


def told(code: int, reason: str, message: str, details: Sequence[Message] = ()) -> Status:
    """Put an error in the one shape that callers know: an ErrorInfo first, then what applies."""
    status = Status(code=code, message=message[:MESSAGE_CHARACTERS_MAX])
    for detail in (ErrorInfo(reason=reason, domain=DOMAIN), *details):
        status.details.add().Pack(detail)
    return status


def bad_request(violations: Sequence[tuple[str, str]]) -> BadRequest:
    """List violations as far as gRPC lets them through: trailers above 8 KiB may cost the caller the whole answer."""
    listed = BadRequest()
    for number, (field, description) in enumerate(violations):
        if listed.ByteSize() + len(field) + len(description) > DETAILS_BYTES_MAX:
            listed.field_violations.add(field="", description=f"and {len(violations) - number} more")
            break
        listed.field_violations.add(field=field, description=description)
    return listed
