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
    PreconditionError,
    StoreCorruptError,
    StoreUnavailableError,
    TollkeeperError,
)
from gateway.telemetry import Event, log

if TYPE_CHECKING:
    from google.protobuf.message import Message

DOMAIN: Final = "tollkeeper"
DETAILS: Final = "grpc-status-details-bin"
MESSAGE_MAX: Final = 2000

CODES: Final[dict[type[TollkeeperError], grpc.StatusCode]] = {
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    MalformedMessageError: grpc.StatusCode.INVALID_ARGUMENT,
    IdempotencyKeyReusedError: grpc.StatusCode.INVALID_ARGUMENT,
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
    status = Status(code=code.value[0], message=message[:MESSAGE_MAX])
    for detail in _details(error, reason):
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return code, status


def _details(error: Exception, reason: str) -> list[Message]:
    details: list[Message] = [ErrorInfo(reason=reason, domain=DOMAIN)]
    violation = BadRequest.FieldViolation
    if isinstance(error, InvalidRequestError):
        found = [violation(field=one.field, description=one.description) for one in error.violations]
        details.append(BadRequest(field_violations=found))
    elif isinstance(error, CatalogError):
        found = [violation(field=one.path, description=f"line {one.line}: {one.message}") for one in error.problems]
        details.append(BadRequest(field_violations=found[:100]))
    elif isinstance(error, StoreUnavailableError):
        details.append(RetryInfo(retry_delay=Duration(seconds=1)))
    return details
