"""What holds for every price and every usage, against arithmetic in fractions that shares no line with the product."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Context, Decimal, localcontext
from fractions import Fraction
from math import ceil
from typing import assert_never

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_core.catalog import Fee, MeterPrice
from billing_core.errors import BillingError, InvalidValueError
from billing_core.money import EXACT, Currency, Quotient, total
from billing_core.periods import Interval, Period
from billing_core.prices import (
    Graduated,
    GraduatedPercentage,
    Package,
    PercentTier,
    PerUnit,
    Stair,
    Stairstep,
    Tier,
    Volume,
    VolumePercentage,
)
from billing_core.prices.by_quantity import QuantityPrice, charge
from billing_core.prices.steps import Flat, exact_sum
from billing_core.proration import ProrationBasis
from billing_core.rating import Line, Rating, RatingRequest, Usage, rate
from tests.core import made

USD = Currency("USD")
JANUARY = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
METERS = ["a", "b", "c"]

requests = st.builds(
    RatingRequest,
    made.currencies,
    st.just(JANUARY),
    st.tuples(*(st.builds(MeterPrice, st.just(meter), made.prices) for meter in METERS)),
    st.lists(st.builds(Fee, made.texts, made.unit_prices, st.sampled_from([Interval.MONTH, None])), max_size=3),
    st.lists(st.builds(Usage, st.sampled_from(METERS), made.quantities), max_size=6),
)


def exact(price: QuantityPrice, quantity: Decimal) -> Fraction:
    """Charge a quantity and carry out the division as a fraction."""
    with localcontext(EXACT):
        quotient = exact_sum(charge(price, Quotient(quantity)))
    return Fraction(quotient.dividend) / Fraction(quotient.divisor)


def by_hand(price: QuantityPrice, quantity: Decimal) -> Fraction:
    """Price a quantity as the definition of its model says it, in fractions."""
    used = Fraction(quantity)
    match price:
        case PerUnit():
            return used / Fraction(price.per) * Fraction(price.unit)
        case Package():
            return ceil(max(used - Fraction(price.free), 0) / Fraction(price.size)) * Fraction(price.amount)
        case Graduated() | Volume() | Stairstep() | GraduatedPercentage() | VolumePercentage():
            if not used and not price.flat_at_zero:
                return Fraction(0)
            tops = [Fraction(tier.up_to) if tier.up_to is not None else None for tier in price.tiers]
            bottoms = [Fraction(0), *tops[:-1]]
            last = sum(1 for bottom in bottoms[1:] if used > bottom)
            if isinstance(price, Graduated | GraduatedPercentage):
                parts = {index: min(used, tops[index] or used) - bottoms[index] for index in range(last + 1)}
            else:
                parts = {last: used}
            per = getattr(price, "per", 1)
            return sum((tier_by_hand(price.tiers[index], part, per) for index, part in parts.items()), Fraction(0))
        case _:
            assert_never(price)


def tier_by_hand(tier: Tier | PercentTier | Stair, part: Fraction, per: Decimal) -> Fraction:
    """Price one tier's part as the definition says it, in fractions."""
    match tier:
        case Stair():
            return Fraction(tier.amount)
        case PercentTier():
            return part * Fraction(tier.rate) / 100 + Fraction(tier.flat)
        case Tier(size=None):
            return part / Fraction(per) * Fraction(tier.unit) + Fraction(tier.flat)
        case Tier():
            return ceil(part / Fraction(tier.size)) * Fraction(tier.unit) + Fraction(tier.flat)
        case _:
            assert_never(tier)


@given(made.prices, made.quantities)
def test_a_charge_is_what_the_definition_says(price: QuantityPrice, quantity: Decimal) -> None:
    """Each model equals its definition exactly."""
    assert exact(price, quantity) == by_hand(price, quantity)


@given(requests)
def test_the_caller_s_decimal_context_does_not_matter(request: RatingRequest) -> None:
    """Rating brings its own exact context."""
    with localcontext(Context(prec=2, rounding=ROUND_CEILING)):
        rating = rate(request)
    assert rating == rate(request)


