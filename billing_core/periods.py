"""Which period a moment lies in: calendar periods, and periods counted from a subscription's anchor.

Every period includes its start and excludes its end, so that periods of one kind tile the time. All of it works on the
wall clock of the datetime it is given, which so far is always UTC.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import assert_never

from billing_core.errors import InvalidValueError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
YEARS = range(1970, 9999)
"""Years that a moment may lie in: the ends of its period must still be datetimes."""


class Interval(Enum):
    """A length of time that the calendar has a name for, by its name in the catalog."""

    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Period:
    """The time from `start`, included, to `end`, excluded."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        _check_aware("start", self.start)
        _check_aware("end", self.end)
        if self.end <= self.start:
            raise InvalidValueError("end", self.end.isoformat(), "is not after the start", "a later moment")

    def contains(self, at: datetime) -> bool:
        """Whether the moment lies in the period."""
        return self.start <= at < self.end

    @property
    def start_ms(self) -> int:
        """The start in whole milliseconds since 1970."""
        return milliseconds_of(self.start)

    @property
    def end_ms(self) -> int:
        """The end, excluded, in whole milliseconds since 1970."""
        return milliseconds_of(self.end)


def calendar_period(interval: Interval, at: datetime) -> Period:
    """Find the calendar's second, minute, hour, day, ISO week (from Monday), month or year that holds the moment."""
    _check_moment("at", at)
    second = at.replace(microsecond=0)
    minute = second.replace(second=0)
    hour = minute.replace(minute=0)
    day = hour.replace(hour=0)
    match interval:
        case Interval.SECOND:
            start, end = second, second + timedelta(seconds=1)
        case Interval.MINUTE:
            start, end = minute, minute + timedelta(minutes=1)
        case Interval.HOUR:
            start, end = hour, hour + timedelta(hours=1)
        case Interval.DAY:
            start, end = day, day + timedelta(days=1)
        case Interval.WEEK:
            start = day - timedelta(days=day.weekday())
            end = start + timedelta(weeks=1)
        case Interval.MONTH:
            start = day.replace(day=1)
            end = _months_later(start, 1)
        case Interval.YEAR:
            start = day.replace(month=1, day=1)
            end = _months_later(start, 12)
        case _:
            assert_never(interval)
    return Period(start, end)


def anchored_period(anchor: datetime, interval: Interval, at: datetime) -> Period:
    """Find the day, week, month or year, counted from the anchor, that holds the moment.

    Every boundary is computed from the anchor and never from the one before it, so that what begins on 31 January
    passes 28 February and comes back to 31 March.
    """
    _check_moment("anchor", anchor)
    _check_moment("at", at)
    local = at.astimezone(anchor.tzinfo)
    match interval:
        case Interval.MONTH | Interval.YEAR:
            months = 12 if interval is Interval.YEAR else 1
            count = ((local.year - anchor.year) * 12 + local.month - anchor.month) // months
            if _months_later(anchor, count * months) > local:
                count -= 1
            return Period(_months_later(anchor, count * months), _months_later(anchor, (count + 1) * months))
        case Interval.DAY | Interval.WEEK:
            length = timedelta(weeks=1) if interval is Interval.WEEK else timedelta(days=1)
            start = anchor + (local - anchor) // length * length
            return Period(start, start + length)
        case Interval.SECOND | Interval.MINUTE | Interval.HOUR:
            raise InvalidValueError("interval", interval.value, "has no anchor", "day, week, month or year")
        case _:
            assert_never(interval)


def milliseconds_of(moment: datetime) -> int:
    """Count whole milliseconds since 1970, exactly; what is finer is cut off."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def moment_of(milliseconds: int) -> datetime:
    """Return the moment, in UTC, so many milliseconds after 1970."""
    return EPOCH + timedelta(milliseconds=milliseconds)


def _months_later(moment: datetime, months: int) -> datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))


def _check_moment(field: str, value: datetime) -> None:
    _check_aware(field, value)
    if value.year not in YEARS:
        raise InvalidValueError(field, value.isoformat(), "is out of range", f"a year from {YEARS[0]} to {YEARS[-1]}")


def _check_aware(field: str, value: object) -> None:
    if type(value) is not datetime or value.utcoffset() is None:
        raise InvalidValueError(field, value, "is not a moment", "a datetime with a time zone")
