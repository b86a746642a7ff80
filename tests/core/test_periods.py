"""Periods tile the time, hold the moment asked for, and keep the anchor's day."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_core.errors import InvalidValueError
from billing_core.periods import Interval, Period, anchored_period, calendar_period, milliseconds_of, moment_of

moments = st.datetimes(datetime(1972, 1, 1), datetime(9996, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
anchored = st.sampled_from([Interval.DAY, Interval.WEEK, Interval.MONTH, Interval.YEAR])


def utc(year: int, month: int, day: int, hour: int = 0) -> datetime:
    """Shorten what every example here needs."""
    return datetime(year, month, day, hour, tzinfo=UTC)


@given(st.sampled_from(Interval), moments)
def test_calendar_periods_tile_the_time(interval: Interval, at: datetime) -> None:
    """A period holds its moment, and the next one begins where it ends."""
    period = calendar_period(interval, at)
    assert period.contains(at)
    assert calendar_period(interval, period.start) == period
    assert calendar_period(interval, period.end).start == period.end
    assert calendar_period(interval, period.end - timedelta(microseconds=1)) == period


@given(moments, anchored, moments)
def test_anchored_periods_tile_the_time(anchor: datetime, interval: Interval, at: datetime) -> None:
    """Also before the anchor, a period holds its moment and meets its neighbours."""
    period = anchored_period(anchor, interval, at)
    assert period.contains(at)
    assert anchored_period(anchor, interval, period.start) == period
    assert anchored_period(anchor, interval, period.end).start == period.end
    assert anchored_period(anchor, interval, anchor).start == anchor


@pytest.mark.parametrize(
    ("interval", "start", "end"),
    [
        (Interval.HOUR, utc(2024, 2, 29, 13), utc(2024, 2, 29, 14)),
        (Interval.DAY, utc(2024, 2, 29), utc(2024, 3, 1)),
        (Interval.WEEK, utc(2024, 2, 26), utc(2024, 3, 4)),
        (Interval.MONTH, utc(2024, 2, 1), utc(2024, 3, 1)),
        (Interval.YEAR, utc(2024, 1, 1), utc(2025, 1, 1)),
    ],
)
def test_calendar_periods_are_the_calendars(interval: Interval, start: datetime, end: datetime) -> None:
    """A leap day's hour, day, ISO week, month and year."""
    assert calendar_period(interval, utc(2024, 2, 29, 13) + timedelta(minutes=59)) == Period(start, end)


def test_the_anchors_day_comes_back_after_february() -> None:
    """31 January → 29 February → 31 March → 30 April: from the anchor, never from the month before."""
    anchor = utc(2024, 1, 31, 12)
    period = anchored_period(anchor, Interval.MONTH, anchor)
    ends = []
    for _ in range(13):
        ends.append(period.end)
        period = anchored_period(anchor, Interval.MONTH, period.end)
    assert [end.day for end in ends] == [29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31, 28]
    assert {end.hour for end in ends} == {12}


def test_boundaries_lie_in_the_anchors_zone() -> None:
    """The month ends at the anchor's midnight, wherever the moment is written."""
    west = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=-5)))
    assert anchored_period(west, Interval.MONTH, utc(2026, 2, 1, 4)).start == west
    assert anchored_period(west, Interval.MONTH, utc(2026, 2, 1, 5)).start == utc(2026, 2, 1, 5)
    east = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=5)))
    assert anchored_period(east, Interval.MONTH, utc(2026, 1, 31, 18)).start == east
    assert anchored_period(east, Interval.MONTH, utc(2026, 1, 31, 19)).start == utc(2026, 1, 31, 19)


def test_a_leap_days_year_ends_on_28_february() -> None:
    """29 February comes back when there is one."""
    anchor = utc(2024, 2, 29)
    ends = [anchored_period(anchor, Interval.YEAR, utc(year, 6, 1)).end for year in (2024, 2026, 2027)]
    assert ends == [utc(2025, 2, 28), utc(2027, 2, 28), utc(2028, 2, 29)]


def test_a_period_excludes_its_end() -> None:
    """The end belongs to the next period."""
    period = Period(utc(2026, 1, 1), utc(2026, 2, 1))
    assert period.contains(utc(2026, 1, 1))
    assert not period.contains(utc(2026, 2, 1))
    assert not period.contains(utc(2025, 12, 31))


@given(moments)
def test_milliseconds_are_exact(at: datetime) -> None:
    """Whole milliseconds survive the way there and back; what is finer is cut off, never rounded up."""
    cut = at.replace(microsecond=at.microsecond // 1000 * 1000)
    assert moment_of(milliseconds_of(at)) == cut
    assert type(milliseconds_of(at)) is int
    period = calendar_period(Interval.DAY, at)
    assert period.end_ms - period.start_ms == 86_400_000


def test_milliseconds_do_not_depend_on_the_zone() -> None:
    """The same moment has the same number everywhere."""
    there = datetime(2026, 1, 1, 5, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert milliseconds_of(there) == milliseconds_of(utc(2026, 1, 1)) == 1_767_225_600_000


@pytest.mark.parametrize("at", [datetime(2026, 1, 1), None, "2026-01-01", utc(9998, 1, 1), utc(1969, 12, 31)])  # noqa: DTZ001
def test_what_is_no_moment_is_refused(at: object) -> None:
    """A moment has a time zone and a year that its period can end after."""
    with pytest.raises(InvalidValueError, match=r"^at: .*; expected"):
        calendar_period(Interval.MONTH, at)
    with pytest.raises(InvalidValueError, match=r"^at: .*; expected"):
        anchored_period(utc(2026, 1, 1), Interval.MONTH, at)
    with pytest.raises(InvalidValueError, match=r"^anchor: .*; expected"):
        anchored_period(at, Interval.MONTH, utc(2026, 1, 1))


def test_a_period_that_does_not_run_forward_is_refused() -> None:
    """Neither empty nor backwards."""
    for end in (utc(2026, 1, 1), utc(2025, 1, 1)):
        with pytest.raises(InvalidValueError, match=r"^end: .* is not after the start"):
            Period(utc(2026, 1, 1), end)
