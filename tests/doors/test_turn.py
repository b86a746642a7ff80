"""What a turn puts off is done at its end, once and whatever happens; what nobody's turn brought about, soon."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from gateway.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Callable


class Rounds:
    """A loop that only takes note of what it is asked to do in its next round."""

    def __init__(self) -> None:
        self.asked: list[Callable[[], None]] = []

    def call_soon(self, what: Callable[[], None]) -> None:
        """Take note of one."""
        self.asked.append(what)


async def test_what_is_put_off_is_done_at_the_end_of_the_turn() -> None:
    """Not before, not again with the next one, and with what it puts off in its turn."""
    turn, done = Turn(asyncio.get_running_loop()), []
    turn.begin()
    turn.put_off(lambda: (done.append("first"), turn.put_off(lambda: done.append("second"))))
    assert done == []
    turn.end()
    assert done == ["first", "second"]
    turn.begin()
    turn.end()
    await asyncio.sleep(0)
    assert done == ["first", "second"]


async def test_outside_a_turn_it_is_done_soon() -> None:
    """With the loop's next round, all of it together."""
    turn, done = Turn(asyncio.get_running_loop()), []
    turn.put_off(lambda: done.append(1))
    turn.put_off(lambda: done.append(2))
    assert done == []
    await asyncio.sleep(0)
    assert sorted(done) == [1, 2]


def test_the_loop_is_asked_only_where_nobody_has_begun() -> None:
    """Never within a turn; after one, as before it, once for all that is put off together."""
    rounds = Rounds()
    turn = Turn(cast("asyncio.AbstractEventLoop", rounds))
    turn.begin()
    turn.put_off(lambda: None)
    turn.end()
    assert rounds.asked == []
    for _ in range(100):
        turn.put_off(lambda: None)
    assert rounds.asked == [turn.end]


async def test_what_fails_costs_nobody_else_a_write() -> None:
    """The error is shown, and what else was put off is done soon."""
    turn, done = Turn(asyncio.get_running_loop()), []
    turn.begin()
    turn.put_off(lambda: done.append("other"))
    turn.put_off(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        turn.end()
    await asyncio.sleep(0)
    assert done == ["other"]
