"""Seats over time are what was held, never below the minimum; a person is one licence."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_core.aggregation import UsageEvent
from billing_core.errors import InvalidValueError
from billing_core.licences import Seats, change_seats, charge_seats, named_licences, seats_over_time
from billing_core.money import Currency, Money, Quotient
from billing_core.periods import Period
from billing_core.proration import ProrationBasis, Share, change_quantity
from tests.core import made

USD = Currency("USD")
APRIL = Period(datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC))
HOUR = timedelta(hours=1)

seats = st.integers(0, 1000).map(Decimal)
bases = st.sampled_from(ProrationBasis)
levels = st.dictionaries(st.integers(-100, 30 * 24 + 100), seats, max_size=6).map(
    lambda hours: [Seats(APRIL.start + hour * HOUR, number) for hour, number in hours.items()]
)


def fraction(quotient: Quotient) -> Fraction:
    """Carry out the division as a fraction."""
    return Fraction(quotient.dividend) / Fraction(quotient.divisor)


def held(at: datetime, set_levels: list[Seats]) -> Fraction:
    """Look up how many seats there are at a moment."""
    before = [level for level in set_levels if level.at <= at]
    return Fraction(max(before, key=lambda level: level.at).seats) if before else Fraction(0)


@given(levels, seats)
def test_seats_are_weighed_hour_by_hour(set_levels: list[Seats], minimum: Decimal) -> None:
    """By second, the sum over all hours of what was held or of the minimum, divided by the hours."""
    hours = [max(held(APRIL.start + hour * HOUR, set_levels), Fraction(minimum)) for hour in range(720)]
    assert fraction(seats_over_time(APRIL, set_levels, minimum)) == sum(hours) / 720


@given(levels)
def test_a_day_has_the_seats_that_it_ends_with(set_levels: list[Seats]) -> None:
    """By day, either way of counting looks at each day's last moment."""
    ends = [APRIL.start + timedelta(days=day + 1) - timedelta(microseconds=1) for day in range(30)]
    days = sum(held(end, set_levels) for end in ends)
    for basis in (ProrationBasis.DAY_INCLUSIVE, ProrationBasis.DAY_EXCLUSIVE):
        assert fraction(seats_over_time(APRIL, set_levels, basis=basis)) == days / 30


@given(levels, seats, bases, st.randoms())
def test_the_order_of_levels_does_not_matter(
    set_levels: list[Seats], minimum: Decimal, basis: ProrationBasis, random: Random
) -> None:
    """They are ordered by their time."""
    shuffled = list(set_levels)
    random.shuffle(shuffled)
    assert seats_over_time(APRIL, shuffled, minimum, basis) == seats_over_time(APRIL, set_levels, minimum, basis)


@given(seats, seats, made.unit_prices, bases)
def test_seats_that_do_not_change_are_paid_in_full(
    number: Decimal, minimum: Decimal, unit: Decimal, basis: ProrationBasis
) -> None:
    """A period of the same seats costs their number or the minimum times the unit."""
    charged = charge_seats(unit, APRIL, [Seats(APRIL.start, number)], USD, minimum, basis)
    assert abs(Fraction(charged.amount) - Fraction(unit) * Fraction(max(number, minimum))) <= Fraction(1, 200)


@given(made.unit_prices, seats, seats, seats)
def test_a_change_of_seats_is_one_of_quantity(unit: Decimal, old: Decimal, new: Decimal, minimum: Decimal) -> None:
    """With the minimum in the place of what lies below it."""
    left = Share(17, 31)
    lines = change_seats(unit, old, new, left, USD, minimum)
    assert lines == change_quantity(unit, max(old, minimum), max(new, minimum), left, USD)
    if max(old, new) <= minimum:
        assert lines.net == Money(0, USD)


def test_half_a_cent_is_not_lost_in_the_number_of_seats() -> None:
    """A third of a seat at 0.015 is exactly half a cent; a rounded third would make it nothing."""
    third = [Seats(datetime(2026, 4, 21, tzinfo=UTC), 1)]
    assert charge_seats(Decimal("0.015"), APRIL, third, USD).text() == "0.01"


@given(st.lists(st.sampled_from("abcde"), max_size=20), st.integers(0, 6).map(Decimal))
def test_a_person_is_one_licence(users: list[str], minimum: Decimal) -> None:
    """However often seen, and at least the minimum."""
    events = [UsageEvent(1, APRIL.start, {"user": user}) for user in users]
    assert named_licences(events, APRIL, "user", minimum) == max(len(set(users)), minimum)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Seats(APRIL.start, -1), "seats: -1 is negative"),
        (lambda: Seats("2026-04-01", 1), "at: '2026-04-01' is not a moment"),
        (lambda: seats_over_time(APRIL, [], -1), "minimum: -1 is negative"),
        (lambda: charge_seats(-1, APRIL, [], USD), "unit: -1 is negative"),
        (lambda: change_seats(1, -1, 1, Share(1, 2), USD), "old_seats: -1 is negative"),
        (lambda: change_seats(1, 1, -1, Share(1, 2), USD), "new_seats: -1 is negative"),
        (lambda: change_seats(1, 1, 1, Share(1, 2), USD, -1), "minimum: -1 is negative"),
        (lambda: named_licences([], APRIL, "user", -1), "minimum: -1 is negative"),
        (
            lambda: seats_over_time(APRIL, [Seats(APRIL.start, 1), Seats(APRIL.start, 2)]),
            r"levels: '2026-04-01T00:00:00\+00:00' has two numbers of seats; expected one number of seats at a time",
        ),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_what_breaks_a_rule_is_refused(build: object, message: str) -> None:
    """The error names the field, the value and what was expected."""
    with pytest.raises(InvalidValueError, match=f"^{message}"):
        build()
