"""Counting over one connection: every claim has a number, so that asking again never counts twice.

A claim whose reply was lost is sent again on the next connection, under its old number and only under the same line:
the script then either counts it or says that this number was seen, and the stream tells which.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Final

from gateway.counters import consume
from gateway.counters.consume import CLAIMS_MAX, COUNTED, FENCED, SEEN, UNREGISTERED, Answer
from gateway.counters.deadlines import TICK_S
from gateway.counters.pending import Pending
from gateway.counters.reconnect import stay_connected
from gateway.counters.standing import Standing, draw_gateway
from gateway.counters.usage import find
from gateway.errors import StoreUnavailableError
from gateway.telemetry import Event, Seldom

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.counters.ask import Ask
    from gateway.counters.connection import Address, Connection
    from gateway.counters.footing import Footing
    from gateway.journal import Journal

RESEND_S_MAX: Final = 5.0
"""A claim is sent again no later than this after its first sending: the flusher keeps entries twice as long."""

LOOK_UP_MARGIN_MS: Final = 1000
"""How much earlier than the first sending a lost event is looked for: clocks are not that exact."""

CHECK_EVERY_S: Final = 1.0
"""How often the server is asked who it is."""

_SERVER_CHANGED: Final = ("READONLY", "LOADING", "MASTERDOWN", "MOVED", "CLUSTERDOWN")
_BEFORE_ANY_WRITE: Final = ("BADARG", "WRONGTYPE")
"""One claim of a call can be the cause of these; the others are asked again without it."""


class Counters:
    """The live numbers of all buckets on one Redis."""

    def __init__(self, address: Address, *, timeout_ms: int, journal: Journal | None = None) -> None:
        """Every event that is counted is added to `journal`, under whose gateway this one begins to count."""
        self.standing = Standing(draw_gateway() if journal is None else journal.gateway)
        self._log = Seldom()
        self._address = address
        self._timeout_s = timeout_ms / 1000
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time
        self._connection: Connection | None = None
        self._down = False
        self._pending = Pending(self._loop, journal)
        self._looking: set[asyncio.Task[None]] = set()
        self._recheck = asyncio.Event()
        self._first_try = asyncio.Event()
        self._life: asyncio.Task[None] | None = None

    # a life in three words: start → consume … → stop

    async def start(self) -> None:
        """Connect; returns after the first try, whether it succeeded or not."""
        self._life = asyncio.create_task(
            stay_connected(self._address, self._serve, on_lost=self._recheck.set, on_down=self._went_down)
        )
        await self._first_try.wait()

    async def stop(self) -> None:
        """Let what is on its way come back, strike this gateway off, disconnect."""
        until = self._time() + self._timeout_s
        while self._pending and self._connection is not None and self._time() < until:  # noqa: ASYNC110 - at exit
            await asyncio.sleep(0.005)
        for ask in list(self._pending):
            self._pending.finish(ask)
        if self._connection is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.standing.strike_off(self._connection), self._timeout_s)
        self._pending.stop()
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)

    def check_lines(self) -> None:
        """Look at the lines now: the next epoch may be open."""
        self._recheck.set()

    def consume(self, ask: Ask) -> None:
        """Count one claim.

        The answer is UNAVAILABLE at once when Redis is known to be away or the bucket's line does not hold.
        """
        self._pending.enter(ask)
        if self._connection is not None:
            self._send(ask, self._connection)
        elif self._down:
            self._pending.finish(ask)

    def consume_many(self, asks: Sequence[Ask]) -> None:
        """Count claims of one bucket in their order, with few calls of the script; each is told for itself."""
        if self._connection is None:
            for ask in asks:
                self.consume(ask)
            return
        for ask in asks:
            self._pending.enter(ask)
        for first in range(0, len(asks), CLAIMS_MAX):
            self._send_many(asks[first : first + CLAIMS_MAX], self._connection)

    # sending

    def _send(self, ask: Ask, connection: Connection) -> None:
        footing = self._set_out(ask, connection)
        if footing is not None:
            number = consume.PEEK if ask.order.peek else ask.number
            connection.send(consume.command(footing, ask.order, number), partial(self._heard, ask))

    def _send_many(self, asks: Sequence[Ask], connection: Connection) -> None:
        out = [(ask, footing) for ask in asks if (footing := self._set_out(ask, connection)) is not None]
        if not out:
            return
        sent, (footing, *_) = zip(*out, strict=True)
        numbers = [consume.PEEK if ask.order.peek else ask.number for ask in sent]
        packed = consume.command_of_many(footing, [ask.order for ask in sent], numbers)
        connection.send(packed, partial(self._heard_many, sent))

    def _set_out(self, ask: Ask, connection: Connection) -> Footing | None:
        """Tell on what a claim is counted; what must not be sent is answered instead."""
        now_s = self._time()
        footing = self.standing.footings[ask.order.bucket]
        if footing is None or not ask.wanted or ask.deadline_s <= now_s:
            self._pending.finish(ask)
            return None
        ask.footing, ask.sent_on, ask.sent_s = footing, connection, now_s
        if not ask.first_sent_s:
            ask.first_sent_s = now_s
        return footing

    def _send_anew(self, ask: Ask, connection: Connection) -> None:
        """Ask again what certainly was not counted: under a new number."""
        self._pending.enter_anew(ask)
        self._send(ask, connection)

    # hearing

    def _heard(self, ask: Ask, reply: object) -> None:
        if isinstance(reply, Exception):
            self._refused((ask,), reply)
        else:
            self._take(ask, consume.read(reply, ask.order))

    def _heard_many(self, asks: Sequence[Ask], reply: object) -> None:
        if isinstance(reply, Exception):
            self._refused(asks, reply)
        else:
            for ask, answer in zip(asks, consume.read_many(reply, [ask.order for ask in asks]), strict=True):
                self._take(ask, answer)

    def _take(self, ask: Ask, answer: Answer) -> None:
        """Take the script's answer for what it says.

        1. It was answered meanwhile, by its deadline.
        2. The bucket does not hold, which precedes any write: asked again if the lines, looked at anew, do.
        3. The number was seen. Without an event nobody can tell what became of it, and a key would have told.
        4. It is what the caller waits for.
        """
        if ask not in self._pending:
            return
        kind, connection = answer.kind, ask.sent_on
        assert connection is not None
        if kind in (FENCED, UNREGISTERED):
            self.standing.footings[ask.order.bucket] = None
            ask.sent_on, ask.first_sent_s = None, 0.0
            self._recheck.set()
        elif kind == SEEN and (ask.order.event is None or ask.order.key is not None):
            self._send_anew(ask, connection)
        elif kind == SEEN:
            task = asyncio.ensure_future(self._look_up(ask, answer, connection))
            self._looking.add(task)
            task.add_done_callback(self._looking.discard)
        else:
            self._pending.finish(ask, answer)

    def _refused(self, asks: Iterable[Ask], error: Exception) -> None:
        """Take an error for what it says.

        1. The connection is lost: its claims are sent again, or expire.
        2. The script is forgotten: nothing was done, bring it back.
        3. One claim of several cannot be counted, and nothing was written: each is asked for alone.
        4. The server is not what it was: look who answers before anything else is asked of it.
        5. Anything else (memory, a disk, a key that is not ours): these claims cannot be counted.
        """
        if isinstance(error, StoreUnavailableError):
            return
        code = str(error).partition(" ")[0]
        waiting = [ask for ask in asks if ask in self._pending]
        if not waiting:
            return
        connection = waiting[0].sent_on
        assert connection is not None
        if code == "NOSCRIPT":
            connection.send(consume.LOAD, lambda _: None)
        elif code not in _BEFORE_ANY_WRITE or len(waiting) == 1:
            self._log.warning(code, Event.COUNTING_REFUSED, error=str(error)[:200])
            if code in _SERVER_CHANGED:
                connection.close()
            for ask in waiting:
                self._pending.finish(ask)
            return
        for ask in waiting:
            self._send_anew(ask, connection)

    async def _look_up(self, ask: Ask, answer: Answer, connection: Connection) -> None:
        """Tell whether a number that is not above the last was counted: its event is in the stream, or it was not."""
        since_ms = answer.now_ms - int((self._time() - ask.first_sent_s) * 1000) - LOOK_UP_MARGIN_MS
        try:
            at_ms = await find(connection, ask.order.bucket, ask.named(), since_ms)
        except StoreUnavailableError:
            return  # with the next connection
        if ask not in self._pending:
            return
        if at_ms is None:
            self._send_anew(ask, connection)
        else:
            self._pending.finish(ask, Answer(COUNTED, at_ms, states=answer.states))

    # connections and lines

    async def _serve(self, connection: Connection) -> None:
        await self.standing.take_over(connection)
        await self.standing.read(connection)
        self._connection, self._down = connection, False
        self._first_try.set()
        self._send_waiting(connection)
        try:
            await self._watch(connection)
        finally:
            self._connection = None

    async def _watch(self, connection: Connection) -> None:
        """Until the connection is lost: see that it answers in time, and whether the lines still hold."""
        checked_s = self._time()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timeout_s / 4):
                    await self._recheck.wait()
            if connection.lost:
                return
            now_s = self._time()
            if self._overdue(connection):
                await asyncio.sleep(TICK_S)  # it may be us who were busy: let what has arrived be heard
                if self._overdue(connection):
                    raise StoreUnavailableError(f"Redis left a claim unanswered for {self._timeout_s:g} s")
            if self._recheck.is_set() or now_s - checked_s >= CHECK_EVERY_S:
                self._recheck.clear()
                checked_s = now_s
                await self.standing.read(connection)
                self._send_waiting(connection)

    def _overdue(self, connection: Connection) -> bool:
        oldest = next((ask for ask in self._pending if ask.sent_on is connection), None)
        return oldest is not None and self._time() - oldest.sent_s > self._timeout_s

    def _send_waiting(self, connection: Connection) -> None:
        """Send what waits for this connection: first again what an older one carried, in order, then what is new."""
        waiting = [ask for ask in self._pending if ask.sent_on is not connection]
        for ask in waiting:
            if ask.sent_on is None:
                continue
            same = ask.footing == self.standing.footings[ask.order.bucket]
            if same and self._time() - ask.first_sent_s < RESEND_S_MAX:
                self._send(ask, connection)
            else:
                self._pending.finish(ask)
        for ask in waiting:
            if ask.sent_on is None:
                self._send_anew(ask, connection)

    def _went_down(self, _: StoreUnavailableError) -> None:
        """Redis was tried and is away: answer what was never sent, and whoever asks from now on, at once."""
        self._connection, self._down = None, True
        self._first_try.set()
        for ask in list(self._pending):
            if ask.sent_on is None:
                self._pending.finish(ask)
