"""What an attacker got, kept as an accountant would: no more than its limits give may ever have been admitted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.counters.order import Gcra, Limit, Member, Pool, Quota, Rolled, Seats, Sliding
from tests.model.stored import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass
class Use:
    """Something that was admitted: when, how much was asked for, against which limits; until when, if it is held.

    `quantity` is what was used of it, as far as is known; `within`, what of that was within what was held meanwhile:
    what is beyond counts on a pool's base, over any ceiling, and leaves the other members to be used.
    """

    at_us: int
    asked: int
    limits: tuple[Limit, ...]
    due_us: int | None = None
    quantity: int = field(init=False)
    within: int = field(init=False)

    def __post_init__(self) -> None:
        self.quantity = self.within = self.asked


@dataclass
class Ledger:
    """All that was admitted so far."""

    uses: list[Use] = field(default_factory=list)

    def admit(self, use: Use) -> list[str]:
        """Enter a use; report each limit that did not give it."""
        self.uses.append(use)
        return [
            f"{limit} gave {given} of {most}" for limit in use.limits for given, most in self.gains(limit, use.at_us)
        ]

    def gains(self, limit: Limit, now_us: int) -> Iterable[tuple[int, int]]:
        """Yield what was got and what there is, where the first is more."""
        checks: dict[type, Callable[[], Iterable[tuple[int, int]]]] = {
            Quota: lambda: self._quota(limit, now_us),  # type: ignore[arg-type]
            Sliding: lambda: self._sliding(limit, now_us),  # type: ignore[arg-type]
            Gcra: lambda: self._gcra(limit, now_us),  # type: ignore[arg-type]
            Pool: lambda: self._pool(limit, now_us),  # type: ignore[arg-type]
            Seats: lambda: self._seats(limit, now_us),  # type: ignore[arg-type]
        }
        return [(given, most) for given, most in checks[type(limit)]() if given > most]

    def _under(self, limit: Limit) -> list[Use]:
        name = name_of(limit)
        return [use for use in self.uses if any(name_of(other) == name for other in use.limits)]

    def _quota(self, limit: Quota, now_us: int) -> Iterable[tuple[int, int]]:
        if limit.ceiling is None:
            return
        start, end = opened(limit.span, now_us // 1000)
        within = [use for use in self._under(limit) if start <= use.at_us // 1000 < end]
        if limit.counter.endswith("#"):
            yield sum(use.quantity for use in within if use.due_us is not None and use.due_us > now_us), limit.ceiling
        else:
            yield sum(use.quantity if limit.kept else use.asked for use in within), limit.ceiling

    def _sliding(self, limit: Sliding, now_us: int) -> Iterable[tuple[int, int]]:
        """In a window that is counted no more than the ceiling; in any other of its length no more than twice that."""
        length_us = limit.length_ms * 1000
        start_us = now_us - now_us % length_us
        under = self._under(limit)
        yield sum(use.asked for use in under if use.at_us >= start_us), limit.ceiling
        yield sum(use.asked for use in under if use.at_us > now_us - length_us), 2 * limit.ceiling

    def _gcra(self, limit: Gcra, now_us: int) -> Iterable[tuple[int, int]]:
        """In any stretch of time, a burst and what the stretch is worth; both in µs times the ceiling."""
        got = 0
        for use in reversed(self._under(limit)):
            got += use.asked
            worth = limit.burst * limit.period_us + limit.ceiling + (now_us - use.at_us) * limit.ceiling
            yield got * limit.period_us, worth

    def _pool(self, limit: Pool, now_us: int) -> Iterable[tuple[int, int]]:
        """In so many windows up to this one: as many allowances, what rolled into the first, and what is beside."""
        if limit.beyond is None:
            return
        base = limit.members[limit.base]
        assert isinstance(base, Member)
        rolled = [member for member in limit.members if isinstance(member, Rolled)]
        each = base.size + limit.beyond + max((member.minimum for member in rolled), default=0)
        start, end = opened(base.span, now_us // 1000)
        under = self._under(limit)
        windows = {use.at_us // 1000 // (end - start) for use in under}
        for first in windows:
            since = [use for use in under if use.at_us // 1000 // (end - start) >= first]
            most = (max(windows) - first + 1) * each + sum(member.maximum for member in rolled)
            yield sum(use.within for use in since), most + beside(limit, since)

    def _seats(self, limit: Seats, now_us: int) -> Iterable[tuple[int, int]]:
        if limit.ceiling is None:
            return
        since_ms = now_us // 1000 - limit.active_ms if limit.active_ms else limit.since_ms
        subjects = {
            other.subject
            for use in self.uses
            if use.at_us // 1000 >= since_ms
            for other in use.limits
            if isinstance(other, Seats) and other.key == limit.key
        }
        yield len(subjects), limit.ceiling


def beside(limit: Pool, uses: list[Use]) -> int:
    """Tell what a pool has beside its base: each grant once, each add-on once in each of its windows."""
    total = 0
    for place, member in enumerate(limit.members):
        if place == limit.base or isinstance(member, Rolled):
            continue
        length_ms = member.span.end_ms - member.span.start_ms
        total += member.size * (len({use.at_us // 1000 // length_ms for use in uses}) if ":" in member.counter else 1)
    return total


def name_of(limit: Limit) -> str:
    """Name what a limit counts on."""
    if isinstance(limit, Pool):
        return limit.members[limit.base].counter
    return limit.key if isinstance(limit, Seats) else limit.counter
