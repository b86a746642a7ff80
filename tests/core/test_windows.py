"""Windows of one kind tile time: each moment lies in exactly one, and the next begins where it ends."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_core.entitlements import Window
from billing_core.periods import Interval, milliseconds_of
from gateway import windows
from gateway.windows import COMPUTED_MS, Calendar

DAY_MS = 86_400_000
BILLING = [Interval.DAY, Interval.WEEK, Interval.MONTH, Interval.YEAR]

moments = st.integers(
    milliseconds_of(datetime(1972, 1, 1, tzinfo=UTC)), milliseconds_of(datetime(2400, 1, 1, tzinfo=UTC))
)
calendar_windows = st.sampled_from([window for window in Window if window not in COMPUTED_MS])


def ms(text: str) -> int:
    """Read a moment in UTC."""
    return milliseconds_of(datetime.fromisoformat(text).replace(tzinfo=UTC))


@given(window=calendar_windows, now_ms=moments, anchor_ms=moments, interval=st.sampled_from(BILLING))
def test_windows_tile_time(window: Window, now_ms: int, anchor_ms: int, interval: Interval) -> None:
    """The window holds its moment, its last millisecond still lies in it, and its neighbours touch it."""
    calendar = Calendar()
    start_ms, end_ms = calendar.span(window, now_ms, anchor_ms, interval)
    assert start_ms <= now_ms < end_ms
    for at_ms in (start_ms, end_ms - 1):
        assert Calendar().span(window, at_ms, anchor_ms, interval) == (start_ms, end_ms)
    assert calendar.span(window, end_ms, anchor_ms, interval)[0] == end_ms
    assert calendar.span(window, start_ms - 1, anchor_ms, interval)[1] == start_ms


near = st.integers(ms("2026-01-01"), ms("2026-03-01"))


@given(asked=st.lists(st.tuples(calendar_windows, near, near, st.sampled_from(BILLING)), max_size=20))
def test_what_is_remembered_is_what_would_be_computed(asked: list[tuple[Window, int, int, Interval]]) -> None:
    """A calendar that answered many claims answers the next one like a new calendar."""
    used = Calendar()
    for window, now_ms, anchor_ms, interval in asked + asked[::-1]:
        one = (window, now_ms, anchor_ms, interval)
        assert used.span(*one) == Calendar().span(*one)


@pytest.mark.parametrize(
    ("window", "now", "start", "end"),
    [
        (Window.DAY, "2026-03-29T23:59:59.999", "2026-03-29", "2026-03-30"),
        (Window.WEEK, "2026-01-01T12:00", "2025-12-29", "2026-01-05"),
        (Window.MONTH, "2028-02-29T00:00", "2028-02-01", "2028-03-01"),
        (Window.BILLING_PERIOD, "2026-02-28T10:29", "2026-01-31T10:30", "2026-02-28T10:30"),
        (Window.BILLING_PERIOD, "2026-02-28T10:30", "2026-02-28T10:30", "2026-03-31T10:30"),
        (Window.BILLING_PERIOD, "2025-12-01T00:00", "2025-11-30T10:30", "2025-12-31T10:30"),
    ],
)
def test_windows_by_the_calendar(window: Window, now: str, start: str, end: str) -> None:
    """Days, ISO weeks and months of UTC; billing months of a subscription that began on 31 January at half past ten."""
    span = Calendar().span(window, ms(now), ms("2026-01-31T10:30"), Interval.MONTH)
    assert span == (ms(start), ms(end))


def test_short_windows_are_left_to_the_script() -> None:
    """Windows below a day have a fixed length that divides the day; longer ones have none."""
    assert {window.value: length for window, length in COMPUTED_MS.items()} == {
        "second": 1000,
        "minute": 60_000,
        "hour": 3_600_000,
    }
    assert all(DAY_MS % length == 0 for length in COMPUTED_MS.values())


def test_two_subscriptions_do_not_share_a_window() -> None:
    """Another anchor and another interval are another billing period at the same moment."""
    calendar, now_ms = Calendar(), ms("2026-02-10")
    asked = [("2026-01-01", Interval.MONTH), ("2026-01-15", Interval.MONTH), ("2026-01-15", Interval.YEAR)]
    spans = [calendar.span(Window.BILLING_PERIOD, now_ms, ms(anchor), interval) for anchor, interval in asked]
    ends = ["2026-03-01", "2026-02-15", "2027-01-15"]
    assert [end_ms for _, end_ms in spans] == [ms(end) for end in ends]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many anchors never fill the memory."""
    monkeypatch.setattr(windows, "CACHE_MAX", 10)
    calendar = Calendar()
    for anchor_ms in range(1000):
        calendar.span(Window.BILLING_PERIOD, ms("2026-01-01"), anchor_ms, Interval.MONTH)
        assert len(calendar._known) <= 10
