"""One timer for all deadlines of a connection: coarse slots, so that a deadline costs two dictionary look-ups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

Item = TypeVar("Item")

TICK_S: Final = 0.010


class DeadlineWheel(Generic[Item]):
    """Calls `expire` with each item at most two ticks after its deadline; whether that still matters, it decides."""

    def __init__(self, loop: asyncio.AbstractEventLoop, expire: Callable[[Item], None]) -> None:
        self._loop = loop
        self._expire = expire
        self._slots: dict[int, list[Item]] = {}
        self._next = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, deadline_s: float, item: Item) -> None:
        """Remember an item until `deadline_s` on the loop's clock."""
        slot = int(deadline_s / TICK_S) + 1
        items = self._slots.get(slot)
        if items is not None:
            items.append(item)
            return
        if self._timer is None:
            self._next = int(self._loop.time() / TICK_S)
            self._timer = self._loop.call_later(TICK_S, self._turn)
        slot = max(slot, self._next)  # what has passed is due with the next tick
        self._slots.setdefault(slot, []).append(item)

    def stop(self) -> None:
        """Forget everything."""
        self._slots.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _turn(self) -> None:
        due = int(self._loop.time() / TICK_S)
        expired = [item for slot in range(self._next, due + 1) for item in self._slots.pop(slot, ())]
        self._next = due + 1
        self._timer = self._loop.call_later(TICK_S, self._turn) if self._slots else None
        for item in expired:
            self._expire(item)
