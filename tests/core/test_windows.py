"""Windows of one kind tile time: each moment lies in exactly one, and the next begins where it ends, one higher."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_core.entitlements import Align, Window
from billing_core.errors import InvalidValueError
from billing_core.periods import Interval, anchored_period, milliseconds_of, moment_of
from gateway import windows
from gateway.windows import COMPUTED_MS, FOREVER_MS, LIFETIME, Calendar, Running, Timeline, zone_named

DAY_MS = 86_400_000
BILLING = [Interval.DAY, Interval.WEEK, Interval.MONTH, Interval.YEAR]
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/St_Johns",
    "America/Havana",
    "Africa/Cairo",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
]

moments = st.integers(
    milliseconds_of(datetime(1972, 1, 1, tzinfo=UTC)), milliseconds_of(datetime(2400, 1, 1, tzinfo=UTC))
)
zones = st.sampled_from(ZONES).map(zone_named)
timelines = st.builds(Timeline, zones, moments, st.sampled_from(BILLING))
long_windows = st.sampled_from([window for window in Window if window not in COMPUTED_MS])
aligns = st.sampled_from(Align)


def ms(text: str, zone: tzinfo = UTC) -> int:
    """Read what clocks show."""
    return milliseconds_of(datetime.fromisoformat(text).replace(tzinfo=zone))


def timeline(anchor: str = "2026-01-31T10:30", interval: Interval = Interval.MONTH, zone: tzinfo = UTC) -> Timeline:
    """Make the timeline of a subscription that began then, by the zone's clocks."""
    return Timeline(zone, ms(anchor, zone), interval)


@given(long_windows, aligns, timelines, moments)
def test_windows_tile_time(window: Window, align: Align, of: Timeline, now_ms: int) -> None:
    """The window holds its moment and its last millisecond; its neighbours touch it and have the numbers beside its."""
    calendar = Calendar()
    running = calendar.running(window, align, of, now_ms)
    assert running.start_ms <= now_ms < running.end_ms
    for at_ms in (running.start_ms, min(running.end_ms, ms("2500-01-01")) - 1):
        assert Calendar().running(window, align, of, at_ms) == running
    if window is not Window.LIFETIME:
        after = calendar.running(window, align, of, running.end_ms)
        before = calendar.running(window, align, of, running.start_ms - 1)
        assert (after.start_ms, after.ordinal) == (running.end_ms, running.ordinal + 1)
        assert (before.end_ms, before.ordinal) == (running.start_ms, running.ordinal - 1)


near = st.integers(ms("2026-01-01"), ms("2026-03-01"))
near_timelines = st.builds(Timeline, zones, near, st.sampled_from(BILLING))


@given(asked=st.lists(st.tuples(long_windows, aligns, near_timelines, near), max_size=20))
def test_what_is_remembered_is_what_would_be_computed(asked: list[tuple[Window, Align, Timeline, int]]) -> None:
    """A calendar that answered many claims answers the next one like a new calendar."""
    used = Calendar()
    for one in asked + asked[::-1]:
        assert used.running(*one) == Calendar().running(*one)


@given(timelines, moments, aligns)
def test_a_billing_period_is_the_invoice_s(of: Timeline, now_ms: int, align: Align) -> None:
    """Whatever the customer's clocks show, the limit of a billing period holds for the period that is invoiced."""
    period = anchored_period(moment_of(of.anchor_ms), of.interval, moment_of(now_ms))
    running = Calendar().running(Window.BILLING_PERIOD, align, of, now_ms)
    assert (running.start_ms, running.end_ms) == (period.start_ms, period.end_ms)


@pytest.mark.parametrize(
    ("window", "now", "start", "end"),
    [
        (Window.DAY, "2026-03-29T23:59:59.999", "2026-03-29", "2026-03-30"),
        (Window.WEEK, "2026-01-01T12:00", "2025-12-29", "2026-01-05"),
        (Window.MONTH, "2028-02-29T00:00", "2028-02-01", "2028-03-01"),
        (Window.YEAR, "2028-02-29T00:00", "2028-01-01", "2029-01-01"),
        (Window.BILLING_PERIOD, "2026-02-28T10:29", "2026-01-31T10:30", "2026-02-28T10:30"),
        (Window.BILLING_PERIOD, "2026-02-28T10:30", "2026-02-28T10:30", "2026-03-31T10:30"),
        (Window.BILLING_PERIOD, "2025-12-01T00:00", "2025-11-30T10:30", "2025-12-31T10:30"),
    ],
)
def test_windows_by_the_calendar(window: Window, now: str, start: str, end: str) -> None:
    """Days, ISO weeks, months and years of UTC; billing months of a subscription that began on 31 January."""
    running = Calendar().running(window, Align.CALENDAR, timeline(), ms(now))
    assert (running.start_ms, running.end_ms) == (ms(start), ms(end))


