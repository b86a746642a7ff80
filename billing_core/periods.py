"""Which period a moment lies in: calendar periods, and periods counted from a subscription's anchor.

Every period includes its start and excludes its end, so that periods of one kind tile the time, in every time zone.
Whoever asks hands the zone in, as any `tzinfo` that honours `fold`; nothing here reads a zone from a disk.

Days, weeks, months and years begin when the zone's clocks say so, and have 23 or 25 hours where clocks are moved. A
boundary that moved clocks skip falls on the moment of the move; one that they show twice, on the first time. Seconds,
minutes and hours are stretches of time, and the hour that clocks show twice is two hours; one is cut short only where
clocks are moved in its midst, as Lord Howe Island does by half an hour.
"""

from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import Enum
from typing import assert_never

from billing_core.errors import InvalidValueError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
YEARS = range(1970, 9998)
"""Years that a moment may lie in: the ends of its period must still be datetimes, in every zone."""

DAYS_MAX = 365

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


class Interval(Enum):
    """A length of time that the calendar has a name for, by its name in the catalog."""

    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


_LENGTHS = {
    Interval.SECOND: _SECOND,
    Interval.MINUTE: timedelta(minutes=1),
    Interval.HOUR: timedelta(hours=1),
    Interval.DAY: _DAY,
    Interval.WEEK: timedelta(weeks=1),
}


@dataclass(frozen=True, slots=True)
class Period:
    """The time from `start`, included, to `end`, excluded.

    Both are kept in UTC: Python compares and subtracts two moments of one zone by what their clocks show, which is
    wrong by an hour wherever clocks were moved in between.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            object.__setattr__(self, name, in_zone(name, getattr(self, name), UTC))
        if self.end <= self.start:
            raise InvalidValueError("end", self.end.isoformat(), "is not after the start", "a later moment")

    def contains(self, at: datetime) -> bool:
        """Whether the moment lies in the period."""
        return self.start <= at < self.end

    def holds(self, other: "Period") -> bool:
        """Whether all of the other one lies in it."""
        return self.start <= other.start and other.end <= self.end

    def text(self) -> str:
        """Say both ends, as an error does."""
        return f"{self.start.isoformat()} to {self.end.isoformat()}"

    @property
    def start_ms(self) -> int:
        """The start in whole milliseconds since 1970."""
        return milliseconds_of(self.start)

    @property
    def end_ms(self) -> int:
        """The end, excluded, in whole milliseconds since 1970."""
        return milliseconds_of(self.end)


def calendar_period(interval: Interval, at: datetime, zone: tzinfo = UTC) -> Period:
    """Find the second, minute, hour, day, ISO week (from Monday), month or year of a zone that holds the moment."""
    _check_moment("at", at)
    clock = in_zone("at", at, zone).replace(tzinfo=None)
    midnight = clock.replace(hour=0, minute=0, second=0, microsecond=0)
    match interval:
        case Interval.SECOND | Interval.MINUTE | Interval.HOUR:
            length = _LENGTHS[interval]
            return _stretch_around(at.astimezone(UTC), (clock - midnight) % length, length, zone)
        case Interval.DAY:
            first = midnight
        case Interval.WEEK:
            first = midnight - midnight.weekday() * _DAY
        case Interval.MONTH:
            first = midnight.replace(day=1)
        case Interval.YEAR:
            first = midnight.replace(month=1, day=1)
        case _:
            assert_never(interval)
    return _period_around(at, lambda index: moment_of_clock(_later(first, interval, index), zone), 0)


def anchored_period(anchor: datetime, interval: Interval, at: datetime) -> Period:
    """Find the period, counted from the anchor in the anchor's zone, that holds the moment.

    Every boundary is computed from the anchor and never from the one before it, so that what begins on 31 January
    passes 28 February and comes back to 31 March.
    """
    _check_moment("anchor", anchor)
    _check_moment("at", at)
    zone = anchor.tzinfo
    assert zone is not None, "a checked moment has a zone"
    origin, clock = anchor.astimezone(UTC), anchor.replace(tzinfo=None)
    local = at.astimezone(zone).replace(tzinfo=None)

    def boundary(index: int) -> datetime:
        # The anchor may be the second of two moments that its clock shows alike, and stays what it is.
        return origin if index == 0 else moment_of_clock(_later(clock, interval, index), zone)

    match interval:
        case Interval.SECOND | Interval.MINUTE | Interval.HOUR:
            length = _LENGTHS[interval]
            start = origin + (at.astimezone(UTC) - origin) // length * length
            return Period(start, start + length)
        case Interval.DAY | Interval.WEEK:
            index = (local - clock) // _LENGTHS[interval]
        case Interval.MONTH:
            index = _months_between(clock, local)
        case Interval.YEAR:
            index = local.year - clock.year
        case _:
            assert_never(interval)
    return _period_around(at, boundary, index)


def days_later(moment: datetime, days: int, zone: tzinfo = UTC) -> datetime:
    """Return, in UTC, when the zone's clocks show the moment's time so many days later, as a trial of days ends."""
    _check_moment("moment", moment)
    clock = in_zone("moment", moment, zone).replace(tzinfo=None)
    if type(days) is not int or not 0 <= days <= DAYS_MAX:
        raise InvalidValueError("days", days, "is not a number of days", f"a whole number from 0 to {DAYS_MAX}")
    return moment_of_clock(clock + days * _DAY, zone)


def in_zone(field: str, value: datetime, zone: tzinfo) -> datetime:
    """Write a moment as the clocks of a zone show it, or refuse what is no moment or no zone."""
    _check_aware(field, value)
    if not isinstance(zone, tzinfo):
        raise InvalidValueError("zone", zone, "is not a time zone", "a tzinfo")
    try:
        return value.astimezone(zone)
    except OverflowError as error:
        rule = "a moment whose year every zone can write"
        raise InvalidValueError(field, value.isoformat(), "is out of range", rule) from error


def moment_of_clock(clock: datetime, zone: tzinfo) -> datetime:
    """Return, in UTC, the first moment at which the zone's clocks show this or are moved past it."""
    before = _offset(clock.replace(tzinfo=zone, fold=0), zone)
    after = _offset(clock.replace(tzinfo=zone, fold=1), zone)
    moment = clock.replace(tzinfo=UTC)
    return _move(moment - after, moment - before, zone) if before < after else moment - before


