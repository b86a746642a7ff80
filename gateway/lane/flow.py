"""What leaves a connection: one write a turn, no more DATA than the peer's windows let through."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from gateway.lane import replies
from gateway.lane.body import PREFIX_BYTES
from gateway.lane.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_BYTES_MAX,
    HEADER_TABLE_START,
    HEADERS,
    WINDOW_MAX,
    WINDOW_START,
    frame,
    head,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from gateway.lane.replies import Refusal
    from gateway.turn import Turn

_HEADERS_START: Final = head.pack(len(replies.GRPC) << 8 | HEADERS, END_HEADERS, 0)[:PREFIX_BYTES]
_TRAILERS_START: Final = head.pack(len(replies.SUCCEEDED) << 8 | HEADERS, END_HEADERS | END_STREAM, 0)[:PREFIX_BYTES]
_before: Final = Struct(f">{PREFIX_BYTES}sI{len(replies.GRPC)}sIBIBI").pack
_after: Final = Struct(f">{PREFIX_BYTES}sI{len(replies.SUCCEEDED)}s").pack
"""An answer is one HEADERS frame, one DATA frame and one HEADERS frame: what stands before and after its message."""


class Outbox:
    """The frames of one connection that were not written yet, and the answers that its windows hold back."""

    __slots__ = (
        "_credits",
        "_held",
        "_on_done",
        "_out",
        "_scheduled",
        "_table_size",
        "_transport",
        "_turn",
        "frame_max",
        "paused",
        "window",
        "window_start",
    )

    def __init__(
        self,
        turn: Turn,
        transport: asyncio.Transport,
        on_done: Callable[[int], None],
    ) -> None:
        """`on_done` is told of each stream whose answer was held back and has left."""
        self._turn = turn
        self._transport = transport
        self._on_done = on_done
        self._out: list[bytes] = []
        self._scheduled = False
        self.paused = False
        self.window = WINDOW_START
        self.window_start = WINDOW_START
        """The window with which each stream begins; it may fall below what a stream has already sent."""
        self.frame_max = FRAME_BYTES_MAX
        self._credits: dict[int, int] = {}
        """By stream: what was granted to it beyond its first window, less what it has sent."""
        self._held: dict[int, tuple[bytes, int, bytes]] = {}
        """By stream, first come first served: what waits for a window, how much of it left, the frame that follows."""
        self._table_size: int | None = HEADER_TABLE_START

    # writing

    def put(self, frames: bytes) -> None:
        """Send frames with this turn's write."""
        self._out.append(frames)
        if not self._scheduled:
            self._scheduled = True
            self._turn.put_off(self.flush)

    def flush(self) -> None:
        """Write what is there, unless the peer does not take what was written before."""
        self._scheduled = False
        if self._out and not self.paused and not self._transport.is_closing():
            self._transport.write(b"".join(self._out))
            self._out.clear()

    # answers

    def answer(self, stream_id: int, message: bytes) -> bool:
        """Send an answer; returns whether all of it left, else `on_done` tells when it has."""
        length = len(message)
        size = length + PREFIX_BYTES
        # The usual answer fits into every window: one that waits for its own stream's is in nobody's way.
        if (
            size <= self.window
            and size <= self.window_start
            and size <= FRAME_BYTES_MAX
            and self._table_size is not None
        ):
            self.window -= size
            if self._credits:
                self._credits.pop(stream_id, None)
            start = _before(_HEADERS_START, stream_id, replies.GRPC, size << 8, 0, stream_id, 0, length)
            self._out.append(start + message + _after(_TRAILERS_START, stream_id, replies.SUCCEEDED))
            if not self._scheduled:
                self._scheduled = True
                self._turn.put_off(self.flush)
            return True
        self._headers(stream_id, replies.GRPC, END_HEADERS)
        trailers = frame(HEADERS, END_HEADERS | END_STREAM, stream_id, replies.SUCCEEDED)
        return self._data(stream_id, b"\0" + length.to_bytes(4) + message, trailers)

    def refuse(self, stream_id: int, refusal: Refusal) -> bool:
        """Send an answer that no method made; returns as `answer` does."""
        if not refusal.text:
            self._headers(stream_id, refusal.block, END_HEADERS | END_STREAM)
            return True
        self._headers(stream_id, refusal.block, END_HEADERS)
        return self._data(stream_id, refusal.text, b"")

    def _headers(self, stream_id: int, block: bytes, flags: int) -> None:
        if self._table_size is None:
            block, self._table_size = replies.TABLE_EMPTIED + block, 0
        assert len(block) <= FRAME_BYTES_MAX, "a message and its details are cut before they get here"
        self.put(frame(HEADERS, flags, stream_id, block))

    def _data(self, stream_id: int, data: bytes, last: bytes) -> bool:
        self._held[stream_id] = (data, 0, last)
        self._release(stream_id)
        return stream_id not in self._held

    def _release(self, stream_id: int) -> None:
        """Send of a held answer what may be sent; the last DATA frame ends the stream when nothing follows it."""
        data, at, last = self._held[stream_id]
        credit = self._credits.get(stream_id, 0)
        sent = max(0, min(self.window, self.window_start + credit, len(data) - at))
        end = at + sent
        while at < end:
            piece = data[at : min(at + self.frame_max, end)]
            at += len(piece)
            self.put(frame(DATA, END_STREAM if at == len(data) and not last else 0, stream_id, piece))
        self.window -= sent
        if at < len(data):
            self._credits[stream_id] = credit - sent
            self._held[stream_id] = (data, at, last)
        else:
            if last:
                self.put(last)
            self.forget(stream_id)

    def release(self) -> None:
        """Send of what is held back all that may leave now."""
        for stream_id in list(self._held):
            if self.window <= 0:
                return
            self._release(stream_id)
            if stream_id not in self._held:
                self._on_done(stream_id)

    def close(self) -> None:
        """Let go of everything that will never leave: calls whose answers are still to come keep us for a while."""
        self._out.clear()
        self._held.clear()
        self._credits.clear()

    def forget(self, stream_id: int) -> None:
        """Send nothing more of a stream that is at its end."""
        self._held.pop(stream_id, None)
        self._credits.pop(stream_id, None)

    # what the peer grants

    def grant(self, stream_id: int, more: int) -> bool:
        """Widen a stream's window, or the connection's for 0; returns whether it is still one."""
        if stream_id == 0:
            self.window += more
            if self.window > WINDOW_MAX:
                return False
            self.release()
            return True
        credit = self._credits.get(stream_id, 0) + more
        if self.window_start + credit > WINDOW_MAX:
            return False
        self._credits[stream_id] = credit
        if stream_id in self._held:
            self._release(stream_id)
            if stream_id not in self._held:
                self._on_done(stream_id)
        return True

    def start_with(self, window: int) -> bool:
        """Change the window with which streams begin, of those that are open too; returns whether all are still one.

        What that lets out waits for `release`.
        """
        self.window_start = window
        return all(window + credit <= WINDOW_MAX for credit in self._credits.values())

    def shrink_table(self, size: int) -> None:
        """Remember to say that our table is empty when the peer wants a smaller one."""
        if self._table_size is not None and size < self._table_size:
            self._table_size = None
