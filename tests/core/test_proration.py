"""Shares add up to their whole, lines to their amount, and whoever is credited paid before."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Context, Decimal, localcontext
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from billing_core.errors import InvalidValueError
from billing_core.money import Currency, Money, Quotient, total
from billing_core.periods import Period
from billing_core.proration import (
    ProrationBasis,
    Share,
    add,
    change,
    change_quantity,
    charge_after_trial,
    prorate,
    prorated,
    prorated_credits,
    remove,
    share,
    split,
)
from billing_core.quantities import Rounding, rounded_quantity
from tests.core import made

USD = Currency("USD")
BERLIN = ZoneInfo("Europe/Berlin")
MARCH = Period(datetime(2026, 3, 1, tzinfo=BERLIN), datetime(2026, 4, 1, tzinfo=BERLIN))
DAY = timedelta(days=1)

zones = st.sampled_from([UTC, BERLIN, ZoneInfo("America/St_Johns"), ZoneInfo("Australia/Lord_Howe")])
bases = st.sampled_from(ProrationBasis)
moments = st.datetimes(datetime(2026, 2, 20), datetime(2026, 4, 10), timezones=st.just(UTC))  # noqa: DTZ001
shares = st.tuples(st.integers(0, 10**6), st.integers(1, 10**6)).map(lambda two: Share(min(two), max(two)))
lengths = st.timedeltas(timedelta(microseconds=1), timedelta(days=400))
periods = st.builds(lambda start, length: Period(start, start + length), moments, lengths)


def fraction(part: Share | Quotient) -> Fraction:
    """Carry out the division as a fraction."""
    match part:
        case Share():
            return Fraction(part.part) / Fraction(part.whole)
        case Quotient():
            return Fraction(part.dividend) / Fraction(part.divisor)


@given(periods, moments, moments, zones, st.sampled_from([ProrationBasis.SECOND, ProrationBasis.DAY_EXCLUSIVE]))
def test_shares_add_up(period: Period, one: datetime, other: datetime, zone: ZoneInfo, basis: ProrationBasis) -> None:
    """By second and by exclusive day, what is used, what lies between and what is left are the whole."""
    start, end = sorted([one, other])
    parts = [
        share(period, None, start, basis, zone),
        share(period, start, end, basis, zone),
        share(period, end, None, basis, zone),
    ]
    longer_than_a_day = period.end - period.start > DAY
    if basis is ProrationBasis.SECOND or longer_than_a_day:
        assert sum(fraction(part) for part in parts) == 1


@given(periods, moments, zones, bases)
def test_a_share_is_a_part_of_the_whole(period: Period, at: datetime, zone: ZoneInfo, basis: ProrationBasis) -> None:
    """All of a period is one, nothing of it zero, and more time is never a smaller share."""
    assert fraction(share(period, basis=basis, zone=zone)) == 1
    assert share(period, period.end, None, basis, zone).part == 0
    assert share(period, None, period.start, basis, zone).part == 0
    used, more = (share(period, None, end, basis, zone) for end in (at, at + timedelta(hours=30)))
    assert 0 <= fraction(used) <= fraction(more) <= 1


@given(periods, moments, zones)
def test_an_inclusive_day_is_one_day_more_at_most(period: Period, at: datetime, zone: ZoneInfo) -> None:
    """What was used counts the day of the end as well; what is left is the same either way."""
    inclusive, exclusive = ProrationBasis.DAY_INCLUSIVE, ProrationBasis.DAY_EXCLUSIVE
    assert share(period, at, None, inclusive, zone) == share(period, at, None, exclusive, zone)
    used, used_exclusive = (share(period, None, at, basis, zone).part for basis in (inclusive, exclusive))
    assert used - used_exclusive in (0, 1)


@pytest.mark.parametrize(
    ("start", "end", "second", "inclusive", "exclusive"),
    [
        ((2026, 3, 1), (2026, 3, 16), 15 * 86400, 15, 15),
        ((2026, 3, 1), (2026, 3, 16, 0, 0, 1), 15 * 86400 + 1, 16, 15),
        ((2026, 3, 1), (2026, 3, 15, 23, 59, 59), 15 * 86400 - 1, 15, 14),
        ((2026, 3, 15, 23, 59, 59), (2026, 3, 16), 1, 1, 1),
        ((2026, 3, 15, 10), (2026, 3, 15, 11), 3600, 1, 0),
        ((2026, 3, 15, 10), (2026, 3, 15, 10), 0, 0, 0),
        ((2026, 3, 29), (2026, 3, 30), 23 * 3600, 1, 1),
        ((2026, 3, 31, 12), (2026, 4, 1), 12 * 3600, 1, 1),
        ((2026, 3, 31, 12), (2026, 4, 7), 12 * 3600, 1, 1),
        ((2026, 2, 7), (2026, 3, 2), 86400, 1, 1),
        ((2026, 4, 2), (2026, 4, 7), 0, 0, 0),
    ],
)
def test_days_at_their_edges(
    start: tuple[int, ...], end: tuple[int, ...], second: int, inclusive: int, exclusive: int
) -> None:
    """Of Berlin's March, which has 31 days and 743 hours: midnight ends the day before, a second later begins one."""
    parts = [
        share(MARCH, datetime(*start, tzinfo=BERLIN), datetime(*end, tzinfo=BERLIN), basis, BERLIN)
        for basis in ProrationBasis
    ]
    assert [part.part for part in parts] == [second, inclusive, exclusive]
    assert [part.whole for part in parts] == [743 * 3600, 31, 31]