def milliseconds_of(moment: datetime) -> int:
    """Count whole milliseconds since 1970, exactly; what is finer is cut off."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def moment_of(milliseconds: int) -> datetime:
    """Return the moment, in UTC, so many milliseconds after 1970."""
    return EPOCH + timedelta(milliseconds=milliseconds)


def _period_around(at: datetime, boundary: Callable[[int], datetime], index: int) -> Period:
    # What the clocks show only says nearly where to look: a move at midnight makes them show yesterday once more.
    while boundary(index) > at:
        index -= 1
    while boundary(index + 1) <= at:
        index += 1
    return Period(boundary(index), boundary(index + 1))


def _stretch_around(at: datetime, elapsed: timedelta, length: timedelta, zone: tzinfo) -> Period:
    start, end = at - elapsed, at - elapsed + length
    if _offset(start, zone) != _offset(at, zone):
        start = _move(start, at, zone)
    if _offset(end, zone) != _offset(at, zone):
        end = _move(at, end, zone)
    return Period(start, end)


def _move(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """Find the second, after the one moment and not after the other, from which on the other's offset holds."""
    before, after = before.replace(microsecond=0), after.replace(microsecond=0)
    offset = _offset(after, zone)
    while after - before > _SECOND:
        middle = before + (after - before) // _SECOND // 2 * _SECOND
        if _offset(middle, zone) == offset:
            after = middle
        else:
            before = middle
    return after


def _offset(moment: datetime, zone: tzinfo) -> timedelta:
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None, "a zone knows its offset"
    return offset


def _later(clock: datetime, interval: Interval, count: int) -> datetime:
    match interval:
        case Interval.MONTH | Interval.YEAR:
            months = count if interval is Interval.MONTH else 12 * count
            year, month = divmod(clock.year * 12 + clock.month - 1 + months, 12)
            return clock.replace(year=year, month=month + 1, day=min(clock.day, monthrange(year, month + 1)[1]))
        case _:
            return clock + count * _LENGTHS[interval]


def _months_between(earlier: datetime, later: datetime) -> int:
    return (later.year - earlier.year) * 12 + later.month - earlier.month


def _check_moment(field: str, value: datetime) -> None:
    _check_aware(field, value)
    if value.year not in YEARS:
        raise InvalidValueError(field, value.isoformat(), "is out of range", f"a year from {YEARS[0]} to {YEARS[-1]}")


def _check_aware(field: str, value: object) -> None:
    if type(value) is not datetime or value.utcoffset() is None:
        raise InvalidValueError(field, value, "is not a moment", "a datetime with a time zone")
