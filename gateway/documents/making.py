"""How what a catalog gives of a feature is written in a document."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import msgspec

from billing_core import entitlements as core
from gateway.documents.features import (
    Boolean,
    ByDimension,
    Config,
    Counted,
    Given,
    Licences,
    Missing,
    NamedLicences,
    Rate,
    Rated,
    Rollover,
    Slots,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from billing_core.entitlements import Entitlement, LicenceCeiling
    from gateway.documents.features import Feature

_DAY_MS = 86_400_000


def feature_of(feature: core.Feature, given: Entitlement | None, upgrades: tuple[str, ...]) -> Feature:
    """Write what a plan gives of a feature, and which plans give more."""
    if given is None:
        return Missing(upgrades, feature.meter if isinstance(feature, core.MeteredFeature) else None)
    said = given_of(feature, given)
    return said if isinstance(said, Config) else msgspec.structs.replace(said, upgrade_plans=upgrades)


def given_of(feature: core.Feature, given: Entitlement) -> Given:
    """Write what is given of a feature."""
    said: Given
    match given:
        case core.Switch(on=on):
            said = Boolean(on)
        case core.Setting(json_text=text):
            said = Config(msgspec.Raw(text.encode()))
        case core.Limit():
            assert isinstance(feature, core.MeteredFeature), "a catalog gives each feature what its type takes"
            said = _counted(feature.meter, given)
        case core.Rates(rates=rates):
            said = Rated(_rates(rates))
        case core.Concurrency(ceiling=ceiling, ttl_seconds=ttl_seconds, rates=rates):
            said = Slots(ceiling, ttl_seconds * 1000, _rates(rates))
        case core.Licences(ceiling=ceiling):
            said = Licences(*_number(ceiling))
        case core.NamedLicences(ceiling=ceiling, counted=counted):
            window = counted if isinstance(counted, core.Window) else None
            active_ms = counted.days * _DAY_MS if isinstance(counted, core.ActiveFor) else None
            said = NamedLicences(*_number(ceiling), window, active_ms)
        case _:
            assert_never(given)
    return said


def _counted(meter: str, limit: core.Limit) -> Counted:
    rollover, by = limit.rollover, limit.by
    return Counted(
        window=limit.window,
        meter=meter,
        ceiling=limit.ceiling,
        overage=limit.overage is not core.Overage.DENY,
        overage_cap=limit.overage.units if isinstance(limit.overage, core.OverageCap) else None,
        align=limit.align,
        priority=limit.priority,
        rollover=None if rollover is None else Rollover(rollover.maximum, rollover.minimum, rollover.windows),
        rates=_rates(limit.rates),
        by=None if by is None else ByDimension(by.dimension, dict(by.ceilings), by.other),
    )


def _rates(rates: Sequence[core.Rate]) -> tuple[Rate, ...]:
    return tuple(Rate(rate.window, rate.ceiling, rate.algorithm, rate.burst) for rate in rates)


def _number(ceiling: LicenceCeiling) -> tuple[int | None, bool]:
    """Give the ceiling, and whether it is the subscription's own."""
    return (None, True) if isinstance(ceiling, core.PerSubscription) else (ceiling, False)
