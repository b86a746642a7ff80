"""Counting over one connection: every claim has a number, so that asking again never counts twice.

A claim whose reply was lost is sent again on the next connection, under its old number and only under the same line:
the script then either counts it or says that this number was seen, and the stream tells which.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from gateway.counters.consume import COUNTED, FENCED, SEEN, UNREGISTERED, Answer
from gateway.counters.deadlines import TICK_S
from gateway.counters.pending import Pending
from gateway.counters.reconnect import stay_connected
from gateway.counters.standing import Standing, draw_gateway
from gateway.counters.usage import find
from gateway.errors import StoreUnavailableError
from gateway.telemetry import Event, Seldom

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.counters.ask import Ask
    from gateway.counters.connection import Address, Connection
    from gateway.journal import Journal
    from gateway.turn import Turn

RESEND_S_MAX: Final = 5.0
"""A claim is sent again no later than this after its first sending: the flusher keeps entries twice as long."""

LOOK_UP_MARGIN_MS: Final = 1000
"""How much earlier than the first sending a lost event is looked for: clocks are not that exact."""

CHECK_EVERY_S: Final = 1.0
"""How often the server is asked who it is."""

_SERVER_CHANGED: Final = ("READONLY", "LOADING", "MASTERDOWN", "MOVED", "CLUSTERDOWN")
_BEFORE_ANY_WRITE: Final = ("BADARG", "WRONGTYPE")
"""One claim of a call can be the cause of these; the others are asked again without it."""

_OF_THE_COUNTING: Final = frozenset((FENCED, UNREGISTERED, SEEN))


class Counters:
    """The live numbers of all buckets on one Redis."""

    def __init__(
        self, address: Address, *, timeout_ms: int, journal: Journal | None = None, turn: Turn | None = None
    ) -> None:
        """Every event that is counted is added to `journal`, under whose gateway this one begins to count.

        Claims leave at the end of `turn`, and whoever is answered may share it.
        """
        self.standing = Standing(draw_gateway() if journal is None else journal.gateway)
        self._log = Seldom()
        self._address = address
        self._turn = turn
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
            stay_connected(
                self._address, self._serve, on_lost=self._recheck.set, on_down=self._went_down, turn=self._turn
            )
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
        """Count the claims of one call of the script.

        They are answered UNAVAILABLE at once when Redis is known to be away or the bucket's line does not hold.
        """
        self._pending.enter(ask)
        if self._connection is not None:
            self._send(ask, self._connection)
        elif self._down:
            self._pending.finish(ask)

    # sending

    def _send(self, ask: Ask, connection: Connection) -> None:
        """Send a call; one that must not be sent is answered instead."""
        now_s, footing = self._time(), self.standing.footings[ask.bucket]
        if footing is None or not ask.asker.wanted or ask.asker.deadline_s <= now_s:
            self._pending.finish(ask)
            return
        ask.footing, ask.sent_on, ask.sent_s = footing, connection, now_s
        if not ask.first_sent_s:
            ask.first_sent_s = now_s
        connection.send(ask.command(footing), self._heard, ask)

    def _send_anew(self, ask: Ask, connection: Connection) -> None:
        """Ask again what certainly was not counted: under new numbers."""
        self._pending.enter_anew(ask)
        self._send(ask, connection)

    # hearing

    def _heard(self, ask: Ask, reply: object) -> None:
        """Take what Redis answered: most often, what the callers wait for."""
        if isinstance(reply, Exception):
            self._refused(ask, reply)
            return
        answers = ask.read(reply)
        for answer in answers:
            if answer.kind in _OF_THE_COUNTING:
                self._take(ask, answers)
                return
        self._pending.finish(ask, answers)

    def _take(self, ask: Ask, answers: Sequence[Answer]) -> None:
        """Take answers that say something of the counting, and not of a claim.

        1. It was answered meanwhile, by its deadline.
        2. The bucket does not hold, which precedes any write: asked again if the lines, looked at anew, do.
        3. Of several claims, some were seen: from here on they go different ways, unless they are counted together.
        4. The number was seen. Without an event nobody can tell what became of it, and a key would have told.
        """
        if ask not in self._pending:
            return
        connection, answer = ask.sent_on, answers[0]
        assert connection is not None
        if answer.kind in (FENCED, UNREGISTERED):
            self.standing.footings[ask.bucket] = None
            ask.sent_on, ask.first_sent_s = None, 0.0
            self._recheck.set()
        elif len(answers) > 1 and not ask.atomic:
            for part, one in zip(self._pending.part(ask), answers, strict=True):
                if one.kind == SEEN:
                    self._take(part, (one,))
                else:
                    self._pending.finish(part, (one,))
        elif (place := _place_of_event(ask)) is None:
            self._send_anew(ask, connection)
        else:
            task = asyncio.ensure_future(self._look_up(ask, answers, place, connection))
            self._looking.add(task)
            task.add_done_callback(self._looking.discard)

    def _refused(self, ask: Ask, error: Exception) -> None:
        """Take an error for what it says.

        1. The connection is lost: its claims are sent again, or expire.
        2. The script is forgotten: nothing was done, bring it back.
        3. One claim of several cannot be counted, and nothing was written: each is asked for alone.
        4. The server is not what it was: look who answers before anything else is asked of it.
        5. Anything else (memory, a disk, a key that is not ours): these claims cannot be counted.
        """
        if isinstance(error, StoreUnavailableError) or ask not in self._pending:
            return
        code = str(error).partition(" ")[0]
        connection = ask.sent_on
        assert connection is not None
        if code == "NOSCRIPT":
            connection.send(ask.load(), lambda _: None)
            self._send_anew(ask, connection)
        elif code in _BEFORE_ANY_WRITE and len(ask.orders) > 1 and not ask.atomic:
            for part in self._pending.part(ask):
                self._send_anew(part, connection)
        else:
            self._log.warning(code, Event.COUNTING_REFUSED, error=str(error)[:200])
            if code in _SERVER_CHANGED:
                connection.close()
            self._pending.finish(ask)

    async def _look_up(self, ask: Ask, answers: Sequence[Answer], place: int, connection: Connection) -> None:
        """Tell whether numbers that are not above the last were counted: the event is in the stream, or they were not.

        `place` is that of the claim whose event is looked for: of several, all were counted or none was.
        """
        since_ms = answers[0].now_ms - int((self._time() - ask.first_sent_s) * 1000) - LOOK_UP_MARGIN_MS
        try:
            at_ms = await find(connection, ask.bucket, ask.named(place), since_ms)
        except StoreUnavailableError:
            return  # with the next connection
        if ask not in self._pending:
            return
        if at_ms is None:
            self._send_anew(ask, connection)
        else:
            self._pending.finish(ask, [Answer(COUNTED, at_ms, states=answer.states) for answer in answers])

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
            same = ask.footing == self.standing.footings[ask.bucket]
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


def _place_of_event(ask: Ask) -> int | None:
    """Tell which claim's event says what became of a call; None when none does, or a key would have told."""
    for place, order in enumerate(ask.orders):
        if order.event is not None and (ask.atomic or order.key is None):
            return place
    return None
