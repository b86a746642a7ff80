"""How what a document gives of a feature is compiled: counters get their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from billing_core.entitlements import Algorithm
from gateway.documents import Boolean, Config, Counted, Licences, Missing, NamedLicences, Rated, Slots
from gateway.limits import kinds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.documents import Feature, Rate

_MARKS: Final = {Algorithm.FIXED: "/", Algorithm.SLIDING: "~", Algorithm.GCRA: "!"}


def compiled(name: str, feature: Feature) -> kinds.Entitlement:
    """Compile what is given of the feature of that name."""
    match feature:
        case Boolean(on=on, upgrade_plans=upgrades):
            return kinds.Switch(on, upgrades)
        case Config(value=value):
            return kinds.Setting(bytes(value).decode())
        case Missing(upgrade_plans=upgrades):
            return kinds.Absent(upgrades)
        case Counted():
            return _metered(name, feature)
        case _:
            return _limited(name, feature)


def _limited(name: str, feature: Rated | Slots | Licences | NamedLicences) -> kinds.Entitlement:
    match feature:
        case Rated(rates=rates, upgrade_plans=upgrades):
            return kinds.Rated(_rates(name, rates), upgrades)
        case Slots(ceiling=ceiling, ttl_ms=ttl_ms, rates=rates, upgrade_plans=upgrades):
            return kinds.Slots(f"{name}#", ceiling, ttl_ms, _rates(name, rates), upgrades)
        case Licences(ceiling=ceiling, upgrade_plans=upgrades):
            return kinds.Licences(ceiling, upgrades)
        case NamedLicences(ceiling=ceiling, upgrade_plans=upgrades):
            counted = feature.active_ms if feature.window is None else feature.window
            assert counted is not None, "its document says one of the two"
            return kinds.NamedLicences(ceiling, counted, upgrades)
        case _:
            assert_never(feature)


def _metered(name: str, feature: Counted) -> kinds.Metered:
    assert feature.meter is not None, "what is counted on no meter is a rate"
    counter = f"{name}:{feature.window.value}"
    rollover, by = None, None
    if feature.rollover is not None:
        kept = feature.rollover
        rollover = kinds.Rollover(counter, kept.windows, kept.maximum, kept.minimum)
    if feature.by is not None:
        said = feature.by
        others = f"{counter}:{said.dimension}"
        by = kinds.ByDimension(said.dimension, others, feature.window, feature.align, said.ceilings, said.other)
    allowance = kinds.Allowance(counter, feature.window, feature.align, feature.ceiling, feature.priority, rollover)
    return kinds.Metered(
        meter=feature.meter,
        members=(allowance,),
        base=0,
        beyond=feature.overage_cap if feature.overage else 0,
        rates=_rates(name, feature.rates),
        by=by,
        upgrade_plans=feature.upgrade_plans,
    )


def _rates(name: str, rates: Sequence[Rate]) -> tuple[kinds.Rate, ...]:
    return tuple(
        kinds.Rate(
            f"{name}{_MARKS[rate.algorithm]}{rate.window.value}",
            rate.window,
            rate.ceiling,
            rate.algorithm,
            (rate.burst or rate.ceiling) if rate.algorithm is Algorithm.GCRA else None,
        )
        for rate in rates
    )
