"""Features and entitlements as they are written, in a plan, in an add-on and in an override alike."""

from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias, assert_never

from billing_core.credits import PRIORITY_MAX
from billing_core.entitlements import (
    ACTIVE_DAYS_MAX,
    CEILING_MAX,
    LONG_WINDOWS,
    METERED_WINDOWS,
    PRIORITY_DEFAULT,
    RATE_WINDOWS,
    ROLLOVER_WINDOWS_MAX,
    THRESHOLD_PERCENT_MAX,
    TTL_SECONDS_DEFAULT,
    TTL_SECONDS_MAX,
    ActiveFor,
    Algorithm,
    Align,
    AllowedWhen,
    BooleanFeature,
    ByDimension,
    Concurrency,
    ConcurrencyFeature,
    ConfigFeature,
    Entitlement,
    Feature,
    LicenceCeiling,
    LicenceFeature,
    Licences,
    Limit,
    MeteredFeature,
    NamedLicences,
    Overage,
    OverageCap,
    PerSubscription,
    Rate,
    RateFeature,
    Rates,
    Rollover,
    Setting,
    Switch,
    Window,
)
from gateway.catalog_file.nodes import Entries
from gateway.catalog_file.places import Place, T, kept

PlainFeature: TypeAlias = BooleanFeature | ConfigFeature | RateFeature | ConcurrencyFeature | LicenceFeature

UNLIMITED = "unlimited"

_PLAIN: Mapping[str, type[PlainFeature]] = {
    kind.type: kind for kind in (BooleanFeature, ConfigFeature, RateFeature, ConcurrencyFeature, LicenceFeature)
}
_FEATURE_TYPES = (*_PLAIN, MeteredFeature.type)
_STATES = ("paused", "suspended", "past_due")
_ALLOWED = {"allow": True, "deny": False}
_CEILING = f"a whole number from 0 to {CEILING_MAX}"
_METERED_KEYS = ("limit", "window", "align", "overage", "thresholds", "priority", "rollover", "rates", "by")
_RATE_KEYS = ("limit", "window", "algorithm", "burst")
_CONCURRENCY_KEYS = ("limit", "ttl_seconds", "rates")
_LICENCE_KEYS = ("limit", "named", "window", "active_for_days")
_PER_SUBSCRIPTION = PerSubscription.PER_SUBSCRIPTION


def read_feature(name: str, place: Place, meters: Collection[str]) -> Feature | None:
    """Read a feature."""
    if not place.is_mapping():
        return None
    kind = place["type"].name_among(_FEATURE_TYPES, "feature type")
    if kind in _PLAIN:
        return place.build(lambda: _PLAIN[kind](name, _read_when(place["when"])), "type", "when")
    if kind == MeteredFeature.type:
        return place.build(
            lambda: MeteredFeature(name, place["meter"].name_among(meters, "meter"), _read_when(place["when"])),
            *("type", "meter", "when"),
        )
    return None


def read_entitlements(place: Place, features: Mapping[str, Feature | None]) -> dict[str, Entitlement]:
    """Read what is given of each feature, by the feature's type."""
    entitlements: dict[str, Entitlement | None] = {}
    for name, entry in place.entries():
        feature = features.get(name)
        if name not in features:
            entry.refuse_name(name, features, "feature")
        elif feature is not None:
            entitlements[name] = read_entitlement(entry, feature)
    return present(entitlements)


def read_entitlement(place: Place, feature: Feature) -> Entitlement | None:
    """Read what is given of a feature."""
    make: Callable[[Place], Entitlement]
    keys: tuple[str, ...]
    match feature:
        case BooleanFeature():
            return Switch(place.flag())
        case ConfigFeature():
            return _read_setting(place)
        case RateFeature():
            return _read_rates(place)
        case MeteredFeature():
            make, keys = _limit, _METERED_KEYS
        case ConcurrencyFeature():
            make, keys = _concurrency, _CONCURRENCY_KEYS
        case LicenceFeature():
            make, keys = _licences, _LICENCE_KEYS
        case _:
            assert_never(feature)
    return place.build(lambda: make(place), *keys)


def present(things: Mapping[str, T | None]) -> dict[str, T]:
    """Leave out what could not be read."""
    return {name: thing for name, thing in things.items() if thing is not None}


def _read_when(place: Place) -> AllowedWhen:
    if not place.exists:
        return AllowedWhen()

    def when() -> AllowedWhen:
        usual = AllowedWhen()
        return AllowedWhen(*(_allowed(place[state], default=getattr(usual, state)) for state in _STATES))

    return place.build(when, *_STATES) or AllowedWhen()


def _allowed(place: Place, *, default: bool) -> bool:
    word = place.glimpse()
    if word in _ALLOWED:
        return _ALLOWED[word]
    if place.exists:
        place.refuse("allow or deny", place.suggestion(word or "", _ALLOWED))
    return default


def _read_setting(place: Place) -> Setting | None:
    if place.is_null():
        place.refuse("a JSON value that is not null")
        return None
    return Setting(place.json_text())


