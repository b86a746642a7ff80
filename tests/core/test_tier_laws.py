"""What must hold of tiers: dearer is never cheaper, more is never less, and how the two readings compare."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from billing_core.money import EXACT, Quotient
from billing_core.prices import Graduated, GraduatedPercentage, Package, PercentTier, Tier, Volume, VolumePercentage
from billing_core.prices.by_quantity import QuantityPrice, charge
from billing_core.prices.steps import exact_sum
from tests.core import made

TIERS_MAX = 5

cents = made.decimals(1000, 2)
columns = st.lists(cents, min_size=TIERS_MAX, max_size=TIERS_MAX)
Bounds = list[Decimal | None]


def cost(price: QuantityPrice, quantity: Decimal) -> Fraction:
    """Charge a quantity, and carry out the division as a fraction."""
    with localcontext(EXACT):
        return exact_sum(charge(price, Quotient(quantity))).fraction


def tiers(bounds: Bounds, units: Sequence[Decimal], flats: Sequence[Decimal] | None = None) -> list[Tier]:
    """Make tiers of columns that are at least as long."""
    return [Tier(*row) for row in zip(bounds, units, flats or [Decimal(0)] * TIERS_MAX, strict=False)]


def percent_tiers(bounds: Bounds, rates: Sequence[Decimal]) -> list[PercentTier]:
    """Make tiers of a rate each."""
    return [PercentTier(*row) for row in zip(bounds, rates, strict=False)]


@given(made.bounds(), columns, made.pers, made.quantities)
def test_graduated_costs_at_most_volume_where_unit_prices_rise(
    bounds: Bounds, units: list[Decimal], per: Decimal, quantity: Decimal
) -> None:
    """All of it at the price of the last unit is the dearest; where unit prices fall, it is the cheapest."""
    rising, falling = tiers(bounds, sorted(units)), tiers(bounds, sorted(units, reverse=True))
    assert cost(Graduated(rising, per), quantity) <= cost(Volume(rising, per), quantity)
    assert cost(Graduated(falling, per), quantity) >= cost(Volume(falling, per), quantity)


@given(made.bounds(), columns, made.quantities)
def test_shares_compare_as_unit_prices_do(bounds: Bounds, rates: list[Decimal], quantity: Decimal) -> None:
    """Where rates rise, the share of all of it is the largest, and where they fall, the smallest."""
    rising, falling = percent_tiers(bounds, sorted(rates)), percent_tiers(bounds, sorted(rates, reverse=True))
    assert cost(GraduatedPercentage(rising), quantity) <= cost(VolumePercentage(rising), quantity)
    assert cost(GraduatedPercentage(falling), quantity) >= cost(VolumePercentage(falling), quantity)


@given(made.bounds(), columns, columns, made.quantities)
def test_both_readings_agree_in_the_first_tier(
    bounds: Bounds, units: list[Decimal], flats: list[Decimal], quantity: Decimal
) -> None:
    """What does not leave the first tier costs the same by both, its flat amount included."""
    rows = tiers(bounds, units, flats)
    inside = quantity if rows[0].up_to is None else min(quantity, rows[0].up_to)
    assert cost(Graduated(rows), inside) == cost(Volume(rows), inside)


@given(made.bounds(), columns, made.quantities)
def test_volume_with_the_difference_as_its_flat_is_graduated(
    bounds: Bounds, units: list[Decimal], quantity: Decimal
) -> None:
    """What the units below cost more than at the tier's own price, charged as its flat amount, makes up for it."""
    falling = sorted(units, reverse=True)
    flats = [Decimal(0)]
    for bound, (dearer, cheaper) in zip(bounds[:-1], pairwise(falling), strict=False):
        flats.append(flats[-1] + bound * (dearer - cheaper))
    graduated, volume = Graduated(tiers(bounds, falling)), Volume(tiers(bounds, falling, flats))
    assert cost(graduated, quantity) == cost(volume, quantity)


rows = st.tuples(made.bounds(), columns, columns)
never_falling = st.one_of(
    st.builds(Graduated, made.tiers(in_blocks=True), made.pers, st.booleans()),
    st.builds(GraduatedPercentage, made.percent_tiers(), st.booleans()),
    st.builds(Package, made.decimals(1000, 2, above=1), made.unit_prices, made.decimals(1000, 2)),
    rows.map(lambda row: Volume(tiers(row[0], sorted(row[1]), sorted(row[2])))),
    rows.map(lambda row: VolumePercentage(percent_tiers(row[0], sorted(row[1])))),
)


@given(never_falling, made.quantities, made.quantities)
def test_more_use_never_costs_less(price: QuantityPrice, one: Decimal, other: Decimal) -> None:
    """Graduated tiers only add, whatever they cost, also in blocks; by volume, tiers that rise do."""
    less, more = sorted([one, other])
    assert cost(price, less) <= cost(price, more)


@given(made.tiers(in_blocks=True), made.pers, made.quantities, st.integers(0, TIERS_MAX - 1), cents, cents)
def test_a_dearer_tier_never_makes_it_cheaper(
    given_tiers: tuple[Tier, ...], per: Decimal, quantity: Decimal, number: int, unit: Decimal, flat: Decimal
) -> None:
    """Whichever tier is raised, by its unit price or by its flat amount, and whatever was used."""
    number %= len(given_tiers)
    raised = replace(given_tiers[number], unit=given_tiers[number].unit + unit, flat=given_tiers[number].flat + flat)
    dearer = (*given_tiers[:number], raised, *given_tiers[number + 1 :])
    assert cost(Graduated(given_tiers, per), quantity) <= cost(Graduated(dearer, per), quantity)
    assert cost(Volume(given_tiers, per), quantity) <= cost(Volume(dearer, per), quantity)


@given(made.bounds(), columns, made.quantities, made.decimals(10**6, 2, above=1))
def test_a_bound_between_equal_prices_changes_nothing(
    bounds: Bounds, units: list[Decimal], quantity: Decimal, cut: Decimal
) -> None:
    """A tier that is cut in two alike ones costs what it did, by both readings."""
    whole = tiers(bounds, units)
    if cut in bounds:
        return
    number = next(index for index, tier in enumerate(whole) if tier.up_to is None or cut < tier.up_to)
    parted = [*whole[:number], replace(whole[number], up_to=cut), *whole[number:]]
    assert cost(Graduated(parted), quantity) == cost(Graduated(whole), quantity)
    assert cost(Volume(parted), quantity) == cost(Volume(whole), quantity)
