"""Who calls over one connection: what a credential was found to be holds until credentials change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from gateway.credentials import the_one

if TYPE_CHECKING:
    from gateway.lane.opening import Opening

CALLERS_MAX: Final = 64
"""A connection speaks for one caller; a proxy's for some."""


class Credentials(Protocol):
    """Who a caller is, by what it brings."""

    generation: int
    """Rises whenever what a credential resolves to may have changed."""

    def caller_of(self, authorization: str | None, peer: Any) -> Any:
        """Return the caller; raises an error of ours when there is none."""


class Callers:
    """The callers of one connection."""

    __slots__ = ("_credentials", "_found", "_generation", "_last", "_last_caller", "_peer")

    def __init__(self, credentials: Credentials, peer: Any) -> None:
        self._credentials = credentials
        self._peer = peer
        self._generation = credentials.generation
        self._found: dict[tuple[tuple[str, ...], Any], Any] = {}
        self._last: Opening | None = None
        self._last_caller: Any = None
        """Of the last opening: most calls of a connection begin alike."""

    def caller_of(self, opening: Opening) -> Any:
        """Return who makes this call, None when anybody may; raises an error of ours when it is nobody who may."""
        if opening.method is None or opening.method.role is None:
            return None
        if self._generation != self._credentials.generation or len(self._found) >= CALLERS_MAX:
            self._found.clear()
            self._last = None
            self._generation = self._credentials.generation
        if opening is self._last:
            return self._last_caller
        brought = opening.authorization, opening.method.role
        caller = self._found.get(brought)
        if caller is None:
            caller = self._credentials.caller_of(the_one(opening.authorization), self._peer)
            caller.may(opening.method.role)
            self._found[brought] = caller
        self._last, self._last_caller = opening, caller
        return caller