def _read_rates(place: Place) -> Rates | None:
    """Read one rate, or several that hold at once."""
    if isinstance(place.node, Entries) and place["rates"].exists:
        return place.build(lambda: Rates(_rates(place["rates"])), "rates")
    rate = _read_rate(place, "rates")
    return None if rate is None else Rates((rate,))


def _limit(place: Place) -> Limit:
    percent = f"a whole percentage from 1 to {THRESHOLD_PERCENT_MAX}"
    return Limit(
        _ceiling(place["limit"]),
        place["window"].member(METERED_WINDOWS),
        _overage(place["overage"]),
        tuple(item.whole_number(range(1, THRESHOLD_PERCENT_MAX + 1), percent) for item in place["thresholds"].items()),
        place["align"].member(tuple(Align), default=Align.CALENDAR),
        _whole(place["priority"], 0, PRIORITY_MAX, PRIORITY_DEFAULT),
        _rollover(place["rollover"]) if place["rollover"].exists else None,
        _rates(place["rates"]),
        _by(place["by"]) if place["by"].exists else None,
    )


def _overage(place: Place) -> Overage | OverageCap:
    if isinstance(place.node, Entries):
        return place.build(lambda: OverageCap(_whole(place["cap"], 1, CEILING_MAX)), "cap") or Overage.DENY
    words = {member.value: member for member in Overage}
    word = place.glimpse()
    if word in words:
        return words[word]
    if place.exists:
        place.refuse("allow, deny, or a mapping such as {cap: 5000}", place.suggestion(word or "", words))
    return Overage.DENY


def _rollover(place: Place) -> Rollover | None:
    return place.build(
        lambda: Rollover(
            _whole(place["maximum"], 1, CEILING_MAX),
            _whole(place["minimum"], 0, CEILING_MAX, 0),
            _whole(place["expires_after"], 1, ROLLOVER_WINDOWS_MAX, 1),
        ),
        *("maximum", "minimum", "expires_after"),
    )


def _by(place: Place) -> ByDimension | None:
    def by() -> ByDimension:
        listed = place["limits"]
        if not isinstance(listed.node, Entries):
            listed.refuse("a mapping of values to their limits")
        values = tuple(listed.node.entries) if isinstance(listed.node, Entries) else ()
        ceilings = {value: _whole(listed[value], 0, CEILING_MAX) for value in values}
        return ByDimension(place["dimension"].name(), ceilings, _ceiling(place["other"]))

    return place.build(by, "dimension", "limits", "other")


def _rates(place: Place) -> tuple[Rate, ...]:
    return kept(_read_rate(item) for item in place.items())


def _read_rate(place: Place, *other_keys: str) -> Rate | None:
    def rate() -> Rate:
        ceiling, window = _ceiling(place["limit"]), place["window"].member(RATE_WINDOWS)
        algorithm = place["algorithm"].member(tuple(Algorithm), default=Algorithm.FIXED)
        return Rate(
            ceiling, window, algorithm, _whole(place["burst"], 1, CEILING_MAX) if place["burst"].exists else None
        )

    return place.build(rate, *_RATE_KEYS, *other_keys)


def _concurrency(place: Place) -> Concurrency:
    ttl = place["ttl_seconds"]
    return Concurrency(
        _ceiling(place["limit"]), _whole(ttl, 1, TTL_SECONDS_MAX, TTL_SECONDS_DEFAULT), _rates(place["rates"])
    )


def _licences(place: Place) -> Licences | NamedLicences:
    ceiling: LicenceCeiling
    if place["limit"].glimpse() == _PER_SUBSCRIPTION.value:
        ceiling = _PER_SUBSCRIPTION
    else:
        ceiling = _ceiling(place["limit"], _PER_SUBSCRIPTION.value)
    named, window, days = place["named"], place["window"], place["active_for_days"]
    if not named.flag(default=False):
        for key in (window, days):
            if key.exists and named.glimpse() in {None, "false"}:
                key.findings.gaps += 1
                key.report("is for named licences; expected named: true beside it")
        return Licences(ceiling)
    if window.exists == days.exists:
        place.refuse("a mapping with one of window, active_for_days beside named: true")
    if days.exists:
        return NamedLicences(ceiling, ActiveFor(_whole(days, 1, ACTIVE_DAYS_MAX)))
    counted = window.member((*LONG_WINDOWS, Window.LIFETIME), default=Window.MONTH)
    return NamedLicences(ceiling, counted)


def _ceiling(place: Place, *other_words: str) -> int | None:
    if place.glimpse() == UNLIMITED:
        return None
    words = (UNLIMITED, *other_words)
    return place.whole_number(range(CEILING_MAX + 1), f"{_CEILING}, or {' or '.join(words)}")


def _whole(place: Place, least: int, most: int, default: int | None = None) -> int:
    if default is not None and not place.exists:
        return default
    return place.whole_number(range(least, most + 1), f"a whole number from {least} to {most}")
