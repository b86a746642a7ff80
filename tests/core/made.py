"""Prices, usage and whole catalogs as hypothesis makes them."""

import json
from decimal import Decimal

from hypothesis import strategies as st

from billing_core.catalog import BILLING_INTERVALS, Catalog, Fee, Meter, MeterPrice, Plan
from billing_core.entitlements import (
    CEILING_MAX,
    METERED_WINDOWS,
    RATE_WINDOWS,
    BooleanFeature,
    ConfigFeature,
    Entitlement,
    Feature,
    Limit,
    MeteredFeature,
    Overage,
    RateFeature,
    Setting,
    Switch,
    Window,
)
from billing_core.money import MINOR_DIGITS_OF_CODE, Currency
from billing_core.prices import Graduated, Package, PerUnit, Price, Tier, Volume

names = st.text("abcXYZ019_.@-", min_size=1, max_size=8)
texts = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=20)
currencies = st.sampled_from(sorted(MINOR_DIGITS_OF_CODE)).map(Currency)


def decimals(below: int, places: int, above: int = 0) -> st.SearchStrategy[Decimal]:
    """Make decimals of up to so many places, whole numbers among them."""
    fine = st.decimals(above, below, places=places, allow_nan=False)
    return st.one_of(st.integers(above, below).map(Decimal), fine)


quantities = decimals(10**15, 3)
unit_prices = decimals(1000, 12)
pers = st.sampled_from([Decimal(1), Decimal(1000), Decimal(3), Decimal("0.7")])


@st.composite
def tiers(draw: st.DrawFn) -> tuple[Tier, ...]:
    """Make one to five tiers that rise, the last without an upper bound."""
    bounds = draw(st.lists(decimals(10**6, 2, above=1), max_size=4, unique=True).map(sorted))
    return tuple(Tier(bound, draw(unit_prices), draw(unit_prices)) for bound in [*bounds, None])


prices: st.SearchStrategy[Price] = st.one_of(
    st.builds(PerUnit, unit_prices, pers),
    st.builds(Package, decimals(1000, 2, above=1), unit_prices, decimals(1000, 2)),
    st.builds(Graduated, tiers(), pers, st.booleans()),
    st.builds(Volume, tiers(), pers, st.booleans()),
)

json_texts = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
).map(lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True))


def limits(windows: tuple[Window, ...]) -> st.SearchStrategy[Limit]:
    """Make limits for these windows; an unlimited one has no thresholds."""
    thresholds = st.lists(st.integers(1, 1000), unique=True, max_size=3).map(sorted).map(tuple)
    window, overage = st.sampled_from(windows), st.sampled_from(Overage)
    return st.one_of(
        st.builds(Limit, st.integers(0, CEILING_MAX), window, overage, thresholds),
        st.builds(Limit, st.none(), window, overage),
    )


def entitlement_of(feature: Feature) -> st.SearchStrategy[Entitlement]:
    """Make what a feature of this type takes."""
    match feature:
        case BooleanFeature():
            return st.builds(Switch, st.booleans())
        case ConfigFeature():
            return st.builds(Setting, json_texts)
        case MeteredFeature():
            return limits(METERED_WINDOWS)
        case RateFeature():
            return limits(RATE_WINDOWS)


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """Make a catalog in which everything that is mentioned exists."""
    meters = {name: Meter(name, draw(texts)) for name in draw(st.sets(names, min_size=1, max_size=3))}
    features = {name: draw(features_named(name, sorted(meters))) for name in draw(st.sets(names, max_size=4))}
    plans = {name: draw(plans_named(name, sorted(meters), features)) for name in draw(st.sets(names, min_size=1))}
    return Catalog(draw(names), draw(currencies), meters, features, plans)


def features_named(name: str, meters: list[str]) -> st.SearchStrategy[Feature]:
    """Make a feature of any type."""
    plain = st.sampled_from([BooleanFeature(name), ConfigFeature(name), RateFeature(name)])
    return st.one_of(plain, st.builds(MeteredFeature, st.just(name), st.sampled_from(meters)))


@st.composite
def plans_named(draw: st.DrawFn, name: str, meters: list[str], features: dict[str, Feature]) -> Plan:
    """Make a plan that prices some of the meters and entitles to some of the features."""
    interval = draw(st.sampled_from(BILLING_INTERVALS))
    fees = st.builds(Fee, texts, unit_prices, st.sampled_from([interval, None]))
    return Plan(
        name,
        draw(texts),
        interval,
        draw(st.lists(fees, max_size=2)),
        [MeterPrice(meter, draw(prices)) for meter in meters if draw(st.booleans())],
        {name: draw(entitlement_of(feature)) for name, feature in features.items() if draw(st.booleans())},
    )
