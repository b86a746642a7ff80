"""Prices, usage and whole catalogs as hypothesis makes them."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import strategies as st

from billing_core.aggregation import (
    Average,
    Count,
    Latest,
    Max,
    Min,
    Percentile,
    ProratedSum,
    Sum,
    UniqueCount,
    WeightedSum,
    WindowedMax,
)
from billing_core.catalog import BILLING_INTERVALS, Catalog, Fee, Meter, MeterPrice, Plan
from billing_core.currencies import MINOR_DIGITS_OF_CODE
from billing_core.entitlements import (
    BooleanFeature,
    ConcurrencyFeature,
    ConfigFeature,
    Feature,
    LicenceFeature,
    MeteredFeature,
    RateFeature,
)
from billing_core.money import Currency
from billing_core.periods import Interval
from billing_core.prices import (
    Capacity,
    CapacityTier,
    Cell,
    Dynamic,
    Graduated,
    GraduatedPercentage,
    Matrix,
    Package,
    Percentage,
    PercentTier,
    PerUnit,
    Prepaid,
    Stair,
    Stairstep,
    Terms,
    Tier,
    Volume,
    VolumePercentage,
)
from billing_core.prices.by_quantity import QuantityPrice
from billing_core.prices.models import EventPrice, waits_for_the_end
from billing_core.prices.terms import AmountOff, ChargeWhen, Conversion, PercentOff, UnitRounding, UnitsOff
from billing_core.proration import ProrationBasis
from tests.core.made_entitlements import add_ons_beside, entitlement_of, names, policies, texts

currencies = st.sampled_from(sorted(MINOR_DIGITS_OF_CODE)).map(Currency)


def decimals(below: int, places: int, above: int = 0) -> st.SearchStrategy[Decimal]:
    """Make decimals of up to so many places, whole numbers among them."""
    fine = st.decimals(above, below, places=places, allow_nan=False)
    return st.one_of(st.integers(above, below).map(Decimal), fine)


quantities = decimals(10**15, 3)
unit_prices = decimals(1000, 12)
pers = st.sampled_from([Decimal(1), Decimal(1000), Decimal(3), Decimal("0.7")])


def bounds() -> st.SearchStrategy[list[Decimal | None]]:
    """Make one to five upper bounds that rise, the last of them none."""
    rising = st.lists(decimals(10**6, 2, above=1), max_size=4, unique=True).map(sorted)
    return rising.map(lambda numbers: [*numbers, None])


@st.composite
def tiers(draw: st.DrawFn, *, in_blocks: bool = False) -> tuple[Tier, ...]:
    """Make tiers of a unit price and a flat amount, some of them of started blocks."""
    sizes = st.none() | decimals(1000, 1, above=1) if in_blocks else st.none()
    return tuple(Tier(bound, draw(unit_prices), draw(unit_prices), draw(sizes)) for bound in draw(bounds()))


@st.composite
def percent_tiers(draw: st.DrawFn) -> tuple[PercentTier, ...]:
    """Make tiers of a rate and a flat amount."""
    return tuple(PercentTier(bound, draw(percents), draw(unit_prices)) for bound in draw(bounds()))


@st.composite
def stairs(draw: st.DrawFn) -> tuple[Stair, ...]:
    """Make tiers of an amount each."""
    return tuple(Stair(bound, draw(unit_prices)) for bound in draw(bounds()))


percents = decimals(100, 3)
prices: st.SearchStrategy[QuantityPrice] = st.one_of(
    st.builds(PerUnit, unit_prices, pers),
    st.builds(Package, decimals(1000, 2, above=1), unit_prices, decimals(1000, 2)),
    st.builds(Graduated, tiers(in_blocks=True), pers, st.booleans()),
    st.builds(Volume, tiers(in_blocks=True), pers, st.booleans()),
    st.builds(Stairstep, stairs(), st.booleans()),
    st.builds(GraduatedPercentage, percent_tiers(), st.booleans()),
    st.builds(VolumePercentage, percent_tiers(), st.booleans()),
)

dimension_values = st.sampled_from(["eu", "us", "jp"])
matches = st.dictionaries(st.sampled_from(["region", "model"]), dimension_values, max_size=2)
amounts = st.none() | unit_prices


@st.composite
def percentages(draw: st.DrawFn) -> Percentage:
    """Make a percentage with any of its allowances and bounds."""
    low, high = sorted([draw(unit_prices), draw(unit_prices)])
    free = draw(st.integers(0, 5)), draw(decimals(10**6, 2))
    bounded = draw(st.booleans())
    return Percentage(draw(percents), draw(unit_prices), *free, low if bounded else None, high if bounded else None)


@st.composite
def matrices(draw: st.DrawFn) -> Matrix:
    """Make a matrix whose special cells come first and that has a price for everything."""
    match_of = {tuple(sorted(match.items())): match for match in draw(st.lists(matches, max_size=4))}
    special_first = sorted(match_of.values(), key=len, reverse=True)
    return Matrix(("region", "model"), [Cell(match, draw(unit_prices)) for match in special_first], draw(unit_prices))


@st.composite
def dynamics(draw: st.DrawFn, indexes: tuple[str | None, ...] = (None, "spot")) -> Dynamic:
    """Make a dynamic price by one of these indexes."""
    low, high = sorted([draw(unit_prices), draw(unit_prices)])
    return Dynamic(draw(st.sampled_from(indexes)), draw(decimals(10, 5)), low, draw(st.sampled_from([high, None])))


event_prices: st.SearchStrategy[EventPrice] = st.one_of(percentages(), matrices(), dynamics())
prepaids = st.builds(Prepaid, decimals(1000, 2, above=1), st.integers(0, 1000), unit_prices, prices, percents)


@st.composite
def capacities(draw: st.DrawFn, meters: list[str]) -> Capacity:
    """Make a capacity price of these meters, whose limits rise and whose last tier has none."""
    pairs = draw(st.lists(st.tuples(*(quantities for _ in meters)), min_size=1, max_size=3))
    limits = [*(dict(zip(meters, pair, strict=True)) for pair in rising(pairs)), {}]
    return Capacity([CapacityTier(each, number) for number, each in enumerate(limits)])


def rising(pairs: list[tuple[Decimal, ...]]) -> list[tuple[Decimal, ...]]:
    """Sort each side by itself, so that all rise."""
    return list(zip(*(sorted(side) for side in zip(*pairs, strict=True)), strict=True))


@st.composite
def terms(draw: st.DrawFn, roundings: tuple[UnitRounding, ...] = tuple(UnitRounding)) -> Terms:
    """Make any terms, most often few of them."""
    low, high = sorted([draw(unit_prices), draw(unit_prices)])
    factor = draw(st.sampled_from([Decimal(1000), Decimal(60), Decimal("0.7")]))
    conversion = Conversion(*draw(st.sampled_from([(factor, None), (None, factor)])), draw(st.sampled_from(roundings)))
    discounts = st.builds(PercentOff, percents) | st.builds(AmountOff, unit_prices) | st.builds(UnitsOff, quantities)
    return Terms(
        draw(st.sampled_from([Decimal(0), draw(quantities)])),
        draw(st.sampled_from([None, low])),
        draw(st.sampled_from([None, high])),
        draw(st.none() | discounts),
        draw(st.sampled_from([None, conversion])),
        draw(st.dictionaries(st.sampled_from(["region", "model"]), st.sets(dimension_values, min_size=1), max_size=1)),
        draw(st.sampled_from(ChargeWhen)),
    )


@st.composite
def meter_prices(draw: st.DrawFn, meter: str) -> MeterPrice:
    """Make a price of any model, with any terms that suit it."""
    price = draw(st.one_of(prices, prepaids, event_prices))
    around = draw(terms((UnitRounding.NONE,) if isinstance(price, EventPrice) else tuple(UnitRounding)))
    if isinstance(price, Prepaid):
        around = replace(around, discount=None)
    if waits_for_the_end(price):
        around = replace(around, charge_when=ChargeWhen.ARREARS)
    return MeterPrice(meter, price, around)


aggregations = st.one_of(
    st.sampled_from([Sum(), Count(), Average(), Max(), Min(), Latest(), WeightedSum(), ProratedSum()]),
    st.builds(UniqueCount, names),
    st.builds(Percentile, decimals(100, 3, above=1)),
    st.builds(WindowedMax, st.sampled_from(Interval), st.none() | names),
)


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """Make a catalog in which everything that is mentioned exists."""
    meters = {name: Meter(name, draw(texts)) for name in draw(st.sets(names, min_size=1, max_size=3))}
    measured = Meter("measured", draw(texts), draw(aggregations))  # no price and no limit, so that any of them suits
    features = {name: draw(features_named(name, sorted(meters))) for name in draw(st.sets(names, max_size=4))}
    plans = {name: draw(plans_named(name, sorted(meters), features)) for name in draw(st.sets(names, min_size=1))}
    measures = {measured.name: measured} | meters
    catalog = Catalog(draw(names), draw(currencies), measures, features, plans)
    return replace(catalog, add_ons=draw(add_ons_beside(catalog)) if features else {})


def features_named(name: str, meters: list[str]) -> st.SearchStrategy[Feature]:
    """Make a feature of any type."""
    kinds = (BooleanFeature, ConfigFeature, RateFeature, ConcurrencyFeature, LicenceFeature)
    plain = [st.builds(kind, st.just(name), policies) for kind in kinds]
    return st.one_of(*plain, st.builds(MeteredFeature, st.just(name), st.sampled_from(meters), policies))


@st.composite
def plans_named(draw: st.DrawFn, name: str, meters: list[str], features: dict[str, Feature]) -> Plan:
    """Make a plan that prices some of the meters and entitles to some of the features."""
    interval = draw(st.sampled_from(BILLING_INTERVALS))
    fees = st.builds(
        Fee, texts, unit_prices, st.sampled_from([interval, None]), st.sampled_from(ChargeWhen), st.booleans()
    )
    return Plan(
        name,
        draw(texts),
        interval,
        draw(st.lists(fees, max_size=2)),
        [
            *(draw(meter_prices(meter)) for meter in meters if draw(st.booleans())),
            *(MeterPrice(None, capacity) for capacity in draw(st.lists(capacities(meters), max_size=1))),
        ],
        {name: draw(entitlement_of(feature)) for name, feature in features.items() if draw(st.booleans())},
        draw(st.sampled_from([*ProrationBasis, None])),
        draw(st.none() | st.integers(1, 365)),
        draw(st.integers(0, 365)),
    )
