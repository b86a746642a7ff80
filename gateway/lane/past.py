"""Which streams of a connection there have been, and of which of them late frames are overlooked."""

from __future__ import annotations

from gateway.lane.frames import PROTOCOL_ERROR, STREAM_CLOSED, ConnectionFault
from gateway.lane.limits import FORSAKEN_MAX


class Past:
    """A stream that is not open is idle above `last_id`, and closed below."""

    __slots__ = ("_forsaken", "_passed_over", "last_id")

    def __init__(self) -> None:
        self.last_id = 0
        self._passed_over = range(0)
        self._forsaken: dict[int, None] = {}
        """Those that we ended before their peer did."""

    def begin(self, stream_id: int) -> None:
        """Note that a stream is opened."""
        if not stream_id & 1:
            raise ConnectionFault(PROTOCOL_ERROR, "a client's stream has an odd id")
        if stream_id != self.last_id + 2:
            self._passed_over = range((self.last_id + 1) | 1, stream_id, 2)
        self.last_id = stream_id

    def forsake(self, stream_id: int) -> None:
        """Overlook from now on what its peer sent before it hears of the end."""
        if len(self._forsaken) >= FORSAKEN_MAX:
            del self._forsaken[next(iter(self._forsaken))]
        self._forsaken[stream_id] = None

    def overlooks(self, stream_id: int, *, last: bool) -> bool:
        """Tell whether a frame of a closed stream is overlooked; the last one is the last that is."""
        if stream_id not in self._forsaken:
            return False
        if last:
            del self._forsaken[stream_id]
        return True

    def check_begun(self, stream_id: int) -> None:
        """Raise ConnectionFault for a frame of a stream that was never opened."""
        if stream_id > self.last_id or not stream_id & 1:
            raise ConnectionFault(PROTOCOL_ERROR, "a frame is for a stream that was never opened")

    def fault_of_headers(self, stream_id: int) -> ConnectionFault:
        """Say what is wrong with HEADERS for a stream that is neither open nor new."""
        if stream_id in self._passed_over or not stream_id & 1:
            return ConnectionFault(PROTOCOL_ERROR, "streams are opened in the order of their ids")
        return ConnectionFault(STREAM_CLOSED, "HEADERS are for a stream that is closed")
