"""What is sold: meters, plans with their prices, fees and entitlements, and add-ons; valid, or not at all."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import MappingProxyType

from billing_core.aggregation import Aggregation, Count, Sum, WindowedMax
from billing_core.entitlements import (
    AddOn,
    Entitlement,
    Feature,
    Limit,
    MeteredFeature,
    check_adds,
    check_adds_to,
    check_fits,
)
from billing_core.errors import InvalidValueError
from billing_core.money import Currency, price_amount
from billing_core.names import check_name, check_text, check_type, one_of
from billing_core.periods import DAYS_MAX, Interval
from billing_core.prices import Capacity, Price, Terms
from billing_core.prices.curve import Curve, curve_of
from billing_core.prices.models import EventPrice
from billing_core.prices.terms import ChargeWhen, check_suits
from billing_core.proration import ProrationBasis

BILLING_INTERVALS = (Interval.DAY, Interval.WEEK, Interval.MONTH, Interval.YEAR)


@dataclass(frozen=True, slots=True)
class Meter:
    """What is measured, in which unit, and how many measurements become one quantity."""

    name: str
    unit: str = "units"
    aggregation: Aggregation = field(default_factory=Sum)

    def __post_init__(self) -> None:
        check_name("name", self.name)
        check_text("unit", self.unit)
        if not isinstance(self.aggregation, Aggregation):
            raise InvalidValueError("aggregation", self.aggregation, "has the wrong type", "an aggregation")


@dataclass(frozen=True, slots=True)
class MeterPrice:
    """A price, the meter whose quantity it prices, and what applies around its model.

    Capacity looks at several meters and has none of its own. The curve, where there is one, charges every quantity of
    the meter as the price and its terms do.
    """

    meter: str | None
    price: Price
    terms: Terms = field(default_factory=Terms)
    curve: Curve | None = field(init=False, repr=False, compare=False)
    description: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.price, Price):
            raise InvalidValueError("price", self.price, "is not a price", "a price model")
        if not isinstance(self.price, Capacity):
            check_name("meter", self.meter)
        elif self.meter is not None:
            raise InvalidValueError(
                "meter", self.meter, "is one meter", "none, for capacity names meters in its limits"
            )
        check_type("terms", self.terms, Terms)
        check_suits(self.price, self.terms)
        object.__setattr__(self, "curve", curve_of(self.price) if self.terms.are_plain else None)
        filters = "".join(f", {name} {'/'.join(self.terms.filter[name])}" for name in sorted(self.terms.filter))
        object.__setattr__(self, "description", f"{', '.join(self.meters)} ({self.price.model}{filters})")

    @property
    def meters(self) -> tuple[str, ...]:
        """Every meter it looks at."""
        if isinstance(self.price, Capacity):
            return self.price.meters
        assert self.meter is not None
        return (self.meter,)


@dataclass(frozen=True, slots=True)
class Fee:
    """A flat amount: for every interval, or once where `every` is None.

    Where a plan runs for a part of its period, a recurring fee is prorated with it unless it says otherwise.
    """

    name: str
    amount: Decimal
    every: Interval | None
    charge_when: ChargeWhen = ChargeWhen.ARREARS
    prorated: bool = True

    def __post_init__(self) -> None:
        check_text("name", self.name)
        object.__setattr__(self, "amount", price_amount("amount", self.amount))
        if self.every is not None:
            check_type("every", self.every, Interval)
        check_type("charge_when", self.charge_when, ChargeWhen)
        check_type("prorated", self.prorated, bool)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a subscription costs and gives; without a proration, a part of a period costs what the whole does.

    A subscription begins with a trial of `trial_days`, where there are any. While it is past due for less than
    `grace_days`, nothing is refused for that.
    """

    name: str
    display_name: str
    billing_interval: Interval
    fees: tuple[Fee, ...] = ()
    prices: tuple[MeterPrice, ...] = ()
    entitlements: Mapping[str, Entitlement] = field(default_factory=dict)
    proration: ProrationBasis | None = ProrationBasis.SECOND
    trial_days: int | None = None
    grace_days: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "fees", tuple(self.fees))
        object.__setattr__(self, "prices", tuple(self.prices))
        object.__setattr__(self, "entitlements", MappingProxyType(dict(self.entitlements)))
        check_name("name", self.name)
        check_text("display_name", self.display_name)
        if self.billing_interval not in BILLING_INTERVALS:
            rule = one_of(interval.value for interval in BILLING_INTERVALS)
            raise InvalidValueError("billing_interval", self.billing_interval, "cannot be billed", rule)
        if self.proration is not None:
            check_type("proration", self.proration, ProrationBasis)
        if self.trial_days is not None:
            _check_days("trial_days", self.trial_days, 1)
        _check_days("grace_days", self.grace_days, 0)
        for index, fee in enumerate(self.fees):
            # A plan has one kind of billing period, so that a fee of another interval would have none to fall in.
            if fee.every is not None and fee.every is not self.billing_interval:
                rule = f"{self.billing_interval.value}, the plan's billing_interval"
                raise InvalidValueError(f"fees[{index}].every", fee.every.value, "has no period here", rule)
        check_one_price_per_meter(self.prices)


