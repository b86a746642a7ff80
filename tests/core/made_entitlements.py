"""Entitlements of every kind, and add-ons, as hypothesis makes them."""

import json
from typing import assert_never

from hypothesis import strategies as st

from billing_core.catalog import Catalog
from billing_core.entitlements import (
    CEILING_MAX,
    LONG_WINDOWS,
    METERED_WINDOWS,
    RATE_WINDOWS,
    ActiveFor,
    AddOn,
    Algorithm,
    Align,
    AllowedWhen,
    BooleanFeature,
    ByDimension,
    Concurrency,
    ConcurrencyFeature,
    ConfigFeature,
    Entitlement,
    Feature,
    LicenceCeiling,
    LicenceFeature,
    Licences,
    Limit,
    MeteredFeature,
    NamedLicences,
    Overage,
    OverageCap,
    PerSubscription,
    Rate,
    RateFeature,
    Rates,
    Rollover,
    Setting,
    Switch,
    Window,
)

names = st.text("abcXYZ019_.@-", min_size=1, max_size=8)
texts = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=20)

ALIGNED = (Window.DAY, Window.WEEK, Window.MONTH, Window.YEAR)
ceilings = st.integers(0, CEILING_MAX)
policies = st.builds(AllowedWhen, st.booleans(), st.booleans(), st.booleans())

_json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
json_texts = _json_values.filter(lambda value: value is not None).map(
    lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
)


@st.composite
def single_rates(draw: st.DrawFn, window: Window, algorithm: Algorithm) -> Rate:
    """Make a rate of this kind."""
    match algorithm:
        case Algorithm.FIXED:
            return Rate(draw(st.none() | ceilings), window)
        case Algorithm.SLIDING:
            return Rate(draw(st.integers(0, 10**8)), window, algorithm)
        case Algorithm.GCRA:
            return Rate(draw(st.integers(1, 10**5)), window, algorithm, draw(st.none() | st.integers(1, 10**5)))
        case _:
            assert_never(algorithm)


@st.composite
def rates(draw: st.DrawFn, least: int = 0) -> tuple[Rate, ...]:
    """Make rates, each of a kind of its own."""
    kinds = st.tuples(st.sampled_from(RATE_WINDOWS), st.sampled_from(Algorithm))
    chosen = draw(st.lists(kinds, min_size=least, max_size=3, unique=True))
    return tuple(draw(single_rates(*kind)) for kind in chosen)


rollovers = st.tuples(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(1, 12)).map(
    lambda drawn: Rollover(max(drawn[:2]), min(drawn[:2]), drawn[2])
)
dimension_values = st.text([chr(code) for code in range(32, 127) if chr(code) != ","], min_size=1, max_size=6)
by_dimensions = st.builds(
    ByDimension, names, st.dictionaries(dimension_values, ceilings, max_size=3), st.none() | ceilings
)


@st.composite
def limits(draw: st.DrawFn) -> Limit:
    """Make a limit with anything that suits it."""
    window = draw(st.sampled_from(METERED_WINDOWS))
    ceiling = draw(st.none() | ceilings)
    align = draw(st.sampled_from(Align)) if window in ALIGNED else Align.CALENDAR
    overages: list[st.SearchStrategy[Overage | OverageCap]] = [st.sampled_from(Overage)]
    if ceiling is not None and ceiling < CEILING_MAX:
        overages.append(st.integers(1, CEILING_MAX - ceiling).map(OverageCap))
    overage = draw(st.one_of(overages))
    thresholds = (
        draw(st.lists(st.integers(1, 1000), unique=True, max_size=3).map(sorted)) if ceiling is not None else ()
    )
    keeps = ceiling is not None and overage is Overage.DENY and window in LONG_WINDOWS
    rollover = draw(st.none() | rollovers) if keeps else None
    by = draw(st.none() | by_dimensions)
    return Limit(
        ceiling, window, overage, sorted(thresholds), align, draw(st.integers(0, 255)), rollover, draw(rates()), by
    )


def licences(numbers: st.SearchStrategy[LicenceCeiling]) -> st.SearchStrategy[Licences | NamedLicences]:
    """Make licences of either kind."""
    named = st.sampled_from([*LONG_WINDOWS, Window.LIFETIME]) | st.integers(1, 365).map(ActiveFor)
    return st.builds(Licences, numbers) | st.builds(NamedLicences, numbers, named)


def entitlement_of(feature: Feature) -> st.SearchStrategy[Entitlement]:
    """Make what a feature of this type takes."""
    match feature:
        case BooleanFeature():
            return st.builds(Switch, st.booleans())
        case ConfigFeature():
            return st.builds(Setting, json_texts)
        case MeteredFeature():
            return limits()
        case RateFeature():
            return st.builds(Rates, rates(least=1))
        case ConcurrencyFeature():
            return st.builds(Concurrency, st.none() | ceilings, st.integers(1, 86_400), rates())
        case LicenceFeature():
            return licences(st.none() | ceilings | st.just(PerSubscription.PER_SUBSCRIPTION))
        case _:
            assert_never(feature)


def added_to(feature: Feature) -> st.SearchStrategy[Entitlement]:
    """Make what an add-on may give of a feature."""
    match feature:
        case BooleanFeature():
            return st.just(Switch(on=True))
        case ConfigFeature():
            return st.builds(Setting, json_texts)
        case MeteredFeature():
            windows, priorities = st.sampled_from(METERED_WINDOWS), st.integers(0, 255)
            return st.builds(Limit, ceilings, windows, priority=priorities)
        case RateFeature():
            return st.builds(Rates, st.tuples(st.builds(Rate, ceilings, st.sampled_from(RATE_WINDOWS))))
        case ConcurrencyFeature():
            return st.builds(Concurrency, ceilings, st.integers(1, 86_400))
        case LicenceFeature():
            return licences(ceilings)
        case _:
            assert_never(feature)


@st.composite
def add_ons_beside(draw: st.DrawFn, catalog: Catalog) -> dict[str, AddOn]:
    """Make add-ons of a catalog's features; rates and licences, which must suit plans, only where no plan has them."""
    taken = {name for plan in catalog.plans.values() for name in plan.entitlements}
    free = [
        feature
        for name, feature in sorted(catalog.features.items())
        if name not in taken or not isinstance(feature, RateFeature | LicenceFeature)
    ]
    if not free:
        return {}
    chosen = st.lists(st.sampled_from(free), min_size=1, max_size=3, unique_by=lambda feature: feature.name)
    return {
        name: AddOn(name, draw(texts), {feature.name: draw(added_to(feature)) for feature in draw(chosen)})
        for name in draw(st.sets(names, max_size=2))
    }