@given(made.tiers(), made.pers, st.data())
def test_charges_are_exact_at_the_bounds_of_tiers(tiers: tuple[Tier, ...], per: Decimal, data: st.DataObject) -> None:
    """A bound belongs to its tier, and the least quantity above it to the next."""
    bounds = [Decimal(0), *(tier.up_to for tier in tiers if tier.up_to is not None)]
    quantity = data.draw(st.sampled_from(bounds)) + data.draw(st.sampled_from([Decimal(0), Decimal("1E-9")]))
    for price in (Graduated(tiers, per), Volume(tiers, per), Graduated(tiers, per, flat_at_zero=False)):
        assert exact(price, quantity) == by_hand(price, quantity)


@given(requests)
def test_the_total_is_the_sum_of_the_lines(request: RatingRequest) -> None:
    """One line per price and per fee, in their order; what is printed adds up."""
    rating = rate(request)
    assert [line.meter for line in rating.lines] == [*METERS, *(None for _ in request.fees)]
    assert rating.total == total([line.amount for line in rating.lines], request.currency)
    unit = Fraction(1, 10**request.currency.minor_digits)
    assert all((Fraction(line.amount.amount) / unit).denominator == 1 for line in rating.lines)


@given(requests)
def test_a_line_is_within_half_a_unit_of_the_exact_charge(request: RatingRequest) -> None:
    """Every price is applied to the exact sum of its meter's usage and rounded once."""
    for price, line in zip(request.prices, rate(request).lines, strict=False):
        used = sum((usage.quantity for usage in request.usage if usage.meter == price.meter), Decimal(0))
        assert line.quantity == used
        rounding = Fraction(line.amount.amount) - by_hand(price.price, used)
        assert abs(rounding) <= Fraction(1, 2 * 10**request.currency.minor_digits)


@given(requests, st.randoms())
def test_the_order_of_usage_does_not_matter(request: RatingRequest, random: st.randoms) -> None:
    """Usage arrives in any order and gives the same lines."""
    shuffled = list(request.usage)
    random.shuffle(shuffled)
    parts = (request.currency, request.period, request.prices, request.fees)
    assert rate(RatingRequest(*parts, shuffled)) == rate(request)


@given(requests, st.integers(1, 30), st.sampled_from([*ProrationBasis, None]))
def test_parts_of_a_period_cost_what_it_does(
    request: RatingRequest, day: int, proration: ProrationBasis | None
) -> None:
    """Cut at midnight, both parts of a recurring fee are within a minor unit of all of it; unprorated, both are it."""
    cut = JANUARY.start + timedelta(days=day)
    parts = [Period(JANUARY.start, cut), Period(cut, JANUARY.end)]
    whole, one, two = (
        [line.amount.amount for line in rate(replace(request, active=part, proration=proration)).lines]
        for part in (JANUARY, *parts)
    )
    assert whole == [line.amount.amount for line in rate(request).lines]
    assert one[: len(METERS)] == two[: len(METERS)] == whole[: len(METERS)]
    for fee, all_of_it, first, second in zip(
        request.fees, *(lines[len(METERS) :] for lines in (whole, one, two)), strict=True
    ):
        if fee.every is None or proration is None:
            assert first == second == all_of_it
        else:
            assert abs(first + second - all_of_it) <= Decimal(1).scaleb(-request.currency.minor_digits)


@given(requests)
def test_rating_again_gives_the_same(request: RatingRequest) -> None:
    """Rating has no memory: what it gives is equal, and has the same hash."""
    first = rate(request)
    again = [rate(request) for _ in range(3)]
    assert again == [first] * 3
    assert {hash(rating) for rating in again} == {hash(first)}


@given(made.unit_prices, made.pers, made.quantities, made.quantities)
def test_per_unit_adds_up_before_rounding(unit: Decimal, per: Decimal, one: Decimal, other: Decimal) -> None:
    """Charging two uses together is charging each."""
    price = PerUnit(unit, per)
    assert exact(price, one + other) == exact(price, one) + exact(price, other)


@given(made.tiers(), made.quantities, made.quantities)
def test_graduated_never_falls(tiers: tuple[Tier, ...], one: Decimal, other: Decimal) -> None:
    """More use never costs less, as each tier only adds."""
    price = Graduated(tiers)
    less, more = sorted([one, other])
    assert exact(price, less) <= exact(price, more)


