"""Every kind of limit is read from the catalog exactly, and each slip in one is told where it is."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_core.entitlements import (
    ActiveFor,
    Algorithm,
    Align,
    AllowedWhen,
    BooleanFeature,
    ByDimension,
    Concurrency,
    ConcurrencyFeature,
    ConfigFeature,
    Feature,
    LicenceFeature,
    Licences,
    Limit,
    MeteredFeature,
    NamedLicences,
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
from gateway.catalog_file import CatalogError, entitlement_text, parse_catalog, parse_entitlement, write_catalog
from tests.core import made_entitlements

MISTAKES = tomllib.loads((Path(__file__).parent / "cases" / "mistakes_in_limits.toml").read_text(encoding="utf-8"))
GOOD: str = MISTAKES["catalog"]

FEATURES: list[Feature] = [
    BooleanFeature("f"),
    ConfigFeature("f"),
    MeteredFeature("f", "m"),
    RateFeature("f"),
    ConcurrencyFeature("f"),
    LicenceFeature("f"),
]


def test_a_catalog_of_every_kind() -> None:
    """Every type of feature, with everything that may be said of it, number by number."""
    catalog = parse_catalog(GOOD)
    plan = catalog.plans["basic"]
    assert catalog.features["beta"] == BooleanFeature("beta", AllowedWhen(paused=True))
    assert (plan.trial_days, plan.grace_days) == (14, 7)
    assert dict(plan.entitlements) == {
        "beta": Switch(on=False),
        "models": Setting('{"list":["small"]}'),
        "calls": Limit(
            1000,
            Window.MONTH,
            align=Align.SUBSCRIPTION,
            priority=50,
            rollover=Rollover(500, 10, 3),
            rates=(Rate(10, Window.SECOND),),
        ),
        "batch": Limit(100, Window.DAY, OverageCap(20), by=ByDimension("model", {"large": 10}, None)),
        "burst": Rates((Rate(60, Window.MINUTE, Algorithm.SLIDING), Rate(5, Window.SECOND, Algorithm.GCRA, 9))),
        "jobs": Concurrency(4, 30),
        "seats": Licences(PerSubscription.PER_SUBSCRIPTION),
        "people": NamedLicences(5, ActiveFor(30)),
    }
    assert dict(catalog.add_ons["more"].entitlements) == {
        "beta": Switch(on=True),
        "calls": Limit(100, Window.MONTH, priority=20),
        "burst": Rates((Rate(10, Window.MINUTE),)),
        "jobs": Concurrency(1),
        "people": NamedLicences(1, Window.MONTH),
    }
    assert parse_catalog(write_catalog(catalog)) == catalog


def test_a_catalog_from_before_is_written_as_before() -> None:
    """What a plan's version pins is its text: without anything new in it, it has none of the new keys."""
    old = (
        '{"product": "p", "currency": "USD", "meters": {"m": {"unit": "units", "aggregation": "sum"}}, "features": '
        '{"f": {"type": "metered", "meter": "m"}, "r": {"type": "rate"}}, "plans": {"basic": {"display_name": "Basic", '
        '"billing_interval": "month", "fees": [], "prices": [], "entitlements": {"f": {"limit": 5, "window": "month", '
        '"overage": "allow", "thresholds": [80]}, "r": {"limit": "unlimited", "window": "minute"}}}}}'
    )
    assert write_catalog(parse_catalog(old)) == old


@given(st.sampled_from(FEATURES).flatmap(lambda f: st.tuples(st.just(f), made_entitlements.entitlement_of(f))))
def test_an_entitlement_alone_reads_back_equal(drawn: tuple[Feature, object]) -> None:
    """An override is written and read without a catalog around it."""
    feature, entitlement = drawn
    text = entitlement_text(entitlement)
    assert parse_entitlement(text, feature) == entitlement
    assert entitlement_text(parse_entitlement(text, feature)) == text


@pytest.mark.parametrize(
    ("feature", "text", "problem"),
    [
        (BooleanFeature("f"), "maybe", "line 1: 'maybe' is not taken here; expected true or false"),
        (ConfigFeature("f"), "null", "line 1: 'null' is not taken here; expected a JSON value that is not null"),
        (MeteredFeature("f", "m"), "{limit: 5}", "line 1: window: is missing; expected one of billing_period, day"),
        (MeteredFeature("f", "m"), "5", "line 1: '5' is not taken here; expected a mapping with limit, window"),
        (
            RateFeature("f"),
            "{limt: 5, window: day, limit: 5}",
            'line 1: limt: is an unknown key, did you mean "limit"?',
        ),
        (LicenceFeature("f"), "", "line 1: the document is empty; expected a mapping"),
    ],
)
def test_a_wrong_entitlement_alone_is_told(feature: Feature, text: str, problem: str) -> None:
    """An override is refused as a catalog is."""
    with pytest.raises(CatalogError) as caught:
        parse_entitlement(text, feature)
    (only,) = caught.value.problems
    assert str(only).startswith(problem)


@pytest.mark.parametrize(("old", "new", "problem"), MISTAKES["in_catalog"], ids=lambda value: value[:60])
def test_one_mistake_in_a_limit_is_one_problem(old: str, new: str, problem: str) -> None:
    """A single slip is told once, with its line, its path and what was expected."""
    assert GOOD.count(old) >= 1
    with pytest.raises(CatalogError) as caught:
        parse_catalog(GOOD.replace(old, new, 1))
    (only,) = caught.value.problems
    assert str(only).startswith(problem)
