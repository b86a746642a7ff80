"""One call: what a method is given, and the two ways in which it may end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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

    def settled(self) -> None:
        """Take note that what was submitted is no longer under way."""


class UnderWay(Protocol):
    """Something that is done for a call."""

    wanted: bool


@dataclass(frozen=True, slots=True)
class Method:
    """What answers a call: `submit` returns at once and sees to it that the call is answered or fails, exactly once."""

    submit: Callable[[Call], None]
    role: Any = None
    """What a caller must be; None when anybody may call, and then the call has no caller."""


class Call:
    """A request that is whole, or is becoming so, and its stream."""

    __slots__ = (
        "body",
        "caller",
        "deadline_s",
        "ended",
        "message",
        "opening",
        "over",
        "stream_id",
        "streams",
        "submitted",
        "under_way",
    )

    def __init__(self, streams: Streams, stream_id: int, opening: Opening, deadline_s: float) -> None:
        self.streams = streams
        self.stream_id = stream_id
        self.opening = opening
        self.caller: Any = None
        self.deadline_s = deadline_s
        """On the loop's clock: nobody waits longer."""
        self.message = b""
        """The request's message, uncompressed."""
        self.over = False
        """Answered, failed or cancelled: nothing more is written for it."""
        self.ended = False
        """Whether its peer has said all."""
        self.submitted = False
        self.under_way: Sequence[UnderWay] = ()
        """What is done for it somewhere else, and is told when nobody waits any more."""
        self.body: Body | None = None
        """What has come of a request that does not come in one frame."""

    def abandon(self) -> None:
        """Take note that nobody waits any more: what was not begun is not begun."""
        self.over = True
        for one in self.under_way:
            one.wanted = False

    def answer(self, message: bytes) -> None:
        """Answer with a message; nothing happens when the call is over."""
        if self.submitted:
            self.submitted = False
            self.streams.settled()
        if not self.over:
            self.over = True
            self.streams.answered(self, message)

    def fail(self, error: Exception) -> None:
        """Answer with an error; nothing happens when the call is over."""
        if self.submitted:
            self.submitted = False
            self.streams.settled()
        if not self.over:
            self.over = True
            self.streams.failed(self, error)
