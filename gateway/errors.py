"""Everything that can go wrong, without gRPC in it: one tree, mapped to a status in one table per door.

The first line of an error's docstring is its message; what is particular to one case is appended.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import ClassVar


class TollkeeperError(Exception):
    """Something went wrong."""

    reason: ClassVar[str] = "INTERNAL"
    """UPPER_SNAKE, stable: programs decide by it."""

    def __init__(self, particular: str = "") -> None:
        message = (inspect.getdoc(type(self)) or "").partition("\n")[0]
        super().__init__(f"{message.rstrip('.')}: {particular}" if particular else message)


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request that is not as it must be."""

    field: str
    description: str

    def __str__(self) -> str:
        return f"{self.field}: {self.description}"


class InvalidRequestError(TollkeeperError):
    """The request is not valid."""

    reason = "INVALID_REQUEST"

    def __init__(self, *violations: Violation) -> None:
        self.violations = violations
        super().__init__("; ".join(map(str, violations)))


class MalformedMessageError(TollkeeperError):
    """The bytes are not a message of this method."""

    reason = "MALFORMED_MESSAGE"


class IdempotencyKeyReusedError(TollkeeperError):
    """The idempotency key was used for another request; send a new key with a new request."""

    reason = "IDEMPOTENCY_KEY_REUSED"


class UnauthenticatedError(TollkeeperError):
    """Who calls is not known."""

    reason = "UNAUTHENTICATED"


class PermissionDeniedError(TollkeeperError):
    """Who calls is known, and may not do this."""

    reason = "PERMISSION_DENIED"


class NotFoundError(TollkeeperError):
    """There is no such thing."""

    reason = "NOT_FOUND"


class AlreadyExistsError(TollkeeperError):
    """It exists already."""

    reason = "ALREADY_EXISTS"


class PreconditionError(TollkeeperError):
    """This cannot be done now."""

    reason = "FAILED_PRECONDITION"


class StoreUnavailableError(TollkeeperError):
    """A store cannot be reached or refuses to work."""

    reason = "STORE_UNAVAILABLE"


class OverloadedError(TollkeeperError):
    """This gateway has more to do than it takes on; ask again a little later."""

    reason = "OVERLOADED"


class StoreCorruptError(TollkeeperError):
    """A store holds something that this software never wrote."""

    reason = "STORE_CORRUPT"
