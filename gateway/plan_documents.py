"""What the document of a plan's version says: of every feature, what it gives, and the next plans that give more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import msgspec

from billing_core.entitlements import Limit, MeteredFeature, Overage, Setting, Switch
from gateway.catalog_file import parse_catalog
from gateway.entitlements import Boolean, Config, Counted, Missing, PlanDocument
from gateway.upgrades import Upgrades

if TYPE_CHECKING:
    from collections.abc import Mapping

    from billing_core.catalog import Catalog
    from billing_core.entitlements import Entitlement, Feature


@dataclass(frozen=True, slots=True)
class InForce:
    """What a product's catalog says that every plan's document needs, found out once for all of them."""

    version: int
    features: Mapping[str, Feature]
    upgrades: Upgrades

    @classmethod
    def read(cls, version: int, source: str) -> Self:
        """Read the catalog's file; a large one takes a second."""
        return cls.of(version, parse_catalog(source))

    @classmethod
    def of(cls, version: int, catalog: Catalog) -> Self:
        """Take what is needed of a catalog."""
        return cls(version, catalog.features, Upgrades(catalog.plans.values()))


def read_plan_document(definition: str, plan: str, version: int, in_force: InForce) -> PlanDocument:
    """Make the document of a plan's version from its definition, a catalog of this plan alone."""
    return document_of(parse_catalog(definition), plan, version, in_force)


def document_of(sold: Catalog, plan: str, version: int, in_force: InForce) -> PlanDocument:
    """Say of every feature of the product what this version of the plan gives, and which plans would give more.

    What the plan gives is as it was `sold`; which features there are and what other plans give is as it is `in_force`.
    """
    mine = sold.plans[plan].entitlements
    features: dict[str, Boolean | Config | Counted | Missing] = {}
    for name, feature in (dict(in_force.features) | dict(sold.features)).items():
        given = mine.get(name)
        features[name] = _feature(feature, given, in_force.upgrades.of(plan, name, given))
    return PlanDocument(in_force.version, plan, version, sold.plans[plan].billing_interval, features)


def _feature(
    feature: Feature, given: Entitlement | None, upgrades: tuple[str, ...]
) -> Boolean | Config | Counted | Missing:
    match given:
        case None:
            return Missing(upgrades)
        case Switch(on=on):
            return Boolean(on, upgrades)
        case Setting(json_text=text):
            return Config(msgspec.Raw(text.encode()))
        case Limit(ceiling=ceiling, window=window, overage=overage):
            meter = feature.meter if isinstance(feature, MeteredFeature) else None
            return Counted(window, meter, ceiling, overage is Overage.ALLOW, upgrades)
