"""When a limit's running window starts and ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from billing_core.entitlements import Window
from billing_core.periods import anchored_period, calendar_period, moment_of

if TYPE_CHECKING:
    from billing_core.periods import Interval

COMPUTED_MS: Final = {Window.SECOND: 1_000, Window.MINUTE: 60_000, Window.HOUR: 3_600_000}
"""Windows shorter than a day, by their length: the counting script computes where they start."""

CACHE_MAX: Final = 10_000


class Calendar:
    """Answers what the running calendar window is; remembers answers, since a window holds for many claims."""

    def __init__(self) -> None:
        self._known: dict[tuple[Window, int, Interval], tuple[int, int]] = {}

    def span(self, window: Window, now_ms: int, anchor_ms: int, interval: Interval) -> tuple[int, int]:
        """Return the [start, end) in ms since 1970 UTC of the window that holds `now_ms`.

        A billing period is counted from `anchor_ms` in steps of `interval`; every other window ignores both.
        """
        key = (window, anchor_ms if window is Window.BILLING_PERIOD else 0, interval)
        known = self._known.get(key)
        if known is not None and known[0] <= now_ms < known[1]:
            return known
        at = moment_of(now_ms)
        named = window.interval
        period = anchored_period(moment_of(anchor_ms), interval, at) if named is None else calendar_period(named, at)
        if len(self._known) >= CACHE_MAX:
            self._known.clear()
        self._known[key] = span = (period.start_ms, period.end_ms)
        return span
