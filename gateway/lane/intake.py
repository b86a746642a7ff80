"""How much DATA a peer may send: the windows that we grant, renewed when half of one is used up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.lane.frames import FLOW_CONTROL_ERROR, ConnectionFault, window_update
from gateway.lane.limits import CONNECTION_WINDOW, STREAM_WINDOW

if TYPE_CHECKING:
    from gateway.lane.body import Body
    from gateway.lane.replies import Refusal


class Intake:
    """The windows of one connection; what is granted leaves with the turn's write, and holds from then on."""

    __slots__ = ("_low", "_room", "kept")

    def __init__(self) -> None:
        self._room = CONNECTION_WINDOW
        self._low: dict[int, Body] = {}
        """Streams that have used up half of theirs in this turn."""
        self.kept = 0
        """Bytes of requests that are not at their end."""

    def take(self, size: int) -> None:
        """Take note of a DATA frame, whatever its stream is."""
        self._room -= size
        if self._room < 0:
            raise ConnectionFault(FLOW_CONTROL_ERROR, "more DATA than the connection's window")

    def keep(self, body: Body, piece: bytes) -> Refusal | None:
        """Put a piece where it belongs; returns why the whole can never be taken, as soon as that is known."""
        before = body.kept
        refusal = body.add(piece)
        self.kept += body.kept - before
        return refusal

    def took(self, stream_id: int, body: Body, size: int) -> bool:
        """Take note that so much is a stream's; returns whether its window allowed it."""
        body.room -= size
        if body.room <= STREAM_WINDOW // 2:
            self._low[stream_id] = body
        return body.room >= 0

    def release(self, stream_id: int, body: Body) -> None:
        """Let go of what came of a request that is at its end, and grant it nothing more."""
        self._low.pop(stream_id, None)
        self.kept -= body.kept

    def renewed(self) -> bytes:
        """Renew what is used up; returns the frames that say so."""
        frames = b""
        if self._room <= CONNECTION_WINDOW // 2:
            frames += window_update(0, CONNECTION_WINDOW - self._room)
            self._room = CONNECTION_WINDOW
        for stream_id, body in self._low.items():
            frames += window_update(stream_id, STREAM_WINDOW - body.room)
            body.room = STREAM_WINDOW
        self._low.clear()
        return frames
