"""What may be used: features by their type, and what a plan says about each.

It owns the kinds of features and of limits, which windows and numbers each may have, and which entitlement fits which
feature; a type is valid or not at all, and its error names the field as the catalog does.

It does not own how a limit is counted (`gateway.limits` and the counters), what use costs (prices look at usage alone),
or which plans there are (`billing_core.catalog`).

`billing_core.catalog` builds plans and add-ons of them, the catalog file reads and writes them, and the documents that
gateways decide by are made from them.
"""

from billing_core.entitlements.add_ons import AddOn, check_adds, check_adds_to
from billing_core.entitlements.features import (
    AllowedWhen,
    BooleanFeature,
    ConcurrencyFeature,
    ConfigFeature,
    Feature,
    LicenceFeature,
    MeteredFeature,
    RateFeature,
)
from billing_core.entitlements.kinds import (
    ACTIVE_DAYS_MAX,
    TTL_SECONDS_DEFAULT,
    TTL_SECONDS_MAX,
    ActiveFor,
    Concurrency,
    Entitlement,
    LicenceCeiling,
    Licences,
    NamedLicences,
    PerSubscription,
    Setting,
    Switch,
    check_fits,
)
from billing_core.entitlements.limits import (
    PRIORITY_DEFAULT,
    ROLLOVER_WINDOWS_MAX,
    THRESHOLD_PERCENT_MAX,
    VALUES_MAX,
    ByDimension,
    Limit,
    Overage,
    OverageCap,
    Rollover,
)
from billing_core.entitlements.numbers import CEILING_MAX
from billing_core.entitlements.rates import RATES_MAX, Algorithm, Rate, Rates, burst_max, ceiling_max
from billing_core.entitlements.windows import LONG_WINDOWS, METERED_WINDOWS, RATE_WINDOWS, Align, Window

__all__ = [
    "ACTIVE_DAYS_MAX",
    "CEILING_MAX",
    "LONG_WINDOWS",
    "METERED_WINDOWS",
    "PRIORITY_DEFAULT",
    "RATES_MAX",
    "RATE_WINDOWS",
    "ROLLOVER_WINDOWS_MAX",
    "THRESHOLD_PERCENT_MAX",
    "TTL_SECONDS_DEFAULT",
    "TTL_SECONDS_MAX",
    "VALUES_MAX",
    "ActiveFor",
    "AddOn",
    "Algorithm",
    "Align",
    "AllowedWhen",
    "BooleanFeature",
    "ByDimension",
    "Concurrency",
    "ConcurrencyFeature",
    "ConfigFeature",
    "Entitlement",
    "Feature",
    "LicenceCeiling",
    "LicenceFeature",
    "Licences",
    "Limit",
    "MeteredFeature",
    "NamedLicences",
    "Overage",
    "OverageCap",
    "PerSubscription",
    "Rate",
    "RateFeature",
    "Rates",
    "Rollover",
    "Setting",
    "Switch",
    "Window",
    "burst_max",
    "ceiling_max",
    "check_adds",
    "check_adds_to",
    "check_fits",
]
