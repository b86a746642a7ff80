"""What a caller is told when there is no answer, and how a denial is raised by who wants it raised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from gateway.errors import TollkeeperError

if TYPE_CHECKING:
    from gateway.decision import Decision

_MISUSE: Final = frozenset(
    (
        StatusCode.INVALID_ARGUMENT,
        StatusCode.NOT_FOUND,
        StatusCode.ALREADY_EXISTS,
        StatusCode.FAILED_PRECONDITION,
        StatusCode.PERMISSION_DENIED,
        StatusCode.UNAUTHENTICATED,
    )
)


class GatewayError(TollkeeperError):
    """The gateway did not do what it was asked."""

    def __init__(self, code: StatusCode, message: str, cause: str) -> None:
        Exception.__init__(self, message)
        self.code = code
        self.cause = cause
        """The gateway's own reason, such as IDEMPOTENCY_KEY_REUSED; empty when no gateway answered."""

    @property
    def misuse(self) -> bool:
        """Whether asking differently would help; else it is a fault, and asking again may."""
        return self.code in _MISUSE


class DeniedError(TollkeeperError):
    """The customer may not; raised only where a denial has no other way out."""

    def __init__(self, customer: str, feature: str, decision: Decision) -> None:
        Exception.__init__(self, f"{customer} may not use {feature}: {decision.reason.name}")
        self.customer = customer
        self.feature = feature
        self.decision = decision


def fault_of(error: Any, target: str, way_out: str) -> GatewayError:
    """Say of a call that grpcio failed what went wrong, and of a gateway that is not there what to do."""
    message, cause = _told(error)
    if not cause and error.code() is StatusCode.UNAVAILABLE:
        message = f"no gateway answers at {target}; {way_out}"
    return GatewayError(error.code(), message, cause)


def _told(error: Any) -> tuple[str, str]:
    """Read the message and the reason out of an error's details."""
    info = ErrorInfo()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            for detail in Status.FromString(value).details:
                if detail.Unpack(info):
                    return error.details() or info.reason, info.reason
    return error.details() or error.code().name, ""
