"""Periods tile the time wherever clocks are moved: by an hour, by half an hour, at midnight, over a whole day."""

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_core.errors import InvalidValueError
from billing_core.periods import Interval, Period, anchored_period, calendar_period, days_later

BERLIN = ZoneInfo("Europe/Berlin")
MOVED = {
    "Europe/Berlin": (2026, 3, 29),
    "America/New_York": (2026, 11, 1),
    "Australia/Lord_Howe": (2026, 4, 4),  # by half an hour
    "Antarctica/Troll": (2026, 10, 25),  # by two hours
    "America/St_Johns": (2010, 11, 7),  # back at 00:01, into yesterday
    "America/Havana": (2026, 11, 1),  # back at 01:00, so that midnight comes twice
    "Africa/Cairo": (2026, 4, 24),  # forward at midnight, so that there is none
    "Pacific/Apia": (2011, 12, 30),  # over a whole day
    "Pacific/Kwajalein": (1993, 8, 21),
    "Africa/Monrovia": (1972, 1, 7),  # from an offset of 44 minutes and 30 seconds
    "Asia/Kathmandu": (1986, 1, 1),
}
MICROSECOND = timedelta(microseconds=1)

moments = st.datetimes(datetime(1971, 1, 1), datetime(2038, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@st.composite
def places(draw: st.DrawFn) -> tuple[tzinfo, datetime]:
    """Make a zone and a moment, mostly one within three days of a move of its clocks."""
    name = draw(st.sampled_from(sorted(MOVED)))
    near = st.timedeltas(timedelta(days=-3), timedelta(days=3)).map(lambda by: datetime(*MOVED[name], tzinfo=UTC) + by)
    at = draw(st.one_of(near, near, near.map(lambda at: at.replace(minute=0, second=0, microsecond=0)), moments))
    return ZoneInfo(name), at


@given(places(), st.sampled_from(Interval))
def test_calendar_periods_tile_the_time_in_every_zone(place: tuple[tzinfo, datetime], interval: Interval) -> None:
    """A period holds its moment and meets its neighbours, however the moment is written."""
    zone, at = place
    period = calendar_period(interval, at, zone)
    assert period.contains(at)
    assert calendar_period(interval, at.astimezone(zone), zone) == period
    assert calendar_period(interval, period.start, zone) == period
    assert calendar_period(interval, period.end - MICROSECOND, zone) == period
    assert calendar_period(interval, period.end, zone).start == period.end
    assert calendar_period(interval, period.start - MICROSECOND, zone).end == period.start


@given(places(), st.sampled_from(Interval), st.one_of(moments, st.timedeltas(timedelta(-40), timedelta(40))))
def test_anchored_periods_tile_the_time_in_every_zone(
    place: tuple[tzinfo, datetime], interval: Interval, other: datetime | timedelta
) -> None:
    """Counted from any anchor, also one that lies later, and the anchor itself starts a period."""
    zone, at = place
    anchor = (other if isinstance(other, datetime) else at + other).astimezone(zone)
    period = anchored_period(anchor, interval, at)
    assert period.contains(at)
    assert anchored_period(anchor, interval, period.start) == period
    assert anchored_period(anchor, interval, period.end - MICROSECOND) == period
    assert anchored_period(anchor, interval, period.end).start == period.end
    assert anchored_period(anchor, interval, anchor).start == anchor.astimezone(UTC)


@given(places())
def test_a_day_begins_when_the_date_first_does(place: tuple[tzinfo, datetime]) -> None:
    """Just before its start the clocks never showed the date that they show from then on."""
    zone, at = place
    day = calendar_period(Interval.DAY, at, zone)
    assert (day.start - MICROSECOND).astimezone(zone).date() < day.start.astimezone(zone).date()
    assert day.start.astimezone(zone).date() >= at.astimezone(zone).date()


@given(places(), st.sampled_from([Interval.SECOND, Interval.MINUTE, Interval.HOUR]))
def test_an_hour_is_never_longer_than_an_hour(place: tuple[tzinfo, datetime], interval: Interval) -> None:
    """It is an hour of what the clocks show, and shorter only where they are moved in its midst."""
    zone, at = place
    period = calendar_period(interval, at, zone)
    length = {Interval.SECOND: timedelta(seconds=1), Interval.MINUTE: timedelta(minutes=1)}.get(
        interval, timedelta(hours=1)
    )
    offsets = [moment.astimezone(zone).utcoffset() for moment in (period.start - MICROSECOND, period.start, at)]
    assert offsets[1] == offsets[2] == (period.end - MICROSECOND).astimezone(zone).utcoffset()
    if period.end - period.start != length:
        assert period.end - period.start < length
        assert {offsets[0], period.end.astimezone(zone).utcoffset()} != {offsets[1]}


@pytest.mark.parametrize(
    ("zone", "date", "hours"),
    [
        ("Europe/Berlin", (2026, 3, 29), 23),
        ("Europe/Berlin", (2026, 10, 25), 25),
        ("Europe/Berlin", (2026, 10, 26), 24),
        ("Africa/Cairo", (2026, 4, 24), 23),
        ("America/Havana", (2026, 11, 1), 25),
        ("Antarctica/Troll", (2026, 3, 29), 22),
    ],
)
def test_a_day_has_the_hours_that_its_clocks_give_it(zone: str, date: tuple[int, int, int], hours: int) -> None:
    """23, 24 or 25 hours, and each hour of the day is one period."""
    place = ZoneInfo(zone)
    day = calendar_period(Interval.DAY, datetime(*date, 12, tzinfo=place), place)
    assert day.end - day.start == timedelta(hours=hours)
    moments = [day.start + timedelta(hours=n) for n in range(hours)]
    assert [calendar_period(Interval.HOUR, moment, place).start for moment in moments] == moments


def test_the_hour_that_comes_twice_is_two_hours() -> None:
    """In October Berlin's clocks show 02:30 twice, an hour apart."""
    first, second = (datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=fold) for fold in (0, 1))
    hours = [calendar_period(Interval.HOUR, moment, BERLIN) for moment in (first, second)]
    assert [hour.start for hour in hours] == [datetime(2026, 10, 25, hour, tzinfo=UTC) for hour in (0, 1)]
    assert hours[0].end == hours[1].start
    assert not hours[0].contains(second)


@pytest.mark.parametrize(
    ("zone", "at", "start", "end"),
    [
        # at 02:00 back to 01:30: what remains until 02:00 is a period of its own
        ("Australia/Lord_Howe", (2026, 4, 4, 15, 15), (2026, 4, 4, 15, 0), (2026, 4, 4, 15, 30)),
        # at 02:00 forward to 02:30: the hour begins there
        ("Australia/Lord_Howe", (2026, 10, 3, 15, 45), (2026, 10, 3, 15, 30), (2026, 10, 3, 16, 0)),
        # at 00:01 back to 23:01, and at 00:01 forward to 01:01: the hour of midnight has a minute
        ("America/St_Johns", (2010, 11, 7, 2, 30), (2010, 11, 7, 2, 30), (2010, 11, 7, 2, 31)),
        ("America/St_Johns", (2010, 3, 14, 3, 30), (2010, 3, 14, 3, 30), (2010, 3, 14, 3, 31)),
    ],
)
def test_clocks_that_are_moved_within_an_hour_cut_it(
    zone: str, at: tuple[int, ...], start: tuple[int, ...], end: tuple[int, ...]
) -> None:
    """What lies before the move and what comes after it are two periods."""
    hour = calendar_period(Interval.HOUR, datetime(*at, tzinfo=UTC), ZoneInfo(zone))
    assert hour == Period(datetime(*start, tzinfo=UTC), datetime(*end, tzinfo=UTC))


def test_yesterday_does_not_come_back() -> None:
    """A minute after midnight St John's clocks go back to 23:01: the day has begun and stays."""
    st_johns = ZoneInfo("America/St_Johns")
    day = calendar_period(Interval.DAY, datetime(2010, 11, 6, 23, 30, tzinfo=st_johns, fold=1), st_johns)
    assert day.start == datetime(2010, 11, 7, 2, 30, tzinfo=UTC)
    assert day.end - day.start == timedelta(hours=25)


def test_a_month_is_the_wall_clocks_month() -> None:
    """Berlin's March begins an hour before UTC's and lacks an hour."""
    march = calendar_period(Interval.MONTH, datetime(2026, 3, 10, tzinfo=UTC), BERLIN)
    assert march == Period(datetime(2026, 2, 28, 23, tzinfo=UTC), datetime(2026, 3, 31, 22, tzinfo=UTC))
    assert march.end - march.start == timedelta(days=31, hours=-1)
    year = calendar_period(Interval.YEAR, datetime(2025, 12, 31, 23, 30, tzinfo=UTC), BERLIN)
    assert year.start == datetime(2025, 12, 31, 23, tzinfo=UTC)


@pytest.mark.parametrize("time", [(2, 0, 0), (2, 0, 1), (2, 30, 0), (2, 59, 59)])
def test_a_boundary_that_clocks_skip_falls_on_the_move(time: tuple[int, int, int]) -> None:
    """What is anchored at 02:30 begins at 03:00 on the day on which 02:30 is skipped, and at 02:30 on the next."""
    anchor = datetime(2026, 3, 1, *time, tzinfo=BERLIN)
    day = anchored_period(anchor, Interval.DAY, datetime(2026, 3, 29, 12, tzinfo=BERLIN))
    assert day.start == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert day.end == datetime(2026, 3, 30, *time, tzinfo=BERLIN).astimezone(UTC)


def test_a_boundary_that_comes_twice_falls_on_the_first_time() -> None:
    """Unless it is the anchor itself, which stays where it was set."""
    anchor = datetime(2026, 9, 25, 2, 30, tzinfo=BERLIN)
    month = anchored_period(anchor, Interval.MONTH, datetime(2026, 10, 30, tzinfo=UTC))
    assert month.start == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    again = datetime(2026, 10, 25, 2, 15, tzinfo=BERLIN, fold=1)
    assert anchored_period(anchor, Interval.DAY, again).start == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    second = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)
    assert anchored_period(second, Interval.MONTH, datetime(2026, 10, 30, tzinfo=UTC)).start == second.astimezone(UTC)


