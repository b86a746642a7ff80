"""The catalog document: which keys it has, and which types they become."""

from collections.abc import Collection, Mapping
from typing import TypeVar

from billing_core.catalog import BILLING_INTERVALS, Catalog, Plan
from billing_core.entitlements import (
    CEILING_MAX,
    METERED_WINDOWS,
    RATE_WINDOWS,
    THRESHOLD_PERCENT_MAX,
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
from billing_core.money import Currency
from gateway.catalog_file.meters import read_meter
from gateway.catalog_file.moments import read_proration
from gateway.catalog_file.nodes import read_document
from gateway.catalog_file.places import Place
from gateway.catalog_file.prices import read_fees, read_prices
from gateway.catalog_file.problems import CatalogError, Findings

T = TypeVar("T")

_FEATURE_TYPES = (BooleanFeature.type, ConfigFeature.type, MeteredFeature.type, RateFeature.type)
_PERCENT = range(1, THRESHOLD_PERCENT_MAX + 1)
_CEILING = f"a whole number from 0 to {CEILING_MAX}, or unlimited"


def parse_catalog(text: str) -> Catalog:
    """Read a catalog from YAML or JSON, whole or not at all; CatalogError has every problem of it."""
    findings = Findings()
    root = Place(None, 1, read_document(text, findings), findings)
    catalog = root.build(lambda: _catalog(root), "product", "currency", "meters", "features", "plans")
    if catalog is None or findings.problems:
        raise CatalogError(findings.problems)
    return catalog


def _catalog(root: Place) -> Catalog:
    product = root["product"].name()
    currency = root["currency"].taken(Currency) or Currency("USD")
    # What could not be read keeps its name here, so that mentioning it is no second problem.
    meters = {name: read_meter(name, place) for name, place in root["meters"].entries()}
    features = {name: _read_feature(name, place, meters) for name, place in root["features"].entries()}
    if not root["plans"].exists:
        root["plans"].refuse("a mapping of at least one plan")
    plans = {name: _read_plan(name, place, meters, features) for name, place in root["plans"].entries()}
    return Catalog(product, currency, present(meters), present(features), present(plans))


def _read_feature(name: str, place: Place, meters: Collection[str]) -> Feature | None:
    if not place.is_mapping():
        return None
    match place["type"].name_among(_FEATURE_TYPES, "feature type"):
        case BooleanFeature.type:
            return place.build(lambda: BooleanFeature(name), "type")
        case ConfigFeature.type:
            return place.build(lambda: ConfigFeature(name), "type")
        case MeteredFeature.type:
            return place.build(
                lambda: MeteredFeature(name, place["meter"].name_among(meters, "meter")), "type", "meter"
            )
        case RateFeature.type:
            return place.build(lambda: RateFeature(name), "type")
        case _:
            return None


def _read_plan(name: str, place: Place, meters: Collection[str], features: Mapping[str, Feature | None]) -> Plan | None:
    def plan() -> Plan:
        stated = place["billing_interval"].glimpse()
        return Plan(
            name,
            place["display_name"].text(default=name),
            place["billing_interval"].member(BILLING_INTERVALS),
            read_fees(
                place["fees"], [every for every in BILLING_INTERVALS if every.value == stated] or BILLING_INTERVALS
            ),
            read_prices(place["prices"], meters),
            _entitlements(place["entitlements"], features),
            read_proration(place["proration"]),
        )

    return place.build(plan, "display_name", "billing_interval", "fees", "prices", "entitlements", "proration")


def _entitlements(place: Place, features: Mapping[str, Feature | None]) -> dict[str, Entitlement]:
    entitlements: dict[str, Entitlement | None] = {}
    for name, entry in place.entries():
        feature = features.get(name)
        if name not in features:
            entry.refuse_name(name, features, "feature")
        elif feature is not None:
            entitlements[name] = _read_entitlement(entry, feature)
    return present(entitlements)


def _read_entitlement(place: Place, feature: Feature) -> Entitlement | None:
    match feature:
        case BooleanFeature():
            return Switch(place.flag())
        case ConfigFeature():
            return Setting(place.json_text())
        case MeteredFeature():
            return _read_limit(place, METERED_WINDOWS)
        case RateFeature():
            return _read_limit(place, RATE_WINDOWS)


def _read_limit(place: Place, windows: tuple[Window, ...]) -> Limit | None:
    def limit() -> Limit:
        return Limit(
            None
            if place["limit"].glimpse() == "unlimited"
            else place["limit"].whole_number(range(CEILING_MAX + 1), _CEILING),
            place["window"].member(windows),
            place["overage"].member(tuple(Overage), default=Overage.DENY),
            tuple(
                item.whole_number(_PERCENT, f"a whole percentage from 1 to {THRESHOLD_PERCENT_MAX}")
                for item in place["thresholds"].items()
            ),
        )

    return place.build(limit, "limit", "window", "overage", "thresholds")


def present(things: Mapping[str, T | None]) -> dict[str, T]:
    """Leave out what could not be read."""
    return {name: thing for name, thing in things.items() if thing is not None}