@dataclass(frozen=True, slots=True)
class Catalog:
    """One product's meters, features, plans and add-ons by their names, in one currency; every name in it exists."""

    product: str
    currency: Currency
    meters: Mapping[str, Meter]
    features: Mapping[str, Feature]
    plans: Mapping[str, Plan]
    add_ons: Mapping[str, AddOn] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name("product", self.product)
        check_type("currency", self.currency, Currency)
        for section in ("meters", "features", "plans", "add_ons"):
            things = MappingProxyType(dict(getattr(self, section)))
            object.__setattr__(self, section, things)
            for name, thing in things.items():
                assert name == thing.name, f"{section}: {thing.name} stands under the name {name}"
        if not self.plans:
            raise InvalidValueError("plans", 0, "plans are sold", "at least one")
        self._check_references()

    def narrowed_to(self, plan_name: str) -> "Catalog":
        """Keep this plan alone, with the add-ons sold beside it and the meters and features of both.

        This is what a plan's version pins: an add-on gives what it gave when the version was made.
        """
        plan = self.plans[plan_name]
        given = set(plan.entitlements).union(*(add_on.entitlements for add_on in self.add_ons.values()))
        features = {name: self.features[name] for name in sorted(given)}
        used = {meter for price in plan.prices for meter in price.meters}
        used |= {feature.meter for feature in features.values() if isinstance(feature, MeteredFeature)}
        meters = {name: self.meters[name] for name in sorted(used)}
        return replace(self, meters=meters, features=features, plans={plan_name: plan})

    def _check_references(self) -> None:
        for feature in self.features.values():
            if isinstance(feature, MeteredFeature):
                _check_known(f"features.{feature.name}.meter", feature.meter, "is not a meter", self.meters)
        for plan in self.plans.values():
            for index, price in enumerate(plan.prices):
                path = f"plans.{plan.name}.prices[{index}].meter"
                for meter in price.meters:
                    _check_known(path, meter, "is not a meter", self.meters)
                check_measurable(path, price, self.meters)
            for name, entitlement in plan.entitlements.items():
                self._check_entitlement(f"plans.{plan.name}.entitlements.{name}", name, entitlement)
        for add_on in self.add_ons.values():
            self._check_add_on(add_on)

    def _check_add_on(self, add_on: AddOn) -> None:
        for name, entitlement in add_on.entitlements.items():
            path = f"add_ons.{add_on.name}.entitlements.{name}"
            self._check_entitlement(path, name, entitlement)
            check_adds(path, entitlement)
            for plan in self.plans.values():
                if name in plan.entitlements:
                    check_adds_to(path, entitlement, plan.name, plan.entitlements[name])

    def _check_entitlement(self, path: str, name: str, entitlement: Entitlement) -> None:
        _check_known(path, name, "is not a feature", self.features)
        check_fits(path, self.features[name], entitlement)
        self._check_counted(path, self.features[name], entitlement)

    def _check_counted(self, path: str, feature: Feature, entitlement: Entitlement) -> None:
        """Refuse a limit on what no counter can tell: counters only add."""
        if isinstance(feature, MeteredFeature) and isinstance(entitlement, Limit):
            aggregation = self.meters[feature.meter].aggregation
            if not isinstance(aggregation, Sum | Count):
                rule = f"a meter of {Sum.name} or {Count.name}, for counters only add"
                raise InvalidValueError(path, aggregation.name, f"of {feature.meter} has no limit", rule)


def check_one_price_per_meter(prices: tuple[MeterPrice, ...]) -> None:
    """Refuse two prices of one meter, unless their filters exclude each other: they would charge the same use twice."""
    seen: dict[str, list[Terms]] = {}
    for index, price in enumerate(prices):
        if price.meter is None:
            continue
        others = seen.setdefault(price.meter, [])
        if not all(price.terms.excludes(other) for other in others):
            rule = "one price per meter, or filters that exclude each other"
            raise InvalidValueError(f"prices[{index}].meter", price.meter, "has a price already", rule)
        others.append(price.terms)


def check_measurable(path: str, price: MeterPrice, meters: Mapping[str, Meter]) -> None:
    """Refuse a price whose model cannot be applied to what its meter measures."""
    for name in price.meters:
        aggregation = meters[name].aggregation if name in meters else Sum()
        if isinstance(price.price, EventPrice) and not isinstance(aggregation, Sum | Count):
            rule = f"a meter of {Sum.name} or {Count.name}, for {price.price.model} prices single uses"
            raise InvalidValueError(path, name, f"is a {aggregation.name}", rule)
        if isinstance(price.price, Capacity) and isinstance(aggregation, WindowedMax):
            rule = "a meter of one quantity, for a tier has one limit of each"
            raise InvalidValueError(path, name, f"is a {aggregation.name}", rule)


def _check_days(field: str, days: object, least: int) -> None:
    if type(days) is not int or not least <= days <= DAYS_MAX:
        raise InvalidValueError(field, days, "is not a number of days", f"a whole number from {least} to {DAYS_MAX}")


def _check_known(field: str, name: str, problem: str, known: Mapping[str, object]) -> None:
    if name not in known:
        raise InvalidValueError(field, name, problem, one_of(known))
