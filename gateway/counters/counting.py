"""Counting over one connection: every claim has a number, so that asking again never counts twice.

A claim whose reply was lost is sent again on the next connection, under its old number and only under the same line:
the script then either counts it or says that this number was seen, and the stream tells which.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.counters import consume
from gateway.counters.connection import Address, Connection, ReplyError
from gateway.counters.deadlines import TICK_S, DeadlineWheel
from gateway.counters.reconnect import stay_connected
from gateway.counters.standing import Standing, draw_gateway
from gateway.counters.usage import find
from gateway.errors import StoreUnavailableError
from gateway.telemetry import Event, Seldom

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.counters.consume import Answer, Order
    from gateway.journal import Journal

RESEND_S_MAX: Final = 5.0
"""A claim is sent again no later than this after its first sending: the flusher keeps entries twice as long."""

LOOK_UP_MARGIN_MS: Final = 1000
"""How much earlier than the first sending a lost event is looked for: clocks are not that exact."""

CHECK_EVERY_S: Final = 1.0
"""How often the server is asked who it is."""

UNAVAILABLE: Final = consume.Answer(b"UNAVAILABLE")
"""The counters could not be asked, or what they did will not be known in time."""

_SERVER_CHANGED: Final = ("READONLY", "LOADING", "MASTERDOWN", "MOVED", "CLUSTERDOWN")


@dataclass(slots=True, eq=False)
class _Ask:
    """A claim on its way; `sent_on` is the connection that carries it."""

    order: Order
    reply: Callable[[Answer], None]
    number: int
    line: str = ""
    gateway: str = ""
    sent_on: Connection | None = None
    first_sent_s: float = 0.0
    sent_s: float = 0.0
    answered: bool = False


class Counters:
    """The live numbers of all buckets on one Redis."""

    def __init__(self, address: Address, *, timeout_ms: int, journal: Journal | None = None) -> None:
        """Every event that is counted is added to `journal`, under whose gateway this one begins to count."""
        self.standing = Standing(draw_gateway() if journal is None else journal.gateway)
        self._journal = journal
        self._log = Seldom()
        self._address = address
        self._timeout_s = timeout_ms / 1000
        self._loop = asyncio.get_running_loop()
        self._wheel: DeadlineWheel[_Ask] = DeadlineWheel(self._loop, self._expire)
        self._connection: Connection | None = None
        self._down = False
        self._number = 0
        self._pending: dict[int, _Ask] = {}
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
        until = self._loop.time() + self._timeout_s
        while self._pending and self._connection is not None and self._loop.time() < until:  # noqa: ASYNC110 - at exit
            await asyncio.sleep(0.005)
        for ask in list(self._pending.values()):
            self._answer(ask, UNAVAILABLE)
        if self._connection is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.standing.strike_off(self._connection), self._timeout_s)
        self._wheel.stop()
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)

    def check_lines(self) -> None:
        """Look at the lines now: the next epoch may be open."""
        self._recheck.set()

    def consume(self, order: Order, reply: Callable[[Answer], None], deadline_s: float) -> None:
        """Count one claim; `reply` gets the answer once, at the latest at `deadline_s` on the loop's clock.

        The answer is UNAVAILABLE at once when Redis is known to be away or the bucket's line does not hold.
        """
        connection = self._connection
        if self._down or (connection is not None and self.standing.lines[order.bucket] is None):
            reply(UNAVAILABLE)
            return
        self._number += 1
        ask = _Ask(order, reply, self._number)
        self._pending[ask.number] = ask
        self._wheel.add(deadline_s, ask)
        if connection is not None:
            self._send(ask, connection)

    # sending and hearing

    def _send(self, ask: _Ask, connection: Connection, *, whole_script: bool = False) -> None:
        line = self.standing.lines[ask.order.bucket]
        if line is None:
            self._answer(ask, UNAVAILABLE)
            return
        ask.line, ask.gateway, ask.sent_on = line, self.standing.gateway, connection
        ask.sent_s = self._loop.time()
        ask.first_sent_s = ask.first_sent_s or ask.sent_s
        number = consume.PEEK if ask.order.peek else ask.number
        packed = consume.command(ask.order, line, self.standing.gateway, number, whole_script=whole_script)
        connection.send(packed, lambda answer: self._heard(ask, answer))

    def _send_anew(self, ask: _Ask, connection: Connection, *, whole_script: bool = False) -> None:
        """Ask again what certainly was not counted: under a new number."""
        self._pending.pop(ask.number, None)
        self._number += 1
        ask.number, ask.first_sent_s = self._number, 0.0
        self._pending[ask.number] = ask
        self._send(ask, connection, whole_script=whole_script)

    def _heard(self, ask: _Ask, reply: object) -> None:
        if ask.answered or isinstance(reply, StoreUnavailableError):
            return  # answered by its deadline before; or lost with its connection: sent again or expired later
        assert ask.sent_on is not None
        if isinstance(reply, ReplyError):
            self._refused(ask, ask.sent_on, str(reply))
            return
        answer = consume.read(reply)
        match answer.kind:
            case b"FENCED" | b"UNREGISTERED":  # precedes any write: asked again if the lines, looked at anew, hold
                self.standing.lines[ask.order.bucket] = None
                ask.sent_on, ask.first_sent_s = None, 0.0
                self._recheck.set()
            case b"SEEN" if ask.order.event is None or ask.order.key is not None:
                self._send_anew(ask, ask.sent_on)  # without an event nobody can tell; a key would have told
            case b"SEEN":
                task = asyncio.ensure_future(self._look_up(ask, answer, ask.sent_on))
                self._looking.add(task)
                task.add_done_callback(self._looking.discard)
            case _:
                self._answer(ask, answer)

    def _refused(self, ask: _Ask, connection: Connection, error: str) -> None:
        """Take an error reply for what it says.

        1. The script is forgotten: nothing was done, send it whole.
        2. The server is not what it was: look who answers before anything else is asked of it.
        3. Anything else (memory, a disk, a key that is not ours): this claim cannot be counted.
        """
        code = error.partition(" ")[0]
        if code == "NOSCRIPT":
            self._send_anew(ask, connection, whole_script=True)
            return
        self._log.warning(code, Event.COUNTING_REFUSED, error=error[:200])
        if code in _SERVER_CHANGED:
            connection.close()
        self._answer(ask, UNAVAILABLE)

    async def _look_up(self, ask: _Ask, answer: Answer, connection: Connection) -> None:
        """Tell whether a number that is not above the last was counted: its event is in the stream, or it was not."""
        event_id = f"{ask.gateway}-{ask.number}"
        since_ms = answer.now_ms - int((self._loop.time() - ask.first_sent_s) * 1000) - LOOK_UP_MARGIN_MS
        try:
            found = await find(connection, ask.order.bucket, event_id, since_ms)
        except StoreUnavailableError:
            return  # with the next connection
        if ask.answered:
            return
        if found:
            counted = consume.Answer(b"COUNTED", answer.now_ms, answer.used, answer.window_start_ms, event_id)
            self._answer(ask, counted)
        else:
            self._send_anew(ask, connection)

    def _answer(self, ask: _Ask, answer: Answer) -> None:
        if not ask.answered:
            ask.answered = True
            self._pending.pop(ask.number, None)
            if self._journal is not None and answer.kind == b"COUNTED" and ask.order.event is not None:
                self._journal.add(
                    ask.line,
                    answer.event_id,
                    ask.order.bucket,
                    answer.now_ms,
                    ask.order.counter,
                    answer.window_start_ms,
                    ask.order.event,
                )
            ask.reply(answer)

    def _expire(self, ask: _Ask) -> None:
        self._answer(ask, UNAVAILABLE)

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
        checked_s = self._loop.time()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timeout_s / 4):
                    await self._recheck.wait()
            if connection.lost:
                return
            now_s = self._loop.time()
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
        oldest = next((ask for ask in self._pending.values() if ask.sent_on is connection), None)
        return oldest is not None and self._loop.time() - oldest.sent_s > self._timeout_s

    def _send_waiting(self, connection: Connection) -> None:
        """Send what waits for this connection: first again what an older one carried, in order, then what is new."""
        waiting = [ask for ask in self._pending.values() if ask.sent_on is not connection]
        for ask in waiting:
            if ask.sent_on is None:
                continue
            same = ask.line == self.standing.lines[ask.order.bucket] and ask.gateway == self.standing.gateway
            if same and self._loop.time() - ask.first_sent_s < RESEND_S_MAX:
                self._send(ask, connection)
            else:
                self._answer(ask, UNAVAILABLE)
        for ask in waiting:
            if ask.sent_on is None:
                self._send_anew(ask, connection)

    def _went_down(self, _: StoreUnavailableError) -> None:
        """Redis was tried and is away: answer what was never sent, and whoever asks from now on, at once."""
        self._connection, self._down = None, True
        self._first_try.set()
        for ask in list(self._pending.values()):
            if ask.sent_on is None:
                self._answer(ask, UNAVAILABLE)