def test_a_month_that_begins_at_ten_has_its_days_and_no_more() -> None:
    """Anchored at an hour of the day, 31 days are 31, and 17 are left on the 15th."""
    month = Period(datetime(2026, 3, 1, 10, tzinfo=UTC), datetime(2026, 4, 1, 10, tzinfo=UTC))
    inclusive = ProrationBasis.DAY_INCLUSIVE
    assert share(month, basis=inclusive) == Share(31, 31)
    assert share(month, datetime(2026, 3, 15, 12, tzinfo=UTC), None, inclusive) == Share(17, 31)
    assert share(month, None, datetime(2026, 4, 1, 9, tzinfo=UTC), inclusive) == Share(31, 31)


def test_a_day_that_clocks_fall_back_into_is_over() -> None:
    """At 23:30, shown again after a minute of the new day, St John's has the new day's share left."""
    st_johns = ZoneInfo("America/St_Johns")
    month = Period(datetime(2010, 11, 1, tzinfo=st_johns), datetime(2010, 12, 1, tzinfo=st_johns))
    again = datetime(2010, 11, 6, 23, 30, tzinfo=st_johns, fold=1)
    assert share(month, again, None, ProrationBasis.DAY_EXCLUSIVE, st_johns) == Share(24, 30)


def test_a_period_within_a_day_is_a_day() -> None:
    """An hour has no days to count; by day it is due in full or not at all."""
    hour = Period(datetime(2026, 3, 1, 10, tzinfo=UTC), datetime(2026, 3, 1, 11, tzinfo=UTC))
    half = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
    for basis in (ProrationBasis.DAY_INCLUSIVE, ProrationBasis.DAY_EXCLUSIVE):
        assert share(hour, basis=basis) == Share(1, 1)
    assert share(hour, None, half, ProrationBasis.DAY_INCLUSIVE) == Share(1, 1)
    assert share(hour, None, half, ProrationBasis.DAY_EXCLUSIVE) == Share(0, 1)


@given(made.unit_prices, shares)
def test_a_share_of_an_amount_is_exact(amount: Decimal, part: Share) -> None:
    """Nothing is divided before it is rounded, whatever the decimal context of the caller."""
    with localcontext(Context(prec=2, rounding=ROUND_DOWN)):
        assert fraction(prorate(amount, part)) == Fraction(amount) * fraction(part)
        line = prorated(amount, part, USD)
    assert abs(Fraction(line.amount) - Fraction(amount) * fraction(part)) <= Fraction(1, 200)


