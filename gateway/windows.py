"""When a limit's running window starts and ends, which number it has, and in which time zone."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final, NamedTuple

from billing_core.entitlements import Align, Window
from billing_core.errors import InvalidValueError
from billing_core.periods import EPOCH, Interval, anchored_period, calendar_period, moment_of

FOREVER_MS: Final = 2**53 - 1
"""When what has no end is over."""

COMPUTED_MS: Final = {Window.SECOND: 1_000, Window.MINUTE: 60_000, Window.HOUR: 3_600_000}
"""Windows shorter than a day, by their length: the counting script computes where they start."""

CACHE_MAX: Final = 10_000
ZONES_MAX: Final = 1_000
"""Twice as many as there are names of zones."""

_MONTHS: Final = 12
_WEEK: Final = timedelta(weeks=1)
_DAY: Final = timedelta(days=1)


class Timeline(NamedTuple):
    """How a subscription's time is counted: by which clocks, from when on, and in which billing periods."""

    zone: tzinfo
    anchor_ms: int
    interval: Interval


class Running(NamedTuple):
    """A window: [start, end) in ms since 1970, and its number; the next one's is one more.

    A start of 0 is left to the counting script, and the end is then the window's length; such windows have no number.
    """

    start_ms: int
    end_ms: int
    ordinal: int = 0


LIFETIME: Final = Running(1, FOREVER_MS)


class Calendar:
    """Answers what the running window is; remembers answers, since a window holds for many claims."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Running] = {}

    def running(self, window: Window, align: Align, timeline: Timeline, now_ms: int) -> Running:
        """Return the window that holds `now_ms`.

        1. Shorter than a day: computed by the script. 2. A lifetime has no end. 3. A billing period is that of the
        invoice, which is counted in UTC. 4. Aligned to the subscription: from its anchor on, by the customer's clocks.
        5. Else by the calendar of the customer's clocks.
        """
        if window in COMPUTED_MS:
            return Running(0, COMPUTED_MS[window])
        if window is Window.LIFETIME:
            return LIFETIME
        if window is Window.BILLING_PERIOD:
            key: tuple[object, ...] = (timeline.anchor_ms, timeline.interval)
        elif align is Align.SUBSCRIPTION:
            key = (timeline.anchor_ms, window, timeline.zone)
        else:
            key = (window, timeline.zone)
        known = self._known.get(key)
        if known is not None and known.start_ms <= now_ms < known.end_ms:
            return known
        if len(self._known) >= CACHE_MAX:
            self._known.clear()
        self._known[key] = found = _found(window, align, timeline, now_ms)
        return found

    def first_ordinal(self, window: Window, align: Align, timeline: Timeline) -> int:
        """Return the number of a subscription's first window: what nobody had before it cannot have been left."""
        return self.running(window, align, timeline, timeline.anchor_ms).ordinal


@lru_cache(maxsize=ZONES_MAX)
def zone_named(name: str) -> tzinfo:
    """Find a time zone by its IANA name. Raises InvalidValueError."""
    try:
        return UTC if name == "UTC" else zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: a folder, such as America
        rule = "an IANA name such as Europe/Berlin, of a zone that this system knows"
        raise InvalidValueError("timezone", name, "is not a time zone", rule) from error


def _found(window: Window, align: Align, timeline: Timeline, now_ms: int) -> Running:
    at, interval = moment_of(now_ms), window.interval
    if interval is None or align is Align.SUBSCRIPTION:
        zone = UTC if interval is None else timeline.zone
        interval = interval or timeline.interval
        anchor = moment_of(timeline.anchor_ms).astimezone(zone)
        period = anchored_period(anchor, interval, at)
        ordinal = _steps(anchor.replace(tzinfo=None), _clock(period.start, zone), interval)
    else:
        period = calendar_period(interval, at, timeline.zone)
        ordinal = _steps(_first(interval), _clock(period.start, timeline.zone), interval)
    return Running(period.start_ms, period.end_ms, ordinal)


def _clock(moment: datetime, zone: tzinfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


def _first(interval: Interval) -> datetime:
    """Return when clocks showed the start of number 0: 1970, or the week in which that began."""
    start = EPOCH.replace(tzinfo=None)
    return start - start.weekday() * _DAY if interval is Interval.WEEK else start


def _steps(origin: datetime, start: datetime, interval: Interval) -> int:
    """Count the boundaries from one to the other by what clocks show; a boundary that moved is later, and by less."""
    match interval:
        case Interval.YEAR:
            return start.year - origin.year
        case Interval.MONTH:
            return (start.year - origin.year) * _MONTHS + start.month - origin.month
        case _:
            return (start - origin) // (_WEEK if interval is Interval.WEEK else _DAY)
