"""A plain price's curve and its steps prove one another: two ways to one amount, and rating takes the short one."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from billing_core.aggregation import Count, Max
from billing_core.catalog import Meter, MeterPrice
from billing_core.errors import InvalidValueError
from billing_core.money import EXACT, Currency, Quotient, RoundingPoint, line_rounding, rounded
from billing_core.periods import Period
from billing_core.prices import (
    Capacity,
    CapacityTier,
    Graduated,
    GraduatedPercentage,
    Package,
    PerUnit,
    Stairstep,
    Terms,
    Tier,
    Volume,
    VolumePercentage,
)
from billing_core.prices.by_quantity import QuantityPrice, charge
from billing_core.prices.curve import Curve, curve_of
from billing_core.prices.models import EventPrice
from billing_core.prices.steps import exact_sum
from billing_core.prices.terms import AmountOff, Conversion, UnitsOff
from billing_core.rating import Billed, Index, Rating, RatingRequest, Usage, rate
from tests.core import made

USD = Currency("USD")
START = datetime(2026, 1, 1, tzinfo=UTC)
JANUARY = Period(START, START + timedelta(days=31))
SPOT = Index([(START, Decimal("0.5"))])

uses = st.builds(
    Usage, st.just("m"), made.decimals(10**6, 2), st.just(START), made.matches, st.integers(1, 9), made.unit_prices
)


def by_steps(price: QuantityPrice, quantity: Decimal) -> Fraction:
    """Charge a quantity step by step, and carry out the division as a fraction."""
    with localcontext(EXACT):
        return exact_sum(charge(price, Quotient(quantity))).fraction


def by_curve(curve: Curve, quantity: Decimal) -> Fraction:
    """Charge a quantity by its curve."""
    with localcontext(EXACT):
        return Fraction(curve.charge(quantity))


def is_straight(price: QuantityPrice) -> bool:
    """Whether decimals say what every piece of a price costs: no started blocks, and no division without an end."""
    match price:
        case Package():
            return False
        case Stairstep() | GraduatedPercentage() | VolumePercentage():
            return True
        case PerUnit():
            return ends(Fraction(price.unit) / Fraction(price.per))
        case Graduated() | Volume():
            slopes = [Fraction(tier.unit) / Fraction(price.per) for tier in price.tiers]
            return all(map(ends, slopes)) and all(tier.size is None for tier in price.tiers)


def ends(number: Fraction) -> bool:
    """Whether a number has a last decimal."""
    rest = number.denominator
    for factor in (2, 5):
        while rest % factor == 0:
            rest //= factor
    return rest == 1


@given(made.prices, made.quantities, st.data())
def test_a_curve_charges_what_the_steps_add_up_to(price: QuantityPrice, quantity: Decimal, data: st.DataObject) -> None:
    """Anywhere, and at zero, at each bound and right above it; what is not straight has no curve, all else has one."""
    curve = curve_of(price)
    assert (curve is not None) == is_straight(price)
    if curve is not None:
        turn = data.draw(st.sampled_from([Decimal(0), *curve.bounds]))
        for each in (quantity, turn, turn + Decimal("1E-9")):
            assert by_curve(curve, each) == by_steps(price, each)


def test_a_curve_is_as_exact_as_the_longest_numbers_need() -> None:
    """A hundred digits everywhere, and a division of as many decimals as there can be, lose nothing."""
    longest, finest = Decimal(10**99 - 1), Decimal(2**300)
    for price in (
        Graduated((Tier(longest, 1, longest), Tier(None, longest)), finest),
        PerUnit("0.000000000001", finest),
    ):
        curve = curve_of(price)
        assert curve is not None
        for quantity in (longest, longest - 1, Decimal(1).scaleb(-99)):
            assert by_curve(curve, quantity) == by_steps(price, quantity)


@given(made.meter_prices("m"), st.lists(uses, max_size=4), st.booleans())
@example(MeterPrice("m", PerUnit(1), Terms(minimum=Decimal(5))), [], True)
@example(MeterPrice("m", PerUnit(1), Terms(maximum=Decimal(0))), [Usage("m", 3)], True)
@example(MeterPrice("m", PerUnit(1), Terms(discount=AmountOff(Decimal(1)))), [Usage("m", 3)], True)
@example(MeterPrice("m", PerUnit(1), Terms(discount=UnitsOff(Decimal(1)))), [Usage("m", 3)], True)
@example(MeterPrice("m", PerUnit(1), Terms(convert=Conversion(Decimal(3)))), [Usage("m", 3)], True)
@example(MeterPrice("m", PerUnit(1), Terms(Decimal(2))), [Usage("m", 3)], True)
@example(MeterPrice("m", PerUnit(1), Terms(filter={"region": ("eu",)})), [Usage("m", 3)], True)
@example(MeterPrice("m", Volume((Tier(None, 1),))), [Usage("m", 3)], False)
def test_a_line_costs_the_same_by_curve_and_by_steps(price: MeterPrice, used: list[Usage], is_final: bool) -> None:
    """An earlier split that billed nothing has the line made of its steps; whichever way it came, it has steps."""
    short, stepped = (
        rate(RatingRequest(USD, JANUARY, [price], (), used, indexes={"spot": SPOT}, billed=billed, final=is_final))
        for billed in ({}, {"m": Billed(0, 0)})
    )
    (line,), (other,) = short.lines, stepped.lines
    assert line[:5] == other[:5]
    assert line.derivation == other.derivation[: len(line.derivation)]
    assert short.total == stepped.total


@given(made.currencies, st.integers(0, 10**6), st.sampled_from([0, 1, -1]))
def test_a_line_is_rounded_as_money_is(currency: Currency, halves: int, more: int) -> None:
    """Half a minor unit, a little more and a little less: the short way to round gives what the long one does."""
    exact = max(Decimal(5 * halves).scaleb(-currency.minor_digits - 1) + Decimal(more).scaleb(-12), Decimal(0))
    amount = line_rounding(currency)(exact)
    assert amount.as_tuple() == rounded(Quotient(exact), currency, RoundingPoint.LINE).amount.as_tuple()


def test_a_line_that_is_too_long_is_refused() -> None:
    """Where it is rounded, and not only in the total."""
    assert line_rounding(USD)(Decimal(10**98 - 1)) == 10**98 - 1
    with pytest.raises(InvalidValueError, match="is too long"):
        line_rounding(USD)(Decimal(10**98))


def rated(prices: list[MeterPrice], used: list[Usage], *meters: Meter) -> Rating:
    """Rate prices in dollars."""
    return rate(RatingRequest(USD, JANUARY, prices, (), used, {meter.name: meter for meter in meters}))


@pytest.mark.parametrize(("aggregation", "quantity"), [(Count(), 2), (Max(), 7)])
def test_what_does_not_sum_is_measured_by_its_aggregation(aggregation: Count | Max, quantity: int) -> None:
    """A curve charges what a meter comes to, and that is its sum only where it sums."""
    used = [Usage("m", 7), Usage("m", 3)]
    (line,) = rated([MeterPrice("m", PerUnit(1))], used, Meter("m", aggregation=aggregation)).lines
    assert (line.quantity, line.amount.amount) == (quantity, quantity)


def test_a_meter_s_lines_do_not_disturb_each_other() -> None:
    """One that two prices look at, one that nobody used, and one that does not sum, in the order of the prices."""
    prices = [
        MeterPrice("a", PerUnit(2)),
        MeterPrice(None, Capacity([CapacityTier({"a": 5}, 10), CapacityTier({}, 20)])),
        MeterPrice("b", Graduated((Tier(None, 1, 3),))),
        MeterPrice("c", PerUnit(1)),
    ]
    used = [Usage("a", 4), Usage("c", 1), Usage("a", 2), Usage("c", 1)]
    rating = rated(prices, used, Meter("c", aggregation=Max()))
    assert [(line.quantity, line.amount.amount) for line in rating.lines] == [(6, 12), (1, 20), (0, 3), (1, 1)]


@given(made.meter_prices("m"))
def test_a_price_with_terms_or_single_uses_has_no_curve(price: MeterPrice) -> None:
    """And without any of them it has that of its model."""
    is_alone = price.terms == Terms(charge_when=price.terms.charge_when)
    assert price.curve == (curve_of(price.price) if is_alone else None)
    assert price.curve is None or not isinstance(price.price, EventPrice)
