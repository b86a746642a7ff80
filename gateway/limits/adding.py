"""What add-ons and a licence count make of what is given of a feature; metered features have members instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from billing_core.entitlements import CEILING_MAX, Algorithm, burst_max, ceiling_max
from gateway.documents import Boolean, Config, Counted, Given, Licences, Missing, NamedLicences, Rate, Rated, Slots

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.documents import Feature

_Kind = TypeVar("_Kind", bound=Given)


@dataclass(frozen=True, slots=True)
class Added:
    """An add-on, how many of it there are, and what one of it gives of a feature."""

    name: str
    quantity: int
    given: Given


def with_added(feature: Feature, added: Sequence[Added], licences: int) -> Feature:
    """Put add-ons, in their order, and the subscription's own number into what is given of a feature.

    1. What the plan lacks begins at nothing, of the first add-on's kind. 2. One that is on switches on. 3. The last
    value holds. 4. Rates of a window rise together. 5. A number rises. What is of another kind changes nothing.
    """
    if isinstance(feature, Missing):
        first = next((one.given for one in added if not isinstance(one.given, Counted)), None)
        return feature if first is None else with_added(_nothing_of(first), added, licences)
    match feature:
        case Boolean():
            return replace(feature, on=feature.on or any(given.on for given, _ in _of(Boolean, added)))
        case Config():
            return [feature, *(given for given, _ in _of(Config, added))][-1]
        case Rated():
            more = [(rate, quantity) for given, quantity in _of(Rated, added) for rate in given.rates]
            return replace(feature, rates=tuple(_risen(rate, more) for rate in feature.rates))
        case Slots() | Licences() | NamedLicences():
            return _with_number(feature, added, licences)
        case Counted():
            return feature


def _of(kind: type[_Kind], added: Sequence[Added]) -> list[tuple[_Kind, int]]:
    return [(one.given, one.quantity) for one in added if isinstance(one.given, kind)]


def _nothing_of(given: Given) -> Given:
    match given:
        case Boolean():
            return replace(given, on=False)
        case Rated(rates=rates):
            return replace(given, rates=tuple(_emptied(rate) for rate in rates))
        case Slots() | Licences() | NamedLicences():
            return replace(given, ceiling=0)
        case Config() | Counted():
            return given


def _emptied(rate: Rate) -> Rate:
    return replace(rate, ceiling=0, burst=None if rate.burst is None else 0)


def _risen(rate: Rate, more: Sequence[tuple[Rate, int]]) -> Rate:
    """Add the ceilings of its window, as far as can be counted exactly; a burst rises by bursts alone."""
    if rate.ceiling is None:
        return rate
    same = [(theirs, quantity) for theirs, quantity in more if theirs.window is rate.window]
    ceiling = rate.ceiling + sum((theirs.ceiling or 0) * quantity for theirs, quantity in same)
    ceiling = min(ceiling, ceiling_max(rate.algorithm, rate.window))
    burst = rate.burst
    if rate.algorithm is Algorithm.GCRA:
        if burst is not None:
            burst += sum((theirs.burst or 0) * quantity for theirs, quantity in same)
        if burst is not None or ceiling > burst_max(rate.window):
            burst = min(ceiling if burst is None else burst, burst_max(rate.window))
    return replace(rate, ceiling=ceiling, burst=burst)


def _with_number(
    feature: Slots | Licences | NamedLicences, added: Sequence[Added], licences: int
) -> Slots | Licences | NamedLicences:
    own = not isinstance(feature, Slots) and feature.per_subscription
    ceiling = licences if own else feature.ceiling
    if ceiling is None:
        return feature
    ceiling += sum((given.ceiling or 0) * quantity for given, quantity in _of(type(feature), added))
    return replace(feature, ceiling=min(CEILING_MAX, ceiling))
