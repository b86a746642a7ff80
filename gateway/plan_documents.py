"""What the document of a plan's version says: of every feature, what it gives, and the next plans that give more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from billing_core.entitlements import AllowedWhen
from gateway.catalog_file import parse_catalog
from gateway.documents import PlanDocument, When, feature_of, given_of
from gateway.upgrades import Upgrades

if TYPE_CHECKING:
    from collections.abc import Mapping

    from billing_core.catalog import Catalog
    from billing_core.entitlements import Feature

_DAY_MS: Final = 86_400_000
_USUAL: Final = AllowedWhen()


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

    What the plan and the add-ons beside it give is as it was `sold`; which features there are and what other plans give
    is as it is `in_force`.
    """
    mine = sold.plans[plan]
    known = dict(in_force.features) | dict(sold.features)
    features, when = {}, {}
    for name, feature in known.items():
        given = mine.entitlements.get(name)
        features[name] = feature_of(feature, given, in_force.upgrades.of(plan, name, given))
        if feature.when != _USUAL:
            when[name] = When(feature.when.paused, feature.when.suspended, feature.when.past_due)
    add_ons = {
        add_on.name: {name: given_of(sold.features[name], given) for name, given in add_on.entitlements.items()}
        for add_on in sold.add_ons.values()
    }
    grace_ms = mine.grace_days * _DAY_MS
    return PlanDocument(in_force.version, plan, version, mine.billing_interval, features, when, add_ons, grace_ms)