def test_the_anchors_day_comes_back_after_february_in_its_zone() -> None:
    """31 January → 28 February → 31 March → 30 April at the same hour of Berlin, in summer as in winter."""
    period = anchored_period(datetime(2026, 1, 31, 10, tzinfo=BERLIN), Interval.MONTH, datetime(2026, 2, 1, tzinfo=UTC))
    starts = []
    for _ in range(4):
        starts.append(period.start.astimezone(BERLIN))
        period = anchored_period(datetime(2026, 1, 31, 10, tzinfo=BERLIN), Interval.MONTH, period.end)
    assert [(start.month, start.day, start.hour) for start in starts] == [
        (1, 31, 10),
        (2, 28, 10),
        (3, 31, 10),
        (4, 30, 10),
    ]
    assert [start.utcoffset() for start in starts] == [timedelta(hours=hours) for hours in (1, 1, 2, 2)]


def test_an_anchored_hour_is_an_hour() -> None:
    """Short intervals are counted from the anchor in time that passes, whatever the clocks show."""
    anchor = datetime(2026, 10, 25, 1, 30, tzinfo=BERLIN)
    period = anchored_period(anchor, Interval.HOUR, anchor.astimezone(UTC) + timedelta(hours=2, minutes=59))
    assert period.start == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert period.end - period.start == timedelta(hours=1)


