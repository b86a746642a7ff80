"""The windows of a commitment: the stretches of the calendar in which a plan ran, and what a meter used in each."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from decimal import Decimal

from billing_core.errors import InvalidValueError
from billing_core.periods import Interval, Period, calendar_period
from billing_core.prices.measured import Usage
from billing_core.proration import WHOLE, ProrationBasis, Share, share

WINDOWS_MAX = 10_000
"""A year has fewer hours."""

WINDOWS = {
    Interval.HOUR: timedelta(hours=1),
    Interval.DAY: timedelta(days=1),
    Interval.WEEK: timedelta(weeks=1),
    Interval.MONTH: timedelta(days=28),
    Interval.YEAR: timedelta(days=365),
}
"""What a commitment can go by, and how long it is at least, or very nearly."""


@dataclass(frozen=True, slots=True)
class Window:
    """A window, as far as the plan ran in it."""

    ran: Period
    part: Share


def check_windows(field: str, ran: Period, interval: Interval) -> None:
    """Refuse more windows than anybody reads."""
    if (ran.end - ran.start) // WINDOWS[interval] > WINDOWS_MAX:
        raise InvalidValueError(field, interval, "is too short for the period", f"at most {WINDOWS_MAX} windows")


def windows_in(ran: Period, interval: Interval, zone: tzinfo, proration: ProrationBasis | None) -> tuple[Window, ...]:
    """List the windows of the zone's calendar; one in which the plan ran for a part commits to that part."""
    windows = []
    start = ran.start
    while start < ran.end:
        whole = calendar_period(interval, start, zone)
        piece = Period(start, min(whole.end, ran.end))
        part = WHOLE if proration is None else share(whole, piece.start, piece.end, proration, zone)
        windows.append(Window(piece, part))
        start = piece.end
    return tuple(windows)


def used_in(windows: Iterable[Window], usage: Iterable[Usage]) -> tuple[Decimal, ...]:
    """Add up, in the exact context, what was used in each window; what was used outside all of them is not counted."""
    listed = tuple(windows)
    used = [Decimal(0) for _ in listed]
    for use in usage:
        assert use.at is not None, "a use without a moment is refused before"
        number = bisect_right(listed, use.at, key=lambda window: window.ran.start) - 1
        if number >= 0 and use.at < listed[number].ran.end:
            used[number] += use.quantity
    return tuple(used)