@given(made.tiers(), made.quantities)
def test_graduated_is_continuous_without_flat_amounts(tiers: tuple[Tier, ...], quantity: Decimal) -> None:
    """A little more use costs a little more, also across the bounds of tiers."""
    price = Graduated([Tier(tier.up_to, tier.unit) for tier in tiers])
    step = Decimal("1E-9")
    jump = exact(price, quantity + step) - exact(price, quantity)
    assert 0 <= jump <= Fraction(step) * max(Fraction(tier.unit) for tier in tiers)


@given(made.tiers(), made.quantities)
def test_volume_is_cheaper_where_unit_prices_fall(tiers: tuple[Tier, ...], quantity: Decimal) -> None:
    """The whole quantity at the last tier's price is at most what its tiers cost one by one."""
    units = sorted((tier.unit for tier in tiers), reverse=True)
    falling = [Tier(tier.up_to, unit) for tier, unit in zip(tiers, units, strict=True)]
    assert exact(Volume(falling), quantity) <= exact(Graduated(falling), quantity)


@given(made.unit_prices, made.pers, made.quantities)
def test_one_tier_is_per_unit(unit: Decimal, per: Decimal, quantity: Decimal) -> None:
    """A single tier without an end prices as no tiers do, graduated or by volume."""
    tier = [Tier(None, unit)]
    amounts = {exact(price, quantity) for price in (PerUnit(unit, per), Graduated(tier, per), Volume(tier, per))}
    assert len(amounts) == 1


def test_quantities_of_a_hundred_digits_lose_nothing() -> None:
    """The product of the longest numbers is exact, and what has no room on a line is an error of ours."""
    longest = 10**99 - 1
    assert exact(PerUnit(longest), Decimal(longest)) == longest**2
    with pytest.raises(BillingError, match="too long"):
        rate(RatingRequest(USD, JANUARY, [MeterPrice("a", PerUnit(longest))], (), [Usage("a", longest)]))


def test_usage_outside_the_period_is_refused() -> None:
    """The start is inside, the end is not, and the entry at fault is named."""
    prices = [MeterPrice("a", PerUnit(1))]
    for moment in (JANUARY.start, JANUARY.end - timedelta(microseconds=1)):
        RatingRequest(USD, JANUARY, prices, (), [Usage("a", 1, moment)])
    for moment in (JANUARY.end, JANUARY.start - timedelta(microseconds=1)):
        with pytest.raises(InvalidValueError, match=r"^usage\[1\]\.at: .* is outside the period; expected a moment"):
            RatingRequest(USD, JANUARY, prices, (), [Usage("a", 1), Usage("a", 1, moment)])


def test_usage_without_a_price_is_refused() -> None:
    """Whoever asks decides what to leave out; nothing is left out in silence."""
    with pytest.raises(InvalidValueError, match=r"^usage\[0\]\.meter: 'b' has no price; expected one of a"):
        RatingRequest(USD, JANUARY, [MeterPrice("a", PerUnit(1))], (), [Usage("b", 1)])


def test_two_prices_of_one_meter_are_refused() -> None:
    """They would charge the same use twice."""
    with pytest.raises(InvalidValueError, match=r"^prices\[1\]\.meter: 'a' has a price already"):
        RatingRequest(USD, JANUARY, [MeterPrice("a", PerUnit(1)), MeterPrice("a", PerUnit(2))])


def test_negative_usage_is_refused() -> None:
    """Corrections are not usage, where a meter does not take changes of a level."""
    with pytest.raises(InvalidValueError, match=r"^usage\[0\]\.quantity: -1 is negative"):
        RatingRequest(USD, JANUARY, [MeterPrice("a", PerUnit(1))], (), [Usage("a", -1)])


def test_a_line_that_does_not_add_up_cannot_be_explained() -> None:
    """The sum of the steps is asserted where they are handed out, whether a line has them or its price does."""
    line = Line("a", "a", Decimal(1), Decimal(1), USD, (Flat(Decimal(1)),))
    (plain,) = rate(RatingRequest(USD, JANUARY, [MeterPrice("a", PerUnit(1))], (), [Usage("a", 1)])).lines
    for one in (line, plain):
        assert one.derivation
        with pytest.raises(AssertionError):
            _ = one._replace(charged=Decimal(2)).derivation


def test_a_rating_is_of_one_currency() -> None:
    """Lines of two currencies have no sum."""
    line = Line("a", "a", Decimal(1), Decimal(1), USD, (Flat(Decimal(1)),))
    with pytest.raises(AssertionError):
        Rating((line,), Currency("EUR"))
