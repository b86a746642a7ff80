"""The claims on their way: each has a number that is never given again, a deadline, and one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.counters.consume import COUNTED, REPLAYED, UNAVAILABLE, Answer
from gateway.counters.deadlines import DeadlineWheel

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from gateway.counters.ask import Ask
    from gateway.journal import Journal

_UNAVAILABLE: Final = Answer(UNAVAILABLE)


class Pending:
    """Claims by their number, in the order in which they were numbered."""

    def __init__(self, loop: asyncio.AbstractEventLoop, journal: Journal | None) -> None:
        self._journal = journal
        self._wheel: DeadlineWheel[int] = DeadlineWheel(loop, self._expire)
        self._asks: dict[int, Ask] = {}
        self._number = 0

    def __contains__(self, ask: Ask) -> bool:
        """Tell whether a claim still waits for its answer."""
        return self._asks.get(ask.number) is ask

    def __iter__(self) -> Iterator[Ask]:
        """Go through those that wait, the oldest number first."""
        return iter(self._asks.values())

    def __len__(self) -> int:
        return len(self._asks)

    def enter(self, ask: Ask) -> None:
        """Give a claim a number; by its deadline it is answered."""
        self._number = ask.number = number = self._number + 1
        ask.first_sent_s = 0.0
        self._asks[number] = ask
        self._wheel.add(ask.deadline_s, number)

    def enter_anew(self, ask: Ask) -> None:
        """Give a claim that certainly was not counted another number."""
        self._asks.pop(ask.number, None)
        self.enter(ask)

    def finish(self, ask: Ask, answer: Answer = _UNAVAILABLE) -> None:
        """Tell the answer, unless one was told; what counted is in the journal by then, or is not told at all."""
        if self._asks.get(ask.number) is not ask:
            return
        kind, order = answer.kind, ask.order
        if kind in (COUNTED, REPLAYED):
            ask.event_id = ask.named()
            if kind == COUNTED and self._journal is not None and order.event is not None:
                assert ask.footing is not None
                self._journal.add(
                    ask.footing.line,
                    ask.event_id,
                    order.bucket,
                    answer.now_ms,
                    order.counter,
                    order.began_ms(answer.states),
                    order.event,
                )
        del self._asks[ask.number]
        ask.told(answer)

    def stop(self) -> None:
        """Let no deadline come any more."""
        self._wheel.stop()

    def _expire(self, number: int) -> None:
        ask = self._asks.get(number)
        if ask is not None:
            self.finish(ask)
