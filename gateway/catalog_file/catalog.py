"""The catalog document: which keys it has, and which types they become."""

from collections.abc import Collection, Mapping

from billing_core.catalog import BILLING_INTERVALS, Catalog, Plan
from billing_core.entitlements import AddOn, Entitlement, Feature
from billing_core.money import Currency
from billing_core.periods import DAYS_MAX
from gateway.catalog_file.entitlements import present, read_entitlement, read_entitlements, read_feature
from gateway.catalog_file.meters import read_meter
from gateway.catalog_file.moments import read_proration
from gateway.catalog_file.nodes import read_document
from gateway.catalog_file.places import Place, T
from gateway.catalog_file.prices import read_fees, read_prices
from gateway.catalog_file.problems import CatalogError, Findings

_PLAN_KEYS = (
    "display_name",
    "billing_interval",
    "fees",
    "prices",
    "entitlements",
    "proration",
    "trial_days",
    "grace_days",
)


def parse_catalog(text: str) -> Catalog:
    """Read a catalog from YAML or JSON, whole or not at all; CatalogError has every problem of it."""
    findings = Findings()
    root = Place(None, 1, read_document(text, findings), findings)
    catalog = root.build(lambda: _catalog(root), "product", "currency", "meters", "features", "plans", "add_ons")
    if catalog is None or findings.problems:
        raise CatalogError(findings.problems)
    return catalog


def parse_entitlement(text: str, feature: Feature) -> Entitlement:
    """Read what is given of one feature, in the catalog's notation; CatalogError has every problem of it."""
    findings = Findings()
    root = Place(None, 1, read_document(text, findings), findings)
    entitlement = read_entitlement(root, feature)
    if entitlement is None or findings.problems:
        raise CatalogError(findings.problems)
    return entitlement


def _catalog(root: Place) -> Catalog:
    product = root["product"].name()
    currency = root["currency"].taken(Currency) or Currency("USD")
    # What could not be read keeps its name here, so that mentioning it is no second problem.
    meters = {name: read_meter(name, place) for name, place in root["meters"].entries()}
    features = {name: read_feature(name, place, meters) for name, place in root["features"].entries()}
    if not root["plans"].exists:
        root["plans"].refuse("a mapping of at least one plan")
    plans = {name: _read_plan(name, place, meters, features) for name, place in root["plans"].entries()}
    add_ons = {name: _read_add_on(name, place, features) for name, place in root["add_ons"].entries()}
    return Catalog(product, currency, present(meters), present(features), present(plans), present(add_ons))


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
            read_entitlements(place["entitlements"], features),
            read_proration(place["proration"]),
            _days(place["trial_days"], 1, None),
            _days(place["grace_days"], 0, 0),
        )

    return place.build(plan, *_PLAN_KEYS)


def _read_add_on(name: str, place: Place, features: Mapping[str, Feature | None]) -> AddOn | None:
    def add_on() -> AddOn:
        entitlements = read_entitlements(place["entitlements"], features)
        return AddOn(name, place["display_name"].text(default=name), entitlements)

    return place.build(add_on, "display_name", "entitlements")


def _days(place: Place, least: int, default: T) -> int | T:
    if not place.exists:
        return default
    return place.whole_number(range(least, DAYS_MAX + 1), f"a whole number from {least} to {DAYS_MAX}")