def test_days_later_is_the_same_time_of_day() -> None:
    """Ten days from a noon end at a noon, also across a move of the clocks; none end at once."""
    noon = datetime(2026, 3, 25, 12, tzinfo=BERLIN)
    assert days_later(noon, 10, BERLIN) == datetime(2026, 4, 4, 12, tzinfo=BERLIN).astimezone(UTC)
    assert days_later(noon, 10) - noon.astimezone(UTC) == timedelta(days=10)
    assert days_later(noon, 0, BERLIN) == noon.astimezone(UTC)
    for days in (-1, 366, True, "5"):
        with pytest.raises(InvalidValueError, match="is not a number of days; expected a whole number from 0 to 365"):
            days_later(noon, days, BERLIN)


def test_a_period_may_be_shorter_than_its_clocks_show() -> None:
    """From 02:30 to the second 02:30 an hour passes; both ends are kept in UTC."""
    first, second = (datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=fold) for fold in (0, 1))
    period = Period(first, second)
    assert period.end_ms - period.start_ms == 3_600_000
    assert (period.start.tzinfo, period.end.tzinfo) == (UTC, UTC)
    with pytest.raises(InvalidValueError, match=r"^end: .* is not after the start"):
        Period(second, first)


def test_what_is_no_zone_is_refused() -> None:
    """A zone is handed in as a tzinfo, not by its name; a moment too late for UTC is no moment."""
    with pytest.raises(InvalidValueError, match=r"^zone: 'Europe/Berlin' is not a time zone; expected a tzinfo"):
        calendar_period(Interval.DAY, datetime(2026, 1, 1, tzinfo=UTC), "Europe/Berlin")
    with pytest.raises(InvalidValueError, match=r"^end: .* is out of range"):
        Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5))))
