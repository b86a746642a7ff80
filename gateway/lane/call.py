"""One call: what a method is given, and the two ways in which it may end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.lane.body import Body
    from gateway.lane.opening import Opening


class Streams(Protocol):
    """Where a call came from and where its answer goes."""

    def answered(self, call: Call, message: bytes) -> None:
        """Send an answer."""

    def failed(self, call: Call, error: Exception) -> None:
        """Send an error."""

    def expired(self, call: Call) -> None:
        """End a call that nobody answered in time."""


@dataclass(frozen=True, slots=True)
class Method:
    """What answers a call: `submit` returns at once and sees to it that the call is answered or fails, exactly once."""

    submit: Callable[[Call], None]
    role: Any = None
    """What a caller must be; None when anybody may call, and then the call has no caller."""
    punctual: bool = False
    """Whether it answers each call by its deadline: then nobody else has to see to that."""


class Call(msgspec.Struct, eq=False):
    """A request that is whole, or is becoming so, and its stream."""

    streams: Streams
    stream_id: int
    opening: Opening
    deadline_s: float
    """On the loop's clock: nobody waits longer."""
    caller: Any = None
    message: bytes = b""
    """The request's message, uncompressed."""
    over: bool = False
    """Answered, failed or cancelled: nothing more is written for it."""
    ended: bool = False
    """Whether its peer has said all."""
    submitted: bool = False
    """Whether its method has it, and has not answered yet."""
    promised: bool = False
    """Whether its method has it, and answers by the deadline."""
    wanted: bool = True
    """Whether somebody waits: what was not begun for a call that is not wanted any more, is not begun."""
    body: Body | None = None
    """What has come of a request that does not come in one frame."""

    def abandon(self) -> None:
        """Take note that nobody waits any more."""
        self.over = True
        self.wanted = False

    def answer(self, message: bytes) -> None:
        """Answer with a message; nothing happens when the call is over."""
        self.streams.answered(self, message)

    def fail(self, error: Exception) -> None:
        """Answer with an error; nothing happens when the call is over."""
        self.streams.failed(self, error)