@given(made.unit_prices, made.unit_prices, shares, st.one_of(st.none(), made.unit_prices))
def test_a_change_nets_rounded_lines(old: Decimal, new: Decimal, left: Share, credit_max: Decimal | None) -> None:
    """The charge is the new amount's share, the credit the old one's or what was paid, and the net is their sum."""
    lines = change(old, new, left, USD, credit_max)
    assert lines.charge == prorated(new, left, USD)
    paid = prorated(old, left, USD) if credit_max is None else min(prorated(old, left, USD), Money(credit_max, USD))
    assert lines.credit == -paid
    assert lines.net == lines.charge + lines.credit
    if old == new and credit_max is None:
        assert lines.net == Money(0, USD)


@given(made.unit_prices, made.unit_prices, shares)
def test_a_change_is_a_removal_and_an_addition(old: Decimal, new: Decimal, left: Share) -> None:
    """Line by line, and there and back again costs nothing."""
    lines = change(old, new, left, USD)
    assert (remove(old, left, USD).credit, add(new, left, USD).charge) == (lines.credit, lines.charge)
    assert lines.net + change(new, old, left, USD).net == Money(0, USD)


def test_a_quantity_is_multiplied_before_it_is_divided() -> None:
    """Three thirds of a cent are a cent: they are multiplied first."""
    lines = change_quantity(Decimal("0.01"), Decimal(0), Decimal(3), Share(1, 3), USD)
    assert (lines.credit.text(), lines.charge.text()) == ("0.00", "0.01")


