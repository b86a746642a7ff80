"""What the model keeps of a counter, and what a limit answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.counters.order import Span

MAX = 2**53 - 1


class Count(NamedTuple):
    """What is used of a counter since its window began; the base of a pool that rolls over knows which window."""

    used: int
    start_ms: int
    ordinal: int | None = None


class Slide(NamedTuple):
    """A sliding window: what is used in the window that is open, and in the one before it."""

    used: int
    start_ms: int
    before: int


class Arrival(NamedTuple):
    """A GCRA's theoretical arrival time."""

    at_us: int


class Slot(NamedTuple):
    """What one window left to later ones, and what they used of it."""

    used: int
    ordinal: int
    size: int


Stored = Count | Slide | Arrival | Slot
State = tuple[int, ...] | tuple[tuple[int, int, int], ...]


class Move(NamedTuple):
    """An amount that a counter's window gained."""

    counter: str
    start_ms: int
    amount: int


class Ruling(NamedTuple):
    """What a limit says, what it shows before and after, and what it would write.

    `base` is its counter, or a pool's plain one, and `window_ms` where that one's window begins by the order; its move,
    which may be of 0, is `moves[base_at]`.
    """

    base: str
    window_ms: int
    fits: bool
    before: State
    after: State
    outside: bool = False
    writes: Mapping[str, Stored] = {}
    moves: tuple[Move, ...] = ()
    base_at: int = 0
    needed_until_ms: int = 0
    subject: tuple[str, str, int, int] | None = None


def opened(span: Span, now_ms: int) -> tuple[int, int]:
    """Tell when a window starts and ends; one that is computed begins at a multiple of its length."""
    if span.start_ms:
        return span.start_ms, span.end_ms
    start = now_ms - now_ms % span.end_ms
    return start, start + span.end_ms


def running(stored: Mapping[str, Stored], counter: str, start_ms: int) -> Count:
    """Tell what is used in the window that began then, or in a newer one that is open already."""
    found = stored.get(counter)
    return found if isinstance(found, Count) and is_open(found, start_ms) else Count(0, start_ms)


def is_open(found: Count | Slide, start_ms: int) -> bool:
    """Tell whether a window that began then is open; one that began later is, too: TIME may have stepped back."""
    return found.start_ms >= start_ms


def ceiling_of(value: int, divisor: int) -> int:
    """Divide and round up."""
    return -(-value // divisor)
