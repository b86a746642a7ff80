"""Features and entitlements in canonical form: what has its default is left out."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias, assert_never

from billing_core.entitlements import (
    PRIORITY_DEFAULT,
    TTL_SECONDS_DEFAULT,
    ActiveFor,
    Algorithm,
    Align,
    AllowedWhen,
    ByDimension,
    Concurrency,
    Entitlement,
    Feature,
    LicenceCeiling,
    Licences,
    Limit,
    MeteredFeature,
    NamedLicences,
    Overage,
    OverageCap,
    PerSubscription,
    Rate,
    Rates,
    Rollover,
    Setting,
    Switch,
    Window,
)

Given: TypeAlias = str | int | bool | Setting | Sequence["Given"] | Mapping[str, "Given"] | None
"""JSON to be written; a setting is JSON already."""

_UNLIMITED = "unlimited"


def write_feature(feature: Feature) -> Given:
    """Write a feature."""
    meter: dict[str, Given] = {"meter": feature.meter} if isinstance(feature, MeteredFeature) else {}
    usual = AllowedWhen()
    when: dict[str, Given] = {
        state: "allow" if getattr(feature.when, state) else "deny"
        for state in ("paused", "suspended", "past_due")
        if getattr(feature.when, state) is not getattr(usual, state)
    }
    return {"type": feature.type, **meter, **({"when": when} if when else {})}


def write_entitlement(entitlement: Entitlement) -> Given:
    """Write what is given of a feature."""
    rest: dict[str, Given]
    match entitlement:
        case Switch(on=on):
            return on
        case Setting():
            return entitlement
        case Limit():
            return _limit(entitlement)
        case Rates(rates=rates):
            return _rate(rates[0]) if len(rates) == 1 else _rates(rates)
        case Concurrency(ttl_seconds=ttl_seconds, rates=rates):
            rest = {} if ttl_seconds == TTL_SECONDS_DEFAULT else {"ttl_seconds": ttl_seconds}
            rest |= _rates(rates)
        case Licences():
            rest = {}
        case NamedLicences(counted=counted):
            rest = {"named": True} | _counted(counted)
        case _:
            assert_never(entitlement)
    return {"limit": _ceiling(entitlement.ceiling)} | rest


def _limit(limit: Limit) -> dict[str, Given]:
    written: dict[str, Given] = {"limit": _ceiling(limit.ceiling), "window": limit.window.value}
    match limit.overage:
        case Overage.DENY:
            pass
        case Overage.ALLOW:
            written["overage"] = Overage.ALLOW.value
        case OverageCap(units=units):
            written["overage"] = {"cap": units}
        case _:
            assert_never(limit.overage)
    written |= {"thresholds": limit.thresholds} if limit.thresholds else {}
    written |= {} if limit.align is Align.CALENDAR else {"align": limit.align.value}
    written |= {} if limit.priority == PRIORITY_DEFAULT else {"priority": limit.priority}
    written |= {} if limit.rollover is None else {"rollover": _rollover(limit.rollover)}
    return written | _rates(limit.rates) | ({} if limit.by is None else {"by": _by(limit.by)})


def _counted(counted: Window | ActiveFor) -> dict[str, Given]:
    return {"active_for_days": counted.days} if isinstance(counted, ActiveFor) else {"window": counted.value}


def _rollover(rollover: Rollover) -> dict[str, Given]:
    minimum: dict[str, Given] = {"minimum": rollover.minimum} if rollover.minimum else {}
    windows: dict[str, Given] = {} if rollover.windows == 1 else {"expires_after": rollover.windows}
    return {"maximum": rollover.maximum, **minimum, **windows}


def _by(by: ByDimension) -> dict[str, Given]:
    ceilings = dict(sorted(by.ceilings.items()))
    return {"dimension": by.dimension, "limits": ceilings, "other": _ceiling(by.other)}


def _rates(rates: Sequence[Rate]) -> dict[str, Given]:
    return {"rates": [_rate(rate) for rate in rates]} if rates else {}


def _rate(rate: Rate) -> dict[str, Given]:
    algorithm: dict[str, Given] = {} if rate.algorithm is Algorithm.FIXED else {"algorithm": rate.algorithm.value}
    burst: dict[str, Given] = {} if rate.burst is None else {"burst": rate.burst}
    return {"limit": _ceiling(rate.ceiling), "window": rate.window.value, **algorithm, **burst}


def _ceiling(ceiling: LicenceCeiling) -> str | int:
    if ceiling is None:
        return _UNLIMITED
    return ceiling.value if isinstance(ceiling, PerSubscription) else ceiling
