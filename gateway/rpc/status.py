"""What an error of ours is in gRPC: one table, one shape; nothing foreign gets out."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from gateway.catalog_file import CatalogError
from gateway.errors import (
    AlreadyExistsError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    MalformedMessageError,
    NotFoundError,
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

CODES: Final[dict[type[TollkeeperError], grpc.StatusCode]] = {
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    MalformedMessageError: grpc.StatusCode.INVALID_ARGUMENT,
    IdempotencyKeyReusedError: grpc.StatusCode.INVALID_ARGUMENT,
    UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    PermissionDeniedError: grpc.StatusCode.PERMISSION_DENIED,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    AlreadyExistsError: grpc.StatusCode.ALREADY_EXISTS,
    PreconditionError: grpc.StatusCode.FAILED_PRECONDITION,
    StoreUnavailableError: grpc.StatusCode.UNAVAILABLE,
    StoreCorruptError: grpc.StatusCode.INTERNAL,
}


def status_of(error: Exception) -> tuple[grpc.StatusCode, Status]:
    """Say what went wrong: an error of ours in its own words, any other as INTERNAL with a reference into the log."""
    if isinstance(error, CatalogError):
        code, reason, message = grpc.StatusCode.INVALID_ARGUMENT, "CATALOG_INVALID", str(error)
    elif isinstance(error, TollkeeperError) and type(error) in CODES:
        code, reason, message = CODES[type(error)], error.reason, str(error)
    else:
        reference = secrets.token_hex(4)
        log.error(Event.UNEXPECTED, reference=reference, exc_info=error)
        code, reason, message = grpc.StatusCode.INTERNAL, "INTERNAL", f"internal error; the log has it as {reference}"
    return code, Status(code=code.value[0], message=message[:MESSAGE_CHARACTERS_MAX], details=_packed(error, reason))


def _packed(error: Exception, reason: str) -> list[AnyMessage]:
    packed = []
    for detail in _details(error, reason):
        packed.append(AnyMessage())
        packed[-1].Pack(detail)
    return packed


def _details(error: Exception, reason: str) -> list[Message]:
    details: list[Message] = [ErrorInfo(reason=reason, domain=DOMAIN)]
    if isinstance(error, InvalidRequestError):
        details.append(_bad_request([(one.field, one.description) for one in error.violations]))
    elif isinstance(error, CatalogError):
        details.append(_bad_request([(one.path, f"line {one.line}: {one.message}") for one in error.problems]))
    elif isinstance(error, StoreUnavailableError):
        details.append(RetryInfo(retry_delay=Duration(seconds=1)))
    return details


def _bad_request(violations: Sequence[tuple[str, str]]) -> BadRequest:
    """List violations as far as gRPC lets them through: trailers above 8 KiB may cost the caller the whole answer."""
    listed = BadRequest()
    for number, (field, description) in enumerate(violations):
        if listed.ByteSize() + len(field) + len(description) > DETAILS_BYTES_MAX:
            listed.field_violations.add(field="", description=f"and {len(violations) - number} more")
            break
        listed.field_violations.add(field=field, description=description)
    return listed
