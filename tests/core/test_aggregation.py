"""Aggregations: in any order and in any parts, events measure what the definition says."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_UP, Context, Decimal, localcontext
from fractions import Fraction
from math import ceil
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing_core.aggregation import (
    Aggregation,
    Average,
    Count,
    Latest,
    Max,
    Mergeable,
    Min,
    Percentile,
    ProratedSum,
    Sum,
    UniqueCount,
    UsageEvent,
    WeightedSum,
    WindowedMax,
    gather,
    increments,
    measure,
)
from billing_core.errors import InvalidValueError
from billing_core.periods import Interval, Period
from billing_core.quantities import Rounding
from tests.core import made

JANUARY = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
MONTH = Fraction(31 * 86400 * 10**6)
MICROSECOND = timedelta(microseconds=1)

moments = st.integers(0, 31 * 24 * 60 - 1).map(lambda minutes: JANUARY.start + timedelta(minutes=minutes))
events = st.builds(
    UsageEvent,
    st.one_of(st.integers(-2, 2).map(Decimal), made.decimals(10**6, 3, above=-(10**6))),
    moments,
    st.fixed_dictionaries({"user": st.sampled_from("abc"), "region": st.sampled_from("xy")}),
)
lists = st.lists(events, max_size=12)
MERGEABLE = [
    *(Sum(), Count(), Average(), UniqueCount("user"), Max(), Min(), Latest(), WeightedSum(), ProratedSum()),
    *(WindowedMax(window) for window in Interval),
    *(WindowedMax(Interval.DAY, "user"), WindowedMax(Interval.WEEK, "region")),
]
AGGREGATIONS = [*MERGEABLE, *(Percentile(percent) for percent in (1, 50, 95, "99.9", 100))]

Pairs = list[tuple[Fraction, UsageEvent]]

DEFINITIONS: dict[type, Callable[[Any, Pairs], Fraction]] = {
    Sum: lambda _, pairs: sum((quantity for quantity, _ in pairs), Fraction(0)),
    Count: lambda _, pairs: Fraction(len(pairs)),
    Average: lambda _, pairs: sum(quantity for quantity, _ in pairs) / Fraction(len(pairs)),
    UniqueCount: lambda unique, pairs: Fraction(len({event.dimensions[unique.by] for _, event in pairs})),
    Max: lambda _, pairs: max(quantity for quantity, _ in pairs),
    Min: lambda _, pairs: min(quantity for quantity, _ in pairs),
    Latest: lambda _, pairs: max((event.at, quantity) for quantity, event in pairs)[1],
    WeightedSum: lambda _, pairs: sum(q * ((JANUARY.end - event.at) // MICROSECOND) for q, event in pairs) / MONTH,
    ProratedSum: lambda _, pairs: sum(quantity * (32 - event.at.day) for quantity, event in pairs) / 31,
    Percentile: lambda cut, pairs: sorted(q for q, _ in pairs)[ceil(Fraction(cut.percent) * len(pairs) / 100) - 1],
}


def by_hand(aggregation: Aggregation, used: list[UsageEvent]) -> list[Fraction]:
    """Aggregate as the definition says it, in fractions and without parts."""
    pairs = [(Fraction(event.quantity), event) for event in used]
    if not isinstance(aggregation, WindowedMax):
        return [DEFINITIONS[type(aggregation)](aggregation, pairs)]
    keys = [(window_of(aggregation.window, event.at), event.dimensions.get(aggregation.by or "")) for event in used]
    groups = [
        [quantity for (quantity, _), key in zip(pairs, keys, strict=True) if key == one] for one in sorted({*keys})
    ]
    return [max(group) for group in groups]


def window_of(window: Interval, at: datetime) -> tuple[int, ...]:
    """Number the calendar window of a moment of January 2026, which began on a Thursday."""
    match window:
        case Interval.SECOND | Interval.MINUTE:
            return (at.day, at.hour, at.minute)
        case Interval.HOUR:
            return (at.day, at.hour)
        case Interval.DAY:
            return (at.day,)
        case Interval.WEEK:
            return ((at.day + 2) // 7,)
        case Interval.MONTH | Interval.YEAR:
            return ()


@pytest.mark.parametrize("aggregation", AGGREGATIONS, ids=str)
@settings(max_examples=40)
@given(used=st.lists(events, min_size=1, max_size=12))
def test_a_measurement_is_what_the_definition_says(aggregation: Aggregation, used: list[UsageEvent]) -> None:
    """Exact where nothing is divided, within half of the twelfth decimal where something is."""
    with localcontext(Context(prec=2, rounding=ROUND_UP)):
        quantities = measure(aggregation, used, JANUARY)
    exact = by_hand(aggregation, used)
    if isinstance(aggregation, (Average, WeightedSum, ProratedSum)):
        assert abs(Fraction(quantities[0]) - exact[0]) <= Fraction(1, 2 * 10**12)
    else:
        assert [Fraction(quantity) for quantity in quantities] == exact


@pytest.mark.parametrize("aggregation", AGGREGATIONS, ids=str)
@settings(max_examples=25)
@given(used=st.lists(st.tuples(events, st.integers(1, 4)), max_size=6))
def test_equal_events_may_stand_together(aggregation: Aggregation, used: list[tuple[UsageEvent, int]]) -> None:
    """One entry for so many events is as many entries, each with its share of the quantity."""
    together = [replace(event, quantity=event.quantity * number, events=number) for event, number in used]
    one_by_one = [event for event, number in used for _ in range(number)]
    assert measure(aggregation, together, JANUARY) == measure(aggregation, one_by_one, JANUARY)


@pytest.mark.parametrize("aggregation", AGGREGATIONS, ids=str)
@settings(max_examples=25)
@given(used=lists, random=st.randoms())
def test_the_order_of_events_does_not_matter(aggregation: Aggregation, used: list[UsageEvent], random: Random) -> None:
    """Events arrive in any order and measure the same."""
    shuffled = list(used)
    random.shuffle(shuffled)
    assert measure(aggregation, shuffled, JANUARY) == measure(aggregation, used, JANUARY)


@pytest.mark.parametrize("aggregation", MERGEABLE, ids=str)
@settings(max_examples=40)
@given(one=lists, two=lists, three=lists)
def test_parts_merge(
    aggregation: Mergeable, one: list[UsageEvent], two: list[UsageEvent], three: list[UsageEvent]
) -> None:
    """In any grouping and order, parts come to what all of their events do, and no events change nothing."""
    a, b, c, nothing = (gather(aggregation, used, JANUARY) for used in (one, two, three, []))
    whole = gather(aggregation, [*one, *two, *three], JANUARY)
    assert a.merged(b).merged(c) == a.merged(b.merged(c)) == whole
    assert a.merged(b) == b.merged(a)
    assert a.merged(nothing) == nothing.merged(a) == a
    assert whole.quantities() == c.merged(a).merged(b).quantities()


@pytest.mark.parametrize(
    "aggregation",
    [Sum(), Count(), Average(), UniqueCount("user"), Max(), Min(), Latest(), WeightedSum(), Percentile(5)],
)
def test_no_events_measure_zero(aggregation: Aggregation) -> None:
    """Also a maximum, an average and a percentile; a windowed maximum has no window then."""
    assert measure(aggregation, [], JANUARY) == (Decimal(0),)
    assert measure(WindowedMax(Interval.HOUR), [], JANUARY) == ()


@given(st.lists(made.decimals(10**6, 3, above=-(10**6)), max_size=8), made.decimals(100, 2))
def test_increments_add_up_to_the_last_level(levels: list[Decimal], before: Decimal) -> None:
    """Whatever was there before, the sum of what was added since is what there is more."""
    added = increments(levels, before)
    assert len(added) == len(levels)
    assert before + sum(added) == (levels[-1] if levels else before)


@given(lists)
def test_a_level_over_time_lies_within_its_bounds(used: list[UsageEvent]) -> None:
    """The weighted sum of changes is the level that they make, averaged: never above its highest."""
    changes = sorted(used, key=lambda event: event.at)
    levels = [sum((event.quantity for event in changes[: n + 1]), Decimal(0)) for n in range(len(changes))]
    average = measure(WeightedSum(), used, JANUARY)[0]
    assert min([Decimal(0), *levels]) <= average <= max([Decimal(0), *levels])


@given(st.builds(Percentile, st.integers(1, 99)), lists)
def test_percentiles_rise(lower: Percentile, used: list[UsageEvent]) -> None:
    """From the smallest to the largest quantity, and each is one that was measured."""
    low, high, most = (
        measure(aggregation, used, JANUARY)[0]
        for aggregation in (lower, Percentile(lower.percent + 1), Percentile(100))
    )
    assert low <= high <= most == measure(Max(), used, JANUARY)[0]
    assert not used or low in [event.quantity for event in used]


def test_rounding_can_be_asked_for() -> None:
    """Of every quantity, also one that nothing divides."""
    used = [UsageEvent("1.26"), UsageEvent("1")]
    assert measure(Sum(), used, JANUARY) == (Decimal("2.26"),)
    assert measure(Sum(), used, JANUARY, decimals=1) == (Decimal("2.3"),)
    assert measure(Average(), used, JANUARY, decimals=1, rounding=Rounding.UP) == (Decimal("1.2"),)
    assert measure(Sum(), [UsageEvent(Decimal("1E-20"))], JANUARY)[0] == Decimal("1E-20")


def test_the_day_of_an_event_is_its_zones() -> None:
    """At 23:30 in London of the 30th Berlin has one day left of its January, London two."""
    berlin = ZoneInfo("Europe/Berlin")
    january = Period(datetime(2026, 1, 1, tzinfo=berlin), datetime(2026, 2, 1, tzinfo=berlin))
    used = [UsageEvent(31, datetime(2026, 1, 30, 23, 30, tzinfo=UTC))]
    assert measure(ProratedSum(), used, january, berlin) == (Decimal(1),)
    assert measure(ProratedSum(), used, JANUARY) == (Decimal(2),)


def test_quantities_of_a_hundred_digits_lose_nothing() -> None:
    """Sums and weights of the longest numbers are exact."""
    longest = 10**99
    used = [UsageEvent(longest, JANUARY.start), UsageEvent(Decimal("1E-99"), JANUARY.start)]
    assert measure(Sum(), used, JANUARY) == (Decimal("1" + "0" * 99 + "." + "0" * 98 + "1"),)
    assert measure(WeightedSum(), used[:1], JANUARY) == (Decimal(longest),)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: UsageEvent(0.5), "quantity: a value of type float is not an exact number"),
        (lambda: UsageEvent(1, datetime(2026, 1, 1)), "at: a value of type datetime is not a moment"),  # noqa: DTZ001
        (lambda: UniqueCount("a b"), "by: 'a b' is not a name"),
        (lambda: Percentile(0), "percent: 0 is not positive"),
        (lambda: Percentile("100.1"), "percent: 100.1 is more than all; expected at most 100"),
        (lambda: WindowedMax("hour"), "window: 'hour' has the wrong type; expected Interval"),
        (lambda: WindowedMax(Interval.HOUR, ""), "by: '' is not a name"),
        (lambda: measure(Sum(), [5], JANUARY), "events[0]: 5 is not an event; expected a UsageEvent"),
        (
            lambda: measure(Latest(), [UsageEvent(1)], JANUARY),
            "at: null says no time; expected a moment, because latest",
        ),
        (lambda: measure(WeightedSum(), [UsageEvent(1)], JANUARY), "at: null says no time"),
        (lambda: measure(ProratedSum(), [UsageEvent(1)], JANUARY), "at: null says no time"),
        (lambda: measure(WindowedMax(Interval.DAY), [UsageEvent(1)], JANUARY), "at: null says no time"),
        (
            lambda: measure(UniqueCount("user"), [UsageEvent(1)], JANUARY),
            "dimensions.user: null says nothing; expected a",
        ),
        (
            lambda: measure(WindowedMax(Interval.DAY, "user"), [UsageEvent(1, JANUARY.start)], JANUARY),
            "dimensions.user: null says nothing; expected a value of user, because windowed_max goes by it",
        ),
        (
            lambda: measure(Sum(), [UsageEvent(1), UsageEvent(1, JANUARY.end)], JANUARY),
            "events[1].at: '2026-02-01T00:00:00+00:00' is outside the period; expected a moment from",
        ),
        (
            lambda: gather(Max(), [UsageEvent(1, JANUARY.start - MICROSECOND)], JANUARY),
            "events[0].at: '2025-12-31T23:59:59.999999+00:00' is outside the period",
        ),
        (lambda: increments([1, 0.5]), "levels[1]: a value of type float is not an exact number"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_breaks_a_rule_is_refused(build: Callable[[], object], message: str) -> None:
    """The error names the field, the value and what was expected."""
    with pytest.raises(InvalidValueError, match=f"^{re.escape(message)}"):
        build()


def test_parts_of_different_kinds_do_not_merge() -> None:
    """Only a bug joins a maximum to a minimum, or one month's weights to another's."""
    used = [UsageEvent(1, JANUARY.end - MICROSECOND)]
    other = Period(JANUARY.start, JANUARY.end + timedelta(days=1))
    for one, two in [
        (gather(Sum(), used, JANUARY), gather(Count(), used, JANUARY)),
        (gather(Max(), used, JANUARY), gather(Min(), used, JANUARY)),
        (gather(WeightedSum(), used, JANUARY), gather(WeightedSum(), used, other)),
        (gather(WindowedMax(Interval.DAY), used, JANUARY), gather(WindowedMax(Interval.HOUR), used, JANUARY)),
    ]:
        with pytest.raises(AssertionError):
            one.merged(two)
