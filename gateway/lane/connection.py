"""One connection's bytes: cut into frames on their way in, and its life from the preface to the last goodbye."""

from __future__ import annotations

from asyncio import Protocol, Transport
from typing import TYPE_CHECKING, Any, Final, cast

from gateway.lane import frames
from gateway.lane.frames import ConnectionFault
from gateway.lane.limits import CONNECTION_WINDOW, HEADER_LIST_BYTES_MAX, PIECE_BYTES
from gateway.lane.session import Session
from gateway.telemetry import Event, log

if TYPE_CHECKING:
    from asyncio import BaseTransport
    from collections.abc import Callable
    from ssl import SSLObject

    from gateway.lane.lane import Lane

_LEAVING: Final = b"leaving?"
"""The PING whose answer says that the peer has heard that we go."""


class Connection(Protocol):
    """An asyncio protocol: what frames mean is its session's affair."""

    def __init__(self, lane: Lane, peer_of: Callable[[Transport], Any]) -> None:
        """`peer_of` says of a transport how it came to us; credentials know what to make of that."""
        self._lane = lane
        self._peer_of = peer_of
        self._rest = b""
        self._greeted = False
        self._leaving = False
        self._over = False
        self._last_id = 0
        self._since_s = lane.loop.time()
        """When what must not last began: without a preface, without a call, without a reader, at an end."""

    # asyncio.Protocol

    def connection_made(self, transport: BaseTransport) -> None:
        """Say what we take; nothing to a peer that is one too many or that came for another protocol."""
        lane, self._transport = self._lane, cast("Transport", transport)  # uvloop's is one in all but its class
        tls = cast("SSLObject | None", transport.get_extra_info("ssl_object"))
        self._session = Session(lane, self._transport, self._peer_of(self._transport), self._farewell, self._heard)
        if len(lane.connections) >= lane.limits.connections_max or (tls and tls.selected_alpn_protocol() != "h2"):
            self._over = True
            self._transport.abort()
            return
        lane.connections.add(self)
        settings = {
            frames.MAX_CONCURRENT_STREAMS: lane.limits.streams_max,
            frames.MAX_HEADER_LIST_SIZE: HEADER_LIST_BYTES_MAX,
        }
        wider = frames.window_update(0, CONNECTION_WINDOW - frames.WINDOW_START)
        self._session.outbox.put(frames.settings(settings) + wider)

    def data_received(self, data: bytes) -> None:
        """Take every whole frame; one that is cut waits for the rest of it."""
        if not self._over:
            self._rest = self._rest + data if self._rest else data
            turn = self._lane.turn
            turn.begin()
            self._go_on()
            turn.end()

    def _go_on(self) -> None:
        """Take what is there piece by piece, as long as the peer takes the answers to the piece before."""
        outbox, streams = self._session.outbox, self._session.streams
        more = True
        try:
            while more and not self._over and not outbox.paused:
                more = self._walk(self._rest)
                if more:
                    outbox.flush()
            streams.turn()
        except ConnectionFault as fault:
            self._end(fault.code, str(fault))
        except Exception as error:  # noqa: BLE001 - a bug costs this connection, no other
            log.error(Event.UNEXPECTED, exc_info=error)
            self._end(frames.INTERNAL_ERROR, "internal error")

    def pause_writing(self) -> None:
        """Take nothing more from a peer that takes nothing from us."""
        self._session.outbox.paused = True
        self._since_s = self._lane.loop.time()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._session.outbox.paused = False
        self._since_s = self._lane.loop.time()
        self._session.outbox.flush()
        self._go_on()
        if not self._over and not self._session.outbox.paused:
            self._transport.resume_reading()

    def connection_lost(self, _: Exception | None) -> None:
        """Let go of every call."""
        self._over = True
        self._rest = b""
        self._lane.connections.discard(self)
        self._session.streams.close()

    # frames

    def _walk(self, buffer: bytes) -> bool:
        """Take the frames of one piece; returns whether there may be more of them."""
        at, end = 0, len(buffer)
        if not self._greeted:
            at = self._greet(buffer)
        session = self._session
        last = min(end - frames.HEAD_BYTES, at + PIECE_BYTES)
        while at <= last and self._greeted and not self._over:
            word, flags, stream_id = frames.head.unpack_from(buffer, at)
            start = at + frames.HEAD_BYTES
            stop = start + (word >> 8)
            if stop - start > frames.FRAME_BYTES_MAX:
                raise ConnectionFault(frames.FRAME_SIZE_ERROR, "a frame is larger than 16,384 bytes")
            if stop > end:
                break
            at = stop
            takers = session.takers
            kind = word & 0xFF
            taker = takers[kind] if kind < len(takers) else takers[-1]
            taker(session, flags, stream_id & frames.STREAM_ID_MAX, buffer[start:stop])
        self._rest = buffer[at:]
        return at > last and end - at >= frames.HEAD_BYTES

    def _greet(self, buffer: bytes) -> int:
        """Take the preface; returns where the first frame begins."""
        if not frames.PREFACE.startswith(buffer[: len(frames.PREFACE)]):
            raise ConnectionFault(frames.PROTOCOL_ERROR, "the connection does not begin with HTTP/2's preface")
        self._greeted = len(buffer) >= len(frames.PREFACE)
        return len(frames.PREFACE) if self._greeted else 0

    # ends

    def leave(self) -> None:
        """Say that we go; calls that are begun before the peer has heard of it are answered."""
        if self._session.takers is Session.BEFORE_SETTINGS:
            self._end(frames.NO_ERROR, "leaving")
        elif not self._over and not self._leaving:
            self._leaving = True
            ping = frames.frame(frames.PING, 0, 0, _LEAVING)
            self._session.outbox.put(frames.goaway(frames.STREAM_ID_MAX, frames.NO_ERROR, "leaving") + ping)

    def _heard(self, pong: bytes) -> None:
        """Take no new call from a peer that has heard that we go."""
        streams = self._session.streams
        if self._leaving and not streams.leaving and pong == _LEAVING:
            streams.leaving = True
            self._session.outbox.put(frames.goaway(streams.past.last_id, frames.NO_ERROR, "leaving"))
            if not streams.calls:
                self._farewell()

    def _end(self, code: int, why: str) -> None:
        """Say why this is the end, and close."""
        if not self._over:
            self._session.outbox.put(frames.goaway(self._session.streams.past.last_id, code, why))
            self._farewell()

    def _farewell(self) -> None:
        """Close once everything has left."""
        self._over = True
        self._since_s = self._lane.loop.time()
        self._session.outbox.flush()
        self._transport.close()

    def abort(self) -> None:
        """Close now, whatever has not left yet."""
        self.connection_lost(None)
        self._transport.abort()

    def look(self, now_s: float) -> None:
        """End what has lasted too long."""
        limits, streams = self._lane.limits, self._session.streams
        for call in [call for call in streams.calls.values() if call.deadline_s + limits.over_s <= now_s]:
            streams.expired(call)  # what should have ended it has a bug, which shall not keep it for ever
        # 1. The end. 2. Before the first frame. 3. A peer that takes no answers. 4. In use. 5. Told goodbye. 6. Idle.
        if self._over:
            patience_s = limits.farewell_s
        elif self._session.takers is Session.BEFORE_SETTINGS:
            patience_s = limits.preface_s
        elif self._session.outbox.paused:
            patience_s = limits.slow_reader_s
        elif streams.calls or streams.past.last_id != self._last_id:
            self._last_id, self._since_s = streams.past.last_id, now_s
            return
        elif self._leaving:
            patience_s = limits.farewell_s
        else:
            if now_s - self._since_s >= limits.idle_s:
                self._since_s = now_s
                self.leave()
            return
        if now_s - self._since_s >= patience_s:
            self.abort()
