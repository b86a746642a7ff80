"""The streams of one connection: which frames each may see (RFC 9113 §5.1), and when its request becomes a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.errors import OverloadedError
from gateway.lane import frames, replies
from gateway.lane.blocks import Blocks
from gateway.lane.body import PREFIX_BYTES, Body, prefix
from gateway.lane.call import Call
from gateway.lane.callers import Callers
from gateway.lane.frames import END_STREAM, PADDED, rst_stream, unpadded
from gateway.lane.intake import Intake
from gateway.lane.opening import MalformedRequestError
from gateway.lane.past import Past
from gateway.lane.replies import Refusal, failed_with
from gateway.status import status_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.lane.flow import Outbox
    from gateway.lane.guard import Guard
    from gateway.lane.lane import Lane


class ConnectionStreams:
    """The open streams of one connection, by their ids."""

    __slots__ = (
        "_blocks",
        "_callers",
        "_fresh",
        "_guard",
        "_intake",
        "_lane",
        "_on_empty",
        "_outbox",
        "calls",
        "leaving",
        "past",
    )

    def __init__(self, lane: Lane, outbox: Outbox, guard: Guard, peer: Any, on_empty: Callable[[], None]) -> None:
        """`on_empty` is told when no stream is left of a connection that is leaving."""
        self._lane = lane
        self._outbox = outbox
        self._guard = guard
        self._on_empty = on_empty
        self._blocks = Blocks(lane.methods)
        self._callers = Callers(lane.credentials, peer)
        self._intake = Intake()
        self._fresh: list[Call] = []
        self.calls: dict[int, Call] = {}
        self.past = Past()
        self.leaving = False

    # what comes in

    def block(self, stream_id: int, flags: int, block: bytes) -> None:
        """Take a whole header block: the beginning of a request, or its trailers."""
        if stream_id <= self.past.last_id:
            self._trailers(stream_id, flags, block)
            return
        self.past.begin(stream_id)
        opening = self._blocks.known.get(block)
        if opening is None:
            try:
                opening = self._blocks.opening(block)
            except MalformedRequestError:
                self._turn_away(stream_id, flags, frames.PROTOCOL_ERROR)
                return
        lane = self._lane
        if self.leaving or len(self.calls) >= lane.limits.streams_max:
            self._turn_away(stream_id, flags, frames.REFUSED_STREAM)
            return
        deadline_s = lane.loop.time() + min(opening.timeout_s, lane.deadline_s)
        call = self.calls[stream_id] = Call(self, stream_id, opening, deadline_s)
        self._fresh.append(call)
        if flags & END_STREAM or opening.refusal is not None:
            self._begin_oddly(call, flags)
            return
        try:
            call.caller = self._callers.caller_of(opening)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told in one shape
            call.fail(error)

    def data(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Take a DATA frame."""
        size = len(payload)
        self._intake.take(size)
        call = self.calls.get(stream_id)
        if call is None:
            self.past.check_begun(stream_id)
            if not self.past.overlooks(stream_id, last=bool(flags & END_STREAM)):
                self.reset(stream_id, frames.STREAM_CLOSED)
            return
        # The usual request: one whole message in one frame, neither padded nor compressed.
        if flags == END_STREAM and size >= PREFIX_BYTES and call.opening.plain and call.body is None and not call.ended:
            compressed, length = prefix(payload)
            if length == size - PREFIX_BYTES and not compressed:
                call.ended = True
                self._submit(call, payload[PREFIX_BYTES:])
                return
        self._piece(call, flags, payload)

    def cancel(self, stream_id: int) -> None:
        """Take a RST_STREAM frame: nobody waits for this call any more."""
        self.past.check_begun(stream_id)
        self.past.overlooks(stream_id, last=True)
        self._guard.count("reset")
        self._drop(stream_id)

    def grant(self, stream_id: int, more: int) -> None:
        """Take a WINDOW_UPDATE frame of a stream."""
        self.past.check_begun(stream_id)
        if stream_id not in self.calls:
            return
        if more == 0:
            self.reset(stream_id, frames.PROTOCOL_ERROR)
        elif not self._outbox.grant(stream_id, more):
            self.reset(stream_id, frames.FLOW_CONTROL_ERROR)

    def turn(self) -> None:
        """End what came in at once: watch the calls that go on, grant anew what was used up."""
        for call in self._fresh:
            if not call.promised and call.stream_id in self.calls:
                self._lane.watch(call)
        self._fresh.clear()
        if grants := self._intake.renewed():
            self._outbox.put(grants)

    def _begin_oddly(self, call: Call, flags: int) -> None:
        """Begin a call that is refused whatever it brings, or that brings no message."""
        refusal = call.opening.refusal
        if refusal is replies.LIST_TOO_LARGE:
            self._guard.count("metadata that is too large")
        if flags & END_STREAM:
            self._piece(call, END_STREAM, b"")
        elif refusal is not None and not refusal.patient:
            self._refuse(call, refusal)

    def _trailers(self, stream_id: int, flags: int, block: bytes) -> None:
        """Take a block for a stream that is not new; it is read in any case, or the next could not be."""
        malformed = False
        try:
            self._blocks.trailers(block)
        except MalformedRequestError:
            malformed = True
        call = self.calls.get(stream_id)
        if call is None:
            if not self.past.overlooks(stream_id, last=True):
                raise self.past.fault_of_headers(stream_id)
        elif call.ended:
            self.reset(stream_id, frames.STREAM_CLOSED)
        elif malformed or not flags & END_STREAM:
            self.reset(stream_id, frames.PROTOCOL_ERROR)
        else:
            self._piece(call, END_STREAM, b"")

    def _piece(self, call: Call, flags: int, payload: bytes) -> None:
        """Take a piece of a request, or the end of it."""
        if call.ended:
            self.reset(call.stream_id, frames.STREAM_CLOSED)
            return
        body = call.body = call.body or Body(call.opening, self._lane.limits.message_bytes_max)
        if not self._intake.took(call.stream_id, body, len(payload)):
            self.reset(call.stream_id, frames.FLOW_CONTROL_ERROR)
            return
        piece = unpadded(flags & PADDED, payload)
        call.ended = bool(flags & END_STREAM)
        if not piece and not call.ended:
            self._guard.count("empty DATA")
        refusal = self._intake.keep(body, piece)
        if refusal is not None:
            self._refuse(call, refusal)
        elif self._intake.kept > self._lane.limits.body_bytes_max:
            call.fail(OverloadedError("this connection has sent too much of requests that it does not end"))
        elif call.ended:
            self._whole(call, body)

    def _whole(self, call: Call, body: Body) -> None:
        """Submit a request that is at its end, or say why not."""
        self._release(call)
        found = call.opening.refusal or body.message()
        if not body.fits:
            self.reset(call.stream_id, frames.PROTOCOL_ERROR)
        elif isinstance(found, Refusal):
            self._refuse(call, found)
        else:
            self._submit(call, found)

    def _submit(self, call: Call, message: bytes) -> None:
        lane = self._lane
        if call.deadline_s <= lane.loop.time():
            self._refuse(call, replies.DEADLINE_SPENT)
            return
        if lane.in_flight >= lane.limits.in_flight_max:
            call.fail(OverloadedError("too many calls are under way"))
            return
        method = call.opening.method
        assert method is not None, "an opening without a method has a refusal"
        lane.in_flight += 1
        call.submitted, call.promised, call.message = True, method.punctual, message
        try:
            method.submit(call)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told in one shape
            call.fail(error)

    # answers: what calls ask of their connection

    def answered(self, call: Call, message: bytes) -> None:
        """Send an answer, unless the call is over."""
        if call.submitted:
            call.submitted = False
            self._lane.in_flight -= 1
        if call.over:
            return
        call.over = True
        if self._outbox.answer(call.stream_id, message):
            self._close(call)
        else:
            self._lane.watch(call)

    def failed(self, call: Call, error: Exception) -> None:
        """Send an error, unless the call is over."""
        if call.submitted:
            call.submitted = False
            self._lane.in_flight -= 1
        if not call.over:
            self._refuse(call, Refusal(failed_with(status_of(error))))

    def expired(self, call: Call) -> None:
        """End a call that is still open well after its deadline."""
        if self.calls.get(call.stream_id) is not call:
            return
        if call.over:  # answered, and its peer's window never let the answer through
            self.reset(call.stream_id, frames.CANCEL)
        else:
            self._refuse(call, replies.DEADLINE_SPENT)

    def _refuse(self, call: Call, refusal: Refusal) -> None:
        call.over = True
        self._release(call)
        if self._outbox.refuse(call.stream_id, refusal):
            self._close(call)

    # ends

    def sent(self, stream_id: int) -> None:
        """Close a stream whose answer was held back and has left."""
        self._close(self.calls[stream_id])

    def _close(self, call: Call) -> None:
        """End a stream that was answered; a peer that has not said all is told that the rest is of no interest."""
        stream_id = call.stream_id
        del self.calls[stream_id]
        if not call.ended:
            self._outbox.put(rst_stream(stream_id, frames.NO_ERROR))
            self.past.forsake(stream_id)
        if self.leaving and not self.calls:
            self._on_empty()

    def reset(self, stream_id: int, code: int) -> None:
        """End a stream by our will: what its peer did was wrong, or comes too late."""
        call = self.calls.get(stream_id)
        self._turn_away(stream_id, END_STREAM if call is None or call.ended else 0, code)
        self._drop(stream_id)

    def _turn_away(self, stream_id: int, flags: int, code: int) -> None:
        """Send RST_STREAM; who makes us do that too often, asks for work and never waits for it."""
        self._guard.count("reset")
        self._outbox.put(rst_stream(stream_id, code))
        if not flags & END_STREAM:
            self.past.forsake(stream_id)

    def _drop(self, stream_id: int) -> None:
        if call := self.calls.pop(stream_id, None):
            call.abandon()
            self._outbox.forget(stream_id)
            self._release(call)
            if self.leaving and not self.calls:
                self._on_empty()

    def _release(self, call: Call) -> None:
        if call.body is not None:
            self._intake.release(call.stream_id, call.body)
            call.body = None

    def close(self) -> None:
        """The connection is gone: what is answered from now on is for nobody."""
        for call in self.calls.values():
            call.abandon()
            call.body = None
        self.calls.clear()
        self._outbox.close()
