"""Catalog types are valid or not at all: each rule, broken once."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_core.aggregation import Max
from billing_core.catalog import Catalog, Fee, Meter, MeterPrice, Plan
from billing_core.entitlements import (
    BooleanFeature,
    ConfigFeature,
    Limit,
    MeteredFeature,
    Overage,
    RateFeature,
    Setting,
    Switch,
    Window,
)
from billing_core.errors import InvalidValueError
from billing_core.money import Currency
from billing_core.periods import Interval
from billing_core.prices import Graduated, Package, PerUnit, Tier, Volume
from tests.core import made

PLAN = Plan("p", "P", Interval.MONTH)
CATALOG = Catalog(
    "product",
    Currency("USD"),
    {"m": Meter("m")},
    {
        "on": BooleanFeature("on"),
        "seats": ConfigFeature("seats"),
        "tokens": MeteredFeature("tokens", "m"),
        "requests": RateFeature("requests"),
    },
    {"p": PLAN},
)
LIMIT = Limit(10, Window.MONTH)
UP_TO_5 = Tier(5, 1)
LAST = Tier(None, 1)


def with_entitlement(name: str, entitlement: object) -> Catalog:
    """Put one entitlement into the plan."""
    return replace(CATALOG, plans={"p": replace(PLAN, entitlements={name: entitlement})})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Tier(0), "up_to: 0 is not positive; expected a number above 0"),
        (lambda: Tier(5, unit=-1), "unit: -1 is negative; expected at least 0"),
        (lambda: Tier(5, flat="0.1234567890123"), "flat: '0.1234567890123' has too many decimals; expected at most 12"),
        (lambda: Graduated([]), "tiers: 0 tiers are given; expected at least one"),
        (lambda: Graduated([UP_TO_5, UP_TO_5, LAST]), "tiers[1].up_to: 5 overlaps the tier before it; expected more"),
        (lambda: Graduated([UP_TO_5, Tier(4), LAST]), "tiers[1].up_to: 4 overlaps the tier before it; expected more"),
        (lambda: Volume([UP_TO_5]), "tiers[0].up_to: 5 ends the last tier; expected null in the last tier"),
        (lambda: Volume([LAST, LAST]), "tiers[0].up_to: null leaves nothing to the next tier; expected an upper"),
        (lambda: Volume([(5, 1)]), "tiers[0]: a value of type tuple is not a tier"),
        (lambda: PerUnit(True), "unit: True is not an exact number"),
        (lambda: PerUnit(0.5), "unit: a value of type float is not an exact number"),
        (lambda: PerUnit(1, per=0), "per: 0 is not positive"),
        (lambda: Volume([LAST], per=-1), "per: -1 is not positive"),
        (lambda: Package(0, 1), "size: 0 is not positive"),
        (lambda: Package(10, -1), "amount: -1 is negative"),
        (lambda: Package(10, 1, free=-1), "free: -1 is negative"),
        (lambda: Fee("Base", -1, None), "amount: -1 is negative"),
        (lambda: Fee("", 1, None), "name: '' is not a text; expected 1 to 200 printable characters"),
        (lambda: Fee("two\nlines", 1, None), "name: 'two\\nlines' is not a text"),
        (lambda: Fee("Base", 1, "month"), "every: 'month' has the wrong type; expected Interval"),
        (lambda: Fee("Base", 1, None, "later"), "charge_when: 'later' has the wrong type; expected ChargeWhen"),
        (lambda: Fee("Base", 1, None, prorated=1), "prorated: 1 has the wrong type; expected bool"),
        (lambda: Meter("m", unit="\x00"), "unit: '\\x00' is not a text"),
        (lambda: Meter("m", aggregation="sum"), "aggregation: 'sum' has the wrong type"),
        (lambda: MeterPrice("m", 5), "price: 5 is not a price"),
        (lambda: Limit(-1, Window.MONTH), "limit: -1 is not a ceiling; expected a whole number from 0"),
        (lambda: Limit(2**53, Window.MONTH), "limit: 9007199254740992 is not a ceiling"),
        (lambda: Limit(True, Window.MONTH), "limit: True is not a ceiling"),
        (lambda: Limit("5", Window.MONTH), "limit: '5' is not a ceiling"),
        (lambda: Limit(5, "month"), "window: 'month' has the wrong type"),
        (lambda: Limit(5, Window.MONTH, "deny"), "overage: 'deny' has the wrong type"),
        (lambda: Limit(5, Window.MONTH, thresholds=[0]), "thresholds[0]: 0 is not a threshold; expected a whole"),
        (lambda: Limit(5, Window.MONTH, thresholds=[1001]), "thresholds[0]: 1001 is not a threshold"),
        (lambda: Limit(5, Window.MONTH, thresholds=[80, 80]), "thresholds[1]: 80 does not rise; expected more than 80"),
        (lambda: Limit(None, Window.MONTH, thresholds=[80]), "thresholds[0]: 80 is a percentage of nothing"),
        (lambda: Switch(1), "on: 1 is neither; expected True or False"),
        (lambda: Setting(""), "json_text: '' is no JSON"),
        (lambda: Plan("p", "P", Interval.HOUR), "billing_interval: 'hour' cannot be billed; expected one of day"),
        (
            lambda: Plan("p", "P", Interval.MONTH, [Fee("F", 1, None), Fee("F", 1, Interval.YEAR)]),
            "fees[1].every: 'year' has no period here; expected month, the plan's billing_interval",
        ),
        (
            lambda: Plan("p", "P", Interval.MONTH, (), [MeterPrice("m", PerUnit(1)), MeterPrice("m", PerUnit(2))]),
            "prices[1].meter: 'm' has a price already; expected one price per meter",
        ),
        (lambda: replace(CATALOG, plans={}), "plans: 0 plans are sold; expected at least one"),
        (lambda: replace(CATALOG, currency="USD"), "currency: 'USD' has the wrong type; expected Currency"),
        (lambda: replace(CATALOG, meters={}), "features.tokens.meter: 'm' is not a meter; expected none"),
        (
            lambda: replace(CATALOG, plans={"p": replace(PLAN, prices=[MeterPrice("x", PerUnit(1))])}),
            "plans.p.prices[0].meter: 'x' is not a meter; expected one of m",
        ),
        (
            lambda: replace(with_entitlement("tokens", LIMIT), meters={"m": Meter("m", aggregation=Max())}),
            "plans.p.entitlements.tokens: 'max' of m has no limit; expected a meter of sum or count, for counters only",
        ),
        (lambda: with_entitlement("x", LIMIT), "plans.p.entitlements.x: 'x' is not a feature; expected one of on"),
        (lambda: with_entitlement("on", LIMIT), "plans.p.entitlements.on: a value of type Limit does not fit"),
        (lambda: with_entitlement("seats", Switch(True)), "plans.p.entitlements.seats: a value of type Switch does"),
        (lambda: with_entitlement("tokens", Setting("5")), "plans.p.entitlements.tokens: a value of type Setting"),
        (lambda: with_entitlement("requests", Switch(True)), "plans.p.entitlements.requests: a value of type Switch"),
    ],
    ids=lambda value: value[:50] if isinstance(value, str) else "",
)
def test_what_breaks_a_rule_cannot_be_built(build: Callable[[], object], message: str) -> None:
    """The error names the field, the value and what was expected."""
    with pytest.raises(InvalidValueError, match=f"^{re.escape(message)}"):
        build()


@pytest.mark.parametrize("name", ["", "a b", "a\n", "é", "a/b", "{a}", "a" * 65, None, 5])
def test_a_name_is_short_and_ascii(name: object) -> None:
    """Products, meters, features and plans have names that can be keys."""
    for build in (
        lambda: Meter(name),
        lambda: BooleanFeature(name),
        lambda: MeteredFeature("f", name),
        lambda: Plan(name, "P", Interval.MONTH),
        lambda: MeterPrice(name, PerUnit(1)),
        lambda: replace(CATALOG, product=name),
    ):
        with pytest.raises(InvalidValueError, match="is not a name; expected 1 to 64 of the characters"):
            build()


def test_the_least_and_the_most_that_a_limit_takes() -> None:
    """Zero and 2^53 - 1 are ceilings, None is unlimited, and thresholds reach from 1 to 1000 percent."""
    assert [Limit(ceiling, Window.MONTH).ceiling for ceiling in (0, 2**53 - 1, None)] == [0, 2**53 - 1, None]
    assert Limit(1, Window.MONTH, Overage.ALLOW, [1, 1000]).thresholds == (1, 1000)


def test_windows_name_their_interval() -> None:
    """All windows but the billing period and the lifetime are intervals of the calendar."""
    intervals = [window.interval for window in Window]
    assert intervals == [*Interval, None, None]


@given(made.catalogs(), st.data())
def test_a_narrowed_catalog_keeps_what_its_plan_needs(catalog: Catalog, data: st.DataObject) -> None:
    """The plan and all add-ons are the same, nothing else is left, and other plans' changes do not reach it."""
    name = data.draw(st.sampled_from(sorted(catalog.plans)))
    narrowed = catalog.narrowed_to(name)
    assert narrowed.plans == {name: catalog.plans[name]}
    assert narrowed.add_ons == catalog.add_ons
    added = {feature for add_on in catalog.add_ons.values() for feature in add_on.entitlements}
    assert set(narrowed.features) == set(catalog.plans[name].entitlements) | added
    other = replace(PLAN, name="another-one")
    grown = replace(catalog, plans={**catalog.plans, other.name: other}, meters={**catalog.meters, "mm": Meter("mm")})
    assert grown.narrowed_to(name) == narrowed


def test_a_catalog_cannot_be_changed() -> None:
    """What was checked stays as it was checked."""
    plans = {"p": PLAN}
    catalog = replace(CATALOG, plans=plans)
    plans["q"] = PLAN
    assert set(catalog.plans) == {"p"}
    with pytest.raises(TypeError):
        catalog.plans["q"] = PLAN
