"""What each frame means to a connection, and which may come when: the preface, header blocks, settings, pings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from gateway.lane import frames
from gateway.lane.flow import Outbox
from gateway.lane.frames import ConnectionFault
from gateway.lane.guard import Guard
from gateway.lane.limits import CONTINUATIONS_MAX, HEADER_BLOCK_BYTES_MAX
from gateway.lane.streams import ConnectionStreams

if TYPE_CHECKING:
    from asyncio import Transport
    from collections.abc import Callable

    from gateway.lane.lane import Lane

    Takers = tuple[Callable[["Session", int, int, bytes], None], ...]

_SETTINGS_ACK: Final = frames.frame(frames.SETTINGS, frames.ACK, 0)
_SETTING_RANGE: Final = {
    frames.ENABLE_PUSH: (0, 1, frames.PROTOCOL_ERROR),
    frames.INITIAL_WINDOW_SIZE: (0, frames.WINDOW_MAX, frames.FLOW_CONTROL_ERROR),
    frames.MAX_FRAME_SIZE: (frames.FRAME_BYTES_MAX, frames.FRAME_BYTES_CEILING, frames.PROTOCOL_ERROR),
}


class Session:
    """The state of one connection; `takers` has, by type, what takes a frame now, and last what takes any other."""

    __slots__ = ("_block", "_block_of", "_guard", "_on_pong", "outbox", "streams", "takers")

    def __init__(
        self,
        lane: Lane,
        transport: Transport,
        peer: Any,
        on_empty: Callable[[], None],
        on_pong: Callable[[bytes], None],
    ) -> None:
        """`on_empty` is told when a leaving connection has no stream left, `on_pong` of each answer to a PING."""
        self._on_pong = on_pong
        self._guard = Guard(lane.loop.time)
        self.outbox = Outbox(lane.turn, transport, self._sent)
        self.streams = ConnectionStreams(lane, self.outbox, self._guard, peer, on_empty)
        self.takers = self.BEFORE_SETTINGS
        self._block = bytearray()
        self._block_of = (0, 0, 0)

    def _sent(self, stream_id: int) -> None:
        self.streams.sent(stream_id)

    def _take_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        self.streams.data(flags, stream_id, payload)

    def _take_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if flags & (frames.PADDED | frames.HAS_PRIORITY):
            if flags & frames.HAS_PRIORITY:
                at = flags >> 3 & 1  # behind the byte that counts the padding
                self._check_priority(stream_id, payload[at : at + 5])
            payload = frames.unpadded(flags, payload)
        if flags & frames.END_HEADERS:
            self.streams.block(stream_id, flags, payload)
        else:
            self._block = bytearray(payload)
            self._block_of = (stream_id, flags, 0)
            self.takers = self.IN_BLOCK

    def _take_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        begun, begun_flags, pieces = self._block_of
        if stream_id != begun:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "CONTINUATION is for another stream than its HEADERS")
        self._block += payload
        self._block_of = (begun, begun_flags, pieces + 1)
        if pieces >= CONTINUATIONS_MAX or len(self._block) > HEADER_BLOCK_BYTES_MAX:
            raise ConnectionFault(frames.ENHANCE_YOUR_CALM, "a header block has no end")
        if flags & frames.END_HEADERS:
            block, self._block, self.takers = bytes(self._block), bytearray(), self.OPEN
            self.streams.block(stream_id, begun_flags, block)

    def _take_priority(self, _: int, stream_id: int, payload: bytes) -> None:
        self._guard.count("PRIORITY")
        if stream_id == 0:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "PRIORITY is for no stream")
        if len(payload) != 5:  # noqa: PLR2004 - a stream and a weight
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "PRIORITY has not 5 bytes")
        self._check_priority(stream_id, payload)

    def _check_priority(self, stream_id: int, priority: bytes) -> None:
        """Overlook what a peer would have first, unless it makes no sense."""
        if int.from_bytes(priority[:4]) & frames.STREAM_ID_MAX == stream_id:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a stream depends on itself")

    def _take_reset(self, _: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:  # noqa: PLR2004 - a code
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "RST_STREAM has not 4 bytes")
        self.streams.cancel(stream_id)

    def _take_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._guard.count("SETTINGS")
        if stream_id != 0:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "SETTINGS are for a stream")
        if len(payload) % 6 or (flags & frames.ACK and payload):
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "SETTINGS have not 6 bytes each, or an ACK has some")
        if flags & frames.ACK:
            return
        for name, value in frames.setting.iter_unpack(payload):
            least, most, code = _SETTING_RANGE.get(name, (0, value, 0))
            if not least <= value <= most:
                raise ConnectionFault(code, f"setting {name} is {value}; expected {least} to {most}")
            if name == frames.INITIAL_WINDOW_SIZE and not self.outbox.start_with(value):
                raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "a window would be larger than 2^31-1")
            if name == frames.MAX_FRAME_SIZE:
                self.outbox.frame_max = value
            if name == frames.HEADER_TABLE_SIZE:
                self.outbox.shrink_table(value)
        self.outbox.put(_SETTINGS_ACK)
        self.outbox.release()

    def _take_first_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if flags & frames.ACK:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "the first SETTINGS frame is an ACK")
        self._take_settings(flags, stream_id, payload)
        self.takers = self.OPEN

    def _take_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._guard.count("PING")
        if stream_id != 0:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "PING is for a stream")
        if len(payload) != 8:  # noqa: PLR2004 - opaque
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "PING has not 8 bytes")
        if not flags & frames.ACK:
            self.outbox.put(frames.frame(frames.PING, frames.ACK, 0, payload))
        else:
            self._on_pong(payload)

    def _take_goaway(self, _: int, stream_id: int, payload: bytes) -> None:
        """Go on: what the peer has begun is answered, and then it closes."""
        if stream_id != 0:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "GOAWAY is for a stream")
        if len(payload) < 8:  # noqa: PLR2004 - a stream and a code
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "GOAWAY has fewer than 8 bytes")
        self._guard.count("unknown frame")

    def _take_window_update(self, _: int, stream_id: int, payload: bytes) -> None:
        self._guard.count("WINDOW_UPDATE", self.streams.past.last_id // 2)
        if len(payload) != 4:  # noqa: PLR2004 - a number of bytes
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "WINDOW_UPDATE has not 4 bytes")
        more = frames.number.unpack(payload)[0] & frames.WINDOW_MAX
        if stream_id:
            self.streams.grant(stream_id, more)
        elif more == 0:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "WINDOW_UPDATE grants nothing")
        elif not self.outbox.grant(0, more):
            raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "the connection's window would be larger than 2^31-1")

    def _take_unknown(self, _: int, __: int, ___: bytes) -> None:
        """Overlook what an extension that we do not know sends."""
        self._guard.count("unknown frame")

    def _refuse(self, _: int, __: int, ___: bytes) -> None:
        raise ConnectionFault(frames.PROTOCOL_ERROR, "this frame may not come here")

    # Each table has 10 types of frame and, last, any other.
    OPEN: ClassVar[Takers] = (
        _take_data,
        _take_headers,
        _take_priority,
        _take_reset,
        _take_settings,
        _refuse,  # PUSH_PROMISE is a server's
        _take_ping,
        _take_goaway,
        _take_window_update,
        _refuse,  # CONTINUATION
        _take_unknown,
    )
    BEFORE_SETTINGS: ClassVar[Takers] = (_refuse,) * 4 + (_take_first_settings,) + (_refuse,) * 6
    IN_BLOCK: ClassVar[Takers] = (_refuse,) * 9 + (_take_continuation, _refuse)