@given(made.unit_prices, periods, st.sets(st.integers(1, 99), max_size=5), zones, bases, made.currencies)
def test_a_split_loses_no_cent(
    amount: Decimal, period: Period, percents: set[int], zone: ZoneInfo, basis: ProrationBasis, currency: Currency
) -> None:
    """The lines add up to the rounded amount, and each is within a minor unit of its share."""
    length = period.end - period.start
    cuts = sorted({period.start + length * percent // 100 for percent in percents} - {period.start})
    lines = split(amount, period, cuts, currency, basis, zone)
    assert len(lines) == len(cuts) + 1
    assert total(lines, currency) == prorated(amount, Share(1, 1), currency)
    assert all(line.amount >= 0 for line in lines)
    if basis is ProrationBasis.SECOND:
        bounds = [period.start, *cuts, period.end]
        for line, start, end in zip(lines, bounds, bounds[1:], strict=False):
            exact = Fraction(amount) * Fraction((end - start) // timedelta.resolution, length // timedelta.resolution)
            assert abs(Fraction(line.amount) - exact) <= Fraction(1, 10**currency.minor_digits)


@pytest.mark.parametrize("days", [[1], [5, 5], [7, 6], [31], [40]], ids=str)
def test_cuts_rise_inside_the_period(days: list[int]) -> None:
    """A cut at the start, before another or at the end would make an empty part."""
    cuts = [datetime(2026, 3, 1, tzinfo=BERLIN) + (day - 1) * DAY for day in days] if days != [31] else [MARCH.end]
    with pytest.raises(InvalidValueError, match=r"^cuts\[\d\]: .* does not rise; expected moments that rise inside"):
        split(Decimal(1), MARCH, cuts, USD)


def test_a_trial_ends_at_the_hour_it_began_at() -> None:
    """Ten days of Berlin's clocks, of which one is an hour short; by second the rest is charged."""
    started = datetime(2026, 3, 20, 12, tzinfo=BERLIN)
    charged = charge_after_trial(Decimal(743), MARCH, started, 10, USD, zone=BERLIN)
    assert charged.text() == "36.00"
    assert charge_after_trial(Decimal(743), MARCH, started - 60 * DAY, 10, USD, zone=BERLIN).text() == "743.00"


def test_credits_keep_twelve_decimals() -> None:
    """A third of a credit is cut where quantities are, or earlier where that is asked for."""
    assert str(prorated_credits(Decimal(1), Share(1, 3))) == "0.333333333333"
    assert str(prorated_credits(Decimal(2), Share(1, 3), 2)) == "0.67"


@example(Decimal("2.5"), 1, 0, Rounding.HALF_UP)
@example(Decimal("-2.5"), 1, 0, Rounding.HALF_UP)
@given(made.decimals(10**6, 6, above=-(10**6)), st.integers(1, 10**6), st.integers(0, 12), st.sampled_from(Rounding))
def test_a_quantity_is_rounded_once(dividend: Decimal, divisor: int, decimals: int, rounding: Rounding) -> None:
    """Up is away from zero, down towards it, half up to the nearer and of two as near away from zero."""
    exact = abs(Fraction(dividend)) / divisor * 10**decimals
    down = exact.numerator // exact.denominator
    rest = exact - down
    steps = {Rounding.DOWN: 0, Rounding.UP: 1 if rest else 0, Rounding.HALF_UP: 1 if rest >= Fraction(1, 2) else 0}
    wanted = Fraction(down + steps[rounding], 10**decimals) * (-1 if dividend < 0 else 1)
    number = rounded_quantity(Quotient(dividend, Decimal(divisor)), decimals, rounding)
    assert Fraction(number) == wanted
    assert not (number == 0 and number.is_signed())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Share(-1, 1), "part: -1 is negative"),
        (lambda: Share(2, 1), "whole: 1 does not hold the part; expected at least 2, above 0"),
        (lambda: Share(0, 0), "whole: 0 does not hold the part"),
        (lambda: Share(0.5, 1), "part: a value of type float is not an exact number"),
        (lambda: share(MARCH, MARCH.end, MARCH.start), "end: '2026-02-28T23:00:00\\+00:00' is before the start"),
        (lambda: share(MARCH, datetime(2026, 3, 1)), "start: a value of type datetime is not a moment"),  # noqa: DTZ001
        (lambda: share(MARCH, None, "2026-03-02"), "end: '2026-03-02' is not a moment"),
        (lambda: share(MARCH, basis="second"), "basis: 'second' has the wrong type; expected ProrationBasis"),
        (lambda: share(MARCH, basis=ProrationBasis.DAY_INCLUSIVE, zone=1), "zone: 1 is not a time zone"),
        (lambda: split(1, MARCH, [], USD, "second"), "basis: 'second' has the wrong type"),
        (lambda: prorate(0.5, Share(1, 2)), "amount: a value of type float is not an exact number"),
        (lambda: change(-1, 0, Share(1, 2), USD), "old: -1 is negative"),
        (lambda: change(0, -1, Share(1, 2), USD), "new: -1 is negative"),
        (lambda: change(1, 0, Share(1, 2), USD, -1), "credit_max: -1 is negative"),
        (lambda: change_quantity(-1, 1, 1, Share(1, 2), USD), "unit: -1 is negative"),
        (lambda: change_quantity(1, -1, 1, Share(1, 2), USD), "old_quantity: -1 is negative"),
        (lambda: change_quantity(1, 1, -1, Share(1, 2), USD), "new_quantity: -1 is negative"),
        (lambda: prorated_credits(-1, Share(1, 2)), "granted: -1 is negative"),
        (lambda: prorated_credits(1, Share(1, 2), 13), "decimals: 13 is not a number of decimals; expected a whole"),
        (lambda: rounded_quantity(Quotient(Decimal(1)), 1, "up"), "rounding: 'up' has the wrong type"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_what_breaks_a_rule_is_refused(build: object, message: str) -> None:
    """The error names the field, the value and what was expected."""
    with pytest.raises(InvalidValueError, match=f"^{message}"):
        build()
