"""How often a peer may send what costs us work and brings it nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.lane.frames import ENHANCE_YOUR_CALM, ConnectionFault

if TYPE_CHECKING:
    from collections.abc import Callable

PER_SECOND_MAX: Final = {
    "SETTINGS": 50,  # a client sends one, some a second
    "PING": 1000,  # grpcio and grpc-go measure the bandwidth with one a round trip
    "PRIORITY": 1000,  # browsers sent some a page; nobody does any more
    "reset": 2000,  # a thousand calls may run out of time at once, and once more
    "metadata that is too large": 100,  # reading it costs ten times what as many bytes of calls do
    "empty DATA": 100,  # only the last DATA frame of a request has reason to be empty
    "unknown frame": 100,  # extensions say hello once
    "WINDOW_UPDATE": 1000,  # and those that answers bring about, below
}
UPDATES_PER_CALL: Final = 4
"""A client may acknowledge each frame of an answer, on its stream and on its connection."""


class Guard:
    """Counts within seconds; who is above is told to calm down and leaves."""

    __slots__ = ("_calls", "_counts", "_second", "_time")

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._second = 0
        self._calls = 0
        self._counts: dict[str, int] = {}

    def count(self, what: str, calls: int = 0) -> None:
        """Count one of `what` at a moment when so many calls were opened; raises ConnectionFault."""
        second = int(self._time())
        if second != self._second:
            self._second, self._calls = second, calls
            self._counts.clear()
        counted = self._counts[what] = self._counts.get(what, 0) + 1
        if counted > PER_SECOND_MAX[what] and counted > PER_SECOND_MAX[what] + UPDATES_PER_CALL * (calls - self._calls):
            raise ConnectionFault(ENHANCE_YOUR_CALM, f"more than {PER_SECOND_MAX[what]} of {what} within a second")
