"""One timer for many deadlines: each item is handed over once, not before its deadline, and soon after it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.counters.deadlines import TICK_S, DeadlineWheel

if TYPE_CHECKING:
    from collections.abc import Callable

FINE_S = 1e-6
"""What is lost to binary fractions."""


@dataclass
class Clock:
    """A loop's clock that moves when it is told to, and its timers."""

    now_s: float = 1000.0
    timers: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def time(self) -> float:
        """Tell the time."""
        return self.now_s

    def call_later(self, delay_s: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Remember a call; its handle can cancel it."""
        timer = (self.now_s + delay_s, call)
        self.timers.append(timer)
        handle = type("Handle", (), {"cancel": lambda _: self.timers.remove(timer)})()
        return cast("asyncio.TimerHandle", handle)

    def move_to(self, now_s: float) -> None:
        """Let time pass and call what is due, in its order and at its time."""
        while self.timers and min(self.timers)[0] <= now_s:
            timer = min(self.timers, key=lambda one: one[0])
            self.timers.remove(timer)
            self.now_s = timer[0]
            timer[1]()
        self.now_s = now_s


@dataclass
class Wheel:
    """A wheel on such a clock, and when it handed over what."""

    clock: Clock = field(default_factory=Clock)
    expired: list[tuple[int, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        def expire(item: int) -> None:
            self.expired.append((item, self.clock.now_s))

        self.turning: DeadlineWheel[int] = DeadlineWheel(cast("asyncio.AbstractEventLoop", self.clock), expire)


WAITS = st.lists(st.tuples(st.floats(0, 0.1), st.floats(0, 2)), max_size=50)


@settings(deadline=None, database=None)
@given(waits=WAITS)
def test_each_item_is_handed_over_once_and_in_time(waits: list[tuple[float, float]]) -> None:
    """Whenever items come and however long they may wait: none early, none lost, none twice, none two ticks late."""
    wheel = Wheel()
    deadlines_s = []
    for pause_s, wait_s in waits:
        wheel.clock.move_to(wheel.clock.now_s + pause_s)
        deadlines_s.append(wheel.clock.now_s + wait_s)
        wheel.turning.add(deadlines_s[-1], len(deadlines_s) - 1)
    wheel.clock.move_to(wheel.clock.now_s + 3)
    assert sorted(item for item, _ in wheel.expired) == list(range(len(waits)))
    for item, at_s in wheel.expired:
        assert -FINE_S < at_s - deadlines_s[item] < 2 * TICK_S + FINE_S
    assert wheel.clock.timers == []


def test_a_thousand_items_wait_on_one_timer() -> None:
    """Many deadlines cost one timer, none is left when all are over, and the next item starts it again."""
    wheel = Wheel()
    for item in range(1000):
        wheel.turning.add(wheel.clock.now_s + item / 1000, item)
        assert len(wheel.clock.timers) == 1
    wheel.clock.move_to(1002)
    assert (len(wheel.expired), wheel.clock.timers) == (1000, [])
    wheel.turning.add(1003, 1000)
    wheel.clock.move_to(1004)
    assert wheel.expired[-1][0] == 1000


def test_a_loop_that_was_busy_hands_over_all_that_is_due() -> None:
    """When the timer comes seconds late, every slot in between is visited."""
    wheel = Wheel()
    for item in range(10):
        wheel.turning.add(wheel.clock.now_s + item / 10, item)
    (_, call), *_ = wheel.clock.timers
    wheel.clock.timers.clear()
    wheel.clock.now_s += 5
    call()
    assert [item for item, _ in wheel.expired] == list(range(10))


def test_a_deadline_that_has_passed_is_due_with_the_next_tick() -> None:
    """Whether the wheel stands still, turns already, or is just handing over: such an item does not wait for ever."""
    wheel = Wheel()
    wheel.turning.add(wheel.clock.now_s - 1, 1)
    wheel.clock.move_to(wheel.clock.now_s + 2 * TICK_S)
    assert [item for item, _ in wheel.expired] == [1]
    wheel.turning.add(wheel.clock.now_s + 1, 2)
    wheel.clock.move_to(wheel.clock.now_s + 0.5)
    wheel.turning.add(wheel.clock.now_s - 0.2, 3)
    wheel.clock.move_to(wheel.clock.now_s + 2 * TICK_S)
    assert [item for item, _ in wheel.expired] == [1, 3]
    wheel.clock.move_to(wheel.clock.now_s + 1)
    assert [item for item, _ in wheel.expired] == [1, 3, 2]


def test_what_is_handed_over_may_come_again() -> None:
    """An item that is added while others are handed over waits for its own turn, even when it is late already."""
    clock, seen = Clock(), []

    def expire(item: int) -> None:
        seen.append(item)
        if item < 5:
            wheel.add(0, item + 1)

    wheel: DeadlineWheel[int] = DeadlineWheel(cast("asyncio.AbstractEventLoop", clock), expire)
    wheel.add(0, 1)
    clock.move_to(clock.now_s + 1)
    assert (seen, clock.timers) == ([1, 2, 3, 4, 5], [])


def test_stopped_it_forgets_everything() -> None:
    """Nothing of before a stop is handed over, no timer is left, and it may be used again."""
    wheel = Wheel()
    wheel.turning.add(wheel.clock.now_s + 1, 1)
    wheel.turning.stop()
    assert wheel.clock.timers == []
    wheel.turning.stop()
    wheel.turning.add(wheel.clock.now_s + 2, 2)
    wheel.clock.move_to(1010)
    assert ([item for item, _ in wheel.expired], wheel.clock.timers) == ([2], [])


async def test_it_turns_on_a_real_loop() -> None:
    """Deadlines on the loop's own clock are met in their order."""
    expired: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    wheel: DeadlineWheel[str] = DeadlineWheel(loop, expired.put_nowait)
    for item, wait_s in (("last", 0.05), ("first", 0.0), ("second", 0.025)):
        wheel.add(loop.time() + wait_s, item)
    begun_s = loop.time()
    async with asyncio.timeout(5):
        assert [await expired.get() for _ in range(3)] == ["first", "second", "last"]
    assert loop.time() - begun_s >= 0.04
    wheel.stop()
