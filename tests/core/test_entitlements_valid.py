"""Entitlements, features and add-ons are valid or not at all: each rule, broken once."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from billing_core.aggregation import Max
from billing_core.catalog import Catalog, Meter, Plan
from billing_core.entitlements import (
    ActiveFor,
    AddOn,
    Algorithm,
    Align,
    AllowedWhen,
    BooleanFeature,
    ByDimension,
    Concurrency,
    LicenceFeature,
    Licences,
    Limit,
    MeteredFeature,
    NamedLicences,
    OverageCap,
    Rate,
    RateFeature,
    Rates,
    Rollover,
    Setting,
    Switch,
    Window,
    burst_max,
    ceiling_max,
)
from billing_core.errors import InvalidValueError
from billing_core.money import Currency
from billing_core.periods import Interval

if TYPE_CHECKING:
    from collections.abc import Callable

SECOND, MINUTE, HOUR, DAY, MONTH = Window.SECOND, Window.MINUTE, Window.HOUR, Window.DAY, Window.MONTH
SLIDING, GCRA = Algorithm.SLIDING, Algorithm.GCRA
PLAN = Plan("p", "P", Interval.MONTH, entitlements={"burst": Rates((Rate(5, SECOND),)), "seats": Licences(3)})
CATALOG = Catalog(
    "product",
    Currency("USD"),
    {"m": Meter("m"), "top": Meter("top", aggregation=Max())},
    {
        "on": BooleanFeature("on"),
        "tokens": MeteredFeature("tokens", "m"),
        "peak": MeteredFeature("peak", "top"),
        "burst": RateFeature("burst"),
        "seats": LicenceFeature("seats"),
    },
    {"p": PLAN},
)


def adding(feature: str, given: object) -> Catalog:
    """Sell an add-on that gives this beside the plan."""
    return replace(CATALOG, add_ons={"x": AddOn("x", "X", {feature: given})})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AllowedWhen(paused="allow"), "paused: 'allow' has the wrong type; expected bool"),
        (lambda: BooleanFeature("f", when=True), "when: True has the wrong type; expected AllowedWhen"),
        (lambda: Setting("null"), "value: null sets nothing; expected a JSON value that is not null"),
        (lambda: Limit(5, DAY, align="calendar"), "align: 'calendar' has the wrong type"),
        (lambda: Limit(5, HOUR, align=Align.SUBSCRIPTION), "align: 'subscription' says nothing of a hour"),
        (lambda: Limit(5, Window.LIFETIME, align=Align.SUBSCRIPTION), "align: 'subscription' says nothing of a lifet"),
        (lambda: Limit(5, DAY, priority=256), "priority: 256 is not a priority; expected a whole number from 0, which"),
        (lambda: Limit(5, DAY, priority=True), "priority: True is not a priority"),
        (lambda: Limit(None, DAY, OverageCap(5)), "overage.cap: 5 is above nothing"),
        (lambda: Limit(2**53 - 2, DAY, OverageCap(2)), "overage.cap: 2 and the limit are more than a counter can hold"),
        (lambda: OverageCap(0), "cap: 0 is no overage"),
        (lambda: Limit(5, DAY, OverageCap(1), rollover=Rollover(1)), "overage: 1 does not go with a rollover"),
        (lambda: Limit(5, HOUR, rollover=Rollover(1)), "window: 'hour' does not go with a rollover; expected one of"),
        (lambda: Limit(None, DAY, rollover=Rollover(1)), "rollover: 1 is kept of no rest"),
        (lambda: Rollover(0), "maximum: 0 keeps nothing"),
        (lambda: Rollover(5, 6), "minimum: 6 is above the maximum; expected at most 5"),
        (lambda: Rollover(5, -1), "minimum: -1 is not a number of units"),
        (
            lambda: Rollover(5, windows=13),
            "expires_after: 13 is not a number of windows; expected a whole number from 1",
        ),
        (lambda: Limit(5, DAY, by=5), "by: 5 has the wrong type; expected ByDimension"),
        (lambda: ByDimension("a b", {}, 1), "dimension: 'a b' is not a name"),
        (lambda: ByDimension("model", {"": 1}, 1), "limits: '' is not a value of a dimension; expected 1 to 64"),
        (lambda: ByDimension("model", {"é": 1}, 1), "limits: '\\xe9' is not a value of a dimension"),
        (lambda: ByDimension("model", {"a": None}, 1), "limits.a: null is not a ceiling"),
        (lambda: ByDimension("model", {"a": 1}, -1), "other: -1 is not a ceiling"),
        (lambda: ByDimension("model", {str(n): 1 for n in range(101)}, 1), "limits: 101 values have a limit; expected"),
        (lambda: Rate(5, MONTH), "window: 'month' is too long for a rate; expected one of day, hour, minute, second"),
        (lambda: Rate(5, SECOND, "gcra"), "algorithm: 'gcra' has the wrong type"),
        (lambda: Rate(None, SECOND, GCRA), "limit: null is not a ceiling"),
        (lambda: Rate(0, SECOND, GCRA), "limit: 0 is no steady flow per second"),
        (lambda: Rate(10**6 + 1, SECOND, GCRA), "limit: 1000001 is no steady flow per second, in microseconds"),
        (lambda: Rate(5, SECOND, burst=5), "burst: 5 says nothing where the algorithm is fixed; expected gcra"),
        (lambda: Rate(5, SECOND, SLIDING, 5), "burst: 5 says nothing where the algorithm is sliding; expected gcra"),
        (lambda: Rate(10**6, DAY, GCRA), "limit: 1000000 cannot be counted exactly as a burst per day"),
        (lambda: Rates(()), "rates: 0 rates are given; expected at least one"),
        (lambda: Rates([5]), "rates[0]: 5 has the wrong type; expected Rate"),
        (lambda: Rates([Rate(1, DAY), Rate(2, DAY)]), "rates[1].window: 'day' is limited already; expected one fixed"),
        (lambda: Rates([Rate(1, DAY)] * 9), "rates: 9 rates are given; expected at most 8"),
        (lambda: Concurrency(5, 0), "ttl_seconds: 0 is not a time to live; expected a whole number from 1 to 86400"),
        (lambda: Concurrency(-1), "limit: -1 is not a ceiling"),
        (lambda: Licences("5"), "limit: '5' is not a ceiling"),
        (lambda: ActiveFor(366), "active_for_days: 366 is not a number of days"),
        (lambda: NamedLicences(5, HOUR), "window: 'hour' is too short for named licences; expected one of billing_p"),
        (lambda: NamedLicences(5, 30), "window: 30 has the wrong type; expected Window"),
        (lambda: AddOn("x", "X"), "entitlements: 0 features are added to; expected at least one"),
        (lambda: AddOn("x y", "X", {"f": Switch(on=True)}), "name: 'x y' is not a name"),
        (lambda: adding("x", Switch(on=True)), "add_ons.x.entitlements.x: 'x' is not a feature; expected one of burst"),
        (lambda: adding("on", Limit(5, DAY)), "add_ons.x.entitlements.on: a value of type Limit does not fit"),
        (lambda: adding("peak", Limit(5, DAY)), "add_ons.x.entitlements.peak: 'max' of top has no limit"),
        (lambda: adding("on", Switch(on=False)), "add_ons.x.entitlements.on: False adds nothing; expected true"),
        (lambda: adding("tokens", Limit(None, DAY)), "add_ons.x.entitlements.tokens.limit: 'unlimited' is no number"),
        (lambda: adding("burst", Rates([Rate(1, DAY)])), "add_ons.x.entitlements.burst.window: 'day' is no window of"),
        (
            lambda: adding("burst", Rates([Rate(1, SECOND), Rate(1, DAY)])),
            "add_ons.x.entitlements.burst.rates[1].window: 'day' is no window of plan p; expected one of second",
        ),
        (
            lambda: adding("seats", NamedLicences(5, MONTH)),
            "add_ons.x.entitlements.seats: a value of type NamedLicences",
        ),
        (lambda: replace(PLAN, trial_days=0), "trial_days: 0 is not a number of days; expected a whole number from 1"),
        (
            lambda: replace(PLAN, grace_days=366),
            "grace_days: 366 is not a number of days; expected a whole number from",
        ),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)
def test_what_breaks_a_rule_cannot_be_built(build: Callable[[], object], message: str) -> None:
    """The error names the field, the value and what was expected."""
    with pytest.raises(InvalidValueError, match=f"^{re.escape(message)}"):
        build()


@pytest.mark.parametrize("window", [SECOND, MINUTE, HOUR, DAY])
def test_what_a_rate_counts_stays_exact(window: Window) -> None:
    """The highest ceiling times the window in ms, and the largest burst times it in µs, are exact as doubles."""
    length_ms = {SECOND: 1000, MINUTE: 60_000, HOUR: 3_600_000, DAY: 86_400_000}[window]
    sliding, burst = ceiling_max(SLIDING, window), burst_max(window)
    assert sliding * length_ms <= 2**53 - 1 < (sliding + 1) * length_ms
    assert burst * length_ms * 1000 <= 2**53 - 1 < (burst + 1) * length_ms * 1000
    assert Rate(sliding, window, SLIDING).ceiling == sliding
    assert Rate(1, window, GCRA, burst).burst_or_ceiling == burst
    with pytest.raises(InvalidValueError, match="cannot be counted exactly"):
        Rate(sliding + 1, window, SLIDING)
    with pytest.raises(InvalidValueError, match="cannot be counted exactly"):
        Rate(1, window, GCRA, burst + 1)
