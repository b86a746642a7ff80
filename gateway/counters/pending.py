"""The claims on their way: each has a number that is never given again, a deadline, and one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.counters.consume import COUNTED, REPLAYED
from gateway.counters.deadlines import DeadlineWheel

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator, Sequence

    from gateway.counters.ask import Ask
    from gateway.counters.consume import Answer
    from gateway.journal import Journal, Use

_NAMED: Final = frozenset((COUNTED, REPLAYED))


class Pending:
    """Calls of the script by the number of their first claim."""

    def __init__(self, loop: asyncio.AbstractEventLoop, journal: Journal | None) -> None:
        self._journal = journal
        self._wheel: DeadlineWheel[int] = DeadlineWheel(loop, self._expire)
        self._asks: dict[int, Ask] = {}
        self._number = 0

    def __contains__(self, ask: Ask) -> bool:
        """Tell whether a call still waits for its answer."""
        return self._asks.get(ask.number) is ask

    def __iter__(self) -> Iterator[Ask]:
        """Go through those that wait, the oldest number first."""
        return iter([self._asks[number] for number in sorted(self._asks)])

    def __len__(self) -> int:
        return len(self._asks)

    def enter(self, ask: Ask) -> None:
        """Give the claims of a call numbers; by its deadline it is answered."""
        ask.number = number = self._number + 1
        self._number += len(ask.orders) or 1
        self._asks[number] = ask
        self._wheel.add(ask.asker.deadline_s, number)

    def enter_anew(self, ask: Ask) -> None:
        """Give a call that certainly counted nothing other numbers."""
        self._asks.pop(ask.number, None)
        ask.first_sent_s = 0.0
        self.enter(ask)

    def part(self, ask: Ask) -> list[Ask]:
        """Let the claims of a call go on one by one, each with its number."""
        parts = ask.apart()
        for one in parts:
            self._asks[one.number] = one
            self._wheel.add(one.asker.deadline_s, one.number)
        return parts

    def finish(self, ask: Ask, answers: Sequence[Answer] = ()) -> None:
        """Tell the answers, unless some were told; what counted is in the journal by then, or is not told at all.

        Without answers, all are UNAVAILABLE.
        """
        if self._asks.get(ask.number) is not ask:
            return
        uses: list[Use] = []
        for place, answer in enumerate(answers):
            if answer.kind in _NAMED:
                order = ask.orders[place]
                answer.event_id = event_id = ask.named(place)
                if answer.kind == COUNTED and order.event is not None:  # else there is nothing that could be lost
                    uses.append((event_id, answer.now_ms, order.began_ms(answer.states), order.packed_entry))
        if uses and self._journal is not None:
            assert ask.footing is not None
            self._journal.add(ask.footing.packed_line, ask.bucket, uses)
        del self._asks[ask.number]
        ask.told(answers or ask.unavailable())

    def stop(self) -> None:
        """Let no deadline come any more."""
        self._wheel.stop()

    def _expire(self, number: int) -> None:
        ask = self._asks.get(number)
        if ask is not None:
            self.finish(ask)