@pytest.mark.parametrize(
    ("window", "align", "now", "start", "end"),
    [
        (Window.DAY, Align.CALENDAR, "2026-03-29T12:00", "2026-03-29T00:00", "2026-03-30T00:00"),
        (Window.MONTH, Align.CALENDAR, "2026-03-31T23:30", "2026-03-01T00:00", "2026-04-01T00:00"),
        (Window.MONTH, Align.SUBSCRIPTION, "2026-03-30T00:00", "2026-02-28T10:30", "2026-03-31T10:30"),
        (Window.WEEK, Align.SUBSCRIPTION, "2026-04-02T00:00", "2026-03-28T10:30", "2026-04-04T10:30"),
        (Window.YEAR, Align.SUBSCRIPTION, "2027-01-31T10:29", "2026-01-31T10:30", "2027-01-31T10:30"),
    ],
)
def test_windows_by_a_customer_s_clocks(window: Window, align: Align, now: str, start: str, end: str) -> None:
    """In Berlin, with the calendar or from the moment at which a subscription began there, over the move of clocks."""
    berlin = ZoneInfo("Europe/Berlin")
    running = Calendar().running(window, align, timeline(zone=berlin), ms(now, berlin))
    assert (running.start_ms, running.end_ms) == (ms(start, berlin), ms(end, berlin))


def test_short_windows_are_left_to_the_script() -> None:
    """Windows below a day have a fixed length that divides the day; longer ones have none."""
    assert {window.value: length for window, length in COMPUTED_MS.items()} == {
        "second": 1000,
        "minute": 60_000,
        "hour": 3_600_000,
    }
    assert all(DAY_MS % length == 0 for length in COMPUTED_MS.values())
    assert Calendar().running(Window.MINUTE, Align.CALENDAR, timeline(), ms("2026-01-01")) == Running(0, 60_000)


def test_a_lifetime_has_no_end() -> None:
    """It began before everything and is over when nothing is counted any more."""
    running = Calendar().running(Window.LIFETIME, Align.CALENDAR, timeline(), ms("2026-01-01"))
    assert running == LIFETIME == (1, FOREVER_MS, 0)
    assert FOREVER_MS == 2**53 - 1


@pytest.mark.parametrize(
    ("window", "align", "ordinal"),
    [
        (Window.DAY, Align.CALENDAR, 20_484),
        (Window.WEEK, Align.CALENDAR, 2926),
        (Window.MONTH, Align.CALENDAR, 672),
        (Window.YEAR, Align.CALENDAR, 56),
        (Window.MONTH, Align.SUBSCRIPTION, 0),
        (Window.BILLING_PERIOD, Align.CALENDAR, 0),
    ],
)
def test_a_subscription_has_a_first_window(window: Window, align: Align, ordinal: int) -> None:
    """By the calendar it is the one in which the subscription began; from the subscription on it is number 0."""
    assert Calendar().first_ordinal(window, align, timeline("2026-01-31T10:30")) == ordinal


def test_a_day_that_a_zone_left_out_has_a_number() -> None:
    """Samoa had no 30 December 2011: the day after it is two later, so that dates keep their numbers."""
    apia = timeline(zone=ZoneInfo("Pacific/Apia"))
    before, after = (
        Calendar().running(Window.DAY, Align.CALENDAR, apia, ms(day, apia.zone))
        for day in ("2011-12-29T12:00", "2011-12-31T12:00")
    )
    assert before.end_ms == after.start_ms
    assert after.ordinal == before.ordinal + 2


def test_two_subscriptions_do_not_share_a_window() -> None:
    """Another anchor and another interval are another billing period at the same moment; another zone another day."""
    calendar, now_ms = Calendar(), ms("2026-02-10")
    asked = [("2026-01-01", Interval.MONTH), ("2026-01-15", Interval.MONTH), ("2026-01-15", Interval.YEAR)]
    ends = [
        calendar.running(Window.BILLING_PERIOD, Align.CALENDAR, timeline(anchor, interval), now_ms).end_ms
        for anchor, interval in asked
    ]
    assert ends == [ms(end) for end in ("2026-03-01", "2026-02-15", "2027-01-15")]
    for align in Align:
        days = {
            calendar.running(Window.DAY, align, timeline(zone=zone_named(zone)), now_ms).start_ms for zone in ZONES[:3]
        }
        assert len(days) == 3


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "America", "../UTC", "Europe/Berlin\0"])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    """Only IANA names of zones that the system knows."""
    with pytest.raises(InvalidValueError, match="is not a time zone; expected an IANA name such as Europe/Berlin"):
        zone_named(name)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many anchors never fill the memory."""
    monkeypatch.setattr(windows, "CACHE_MAX", 10)
    calendar = Calendar()
    for anchor_ms in range(1000):
        of = Timeline(UTC, anchor_ms, Interval.MONTH)
        calendar.running(Window.BILLING_PERIOD, Align.CALENDAR, of, ms("2026-01-01"))
        assert len(calendar._known) <= 10
