"""Which plans a customer who is refused is told of: a few, the next step up first, without comparing each with each."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple, assert_never

from billing_core.entitlements import (
    CEILING_MAX,
    Concurrency,
    Licences,
    Limit,
    NamedLicences,
    Overage,
    OverageCap,
    PerSubscription,
    Rates,
    Setting,
    Switch,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence

    from billing_core.catalog import Plan
    from billing_core.entitlements import Entitlement, Rate

UPGRADES_MAX: Final = 5
"""A choice that people can make; and each denial carries it."""

LOOKS_MAX: Final = 100
"""Among plans of several rates, so many are looked at: the first of which is higher need not be in all."""


class Upgrades:
    """The plans in force, sorted once for each feature; a plan's own steps are then a few looks."""

    def __init__(self, plans: Iterable[Plan]) -> None:
        self._features: defaultdict[str, _Offers] = defaultdict(_Offers)
        for plan in plans:
            for feature, given in plan.entitlements.items():
                self._features[feature].add(plan.name, given)
        for offers in self._features.values():
            offers.sort()

    def of(self, plan: str, feature: str, mine: Entitlement | None) -> tuple[str, ...]:
        """Name the plans that give more of a feature than `mine`, at most UPGRADES_MAX; no version of `plan` itself.

        1. Who has nothing of it is told of plans that have it; a switch that is off is nothing. 2. Who has a limit is
        told first of higher ceilings of its window, the lowest first; where there is no overage, then of ceilings with
        overage, those of its window first; at last of plans without a ceiling. What overage is capped at is a ceiling.
        3. Of several rates none may be lower. 4. Settings, numbers of a subscription's own, and ceilings of unlike
        windows do not compare: neither is more than the other. What is alike comes in the catalog's order.
        """
        offers = self._features.get(feature)
        more = iter(()) if offers is None else offers.more_than(mine)
        return tuple(islice((other for other in more if other != plan), UPGRADES_MAX))


class _Rung(NamedTuple):
    ceilings: tuple[int, ...]
    plan: str


class _Rank(NamedTuple):
    """Where a limit stands among those of its kind; without ceilings it is above all."""

    kind: Hashable
    overage: bool
    ceilings: tuple[int, ...] | None


@dataclass(slots=True)
class _Offers:
    """What the plans give of one feature, in the catalog's order, but rungs by their ceilings."""

    anything: list[str] = field(default_factory=list)
    on: list[str] = field(default_factory=list)
    rungs: defaultdict[tuple[Hashable, bool], list[_Rung]] = field(default_factory=lambda: defaultdict(list))
    with_overage: list[tuple[Hashable, str]] = field(default_factory=list)
    unlimited: list[str] = field(default_factory=list)

    def add(self, plan: str, given: Entitlement) -> None:
        if given == Switch(on=False):
            return
        if isinstance(given, Switch):
            self.on.append(plan)
        elif (rank := _rank(given)) is not None:
            if rank.ceilings is None:
                self.unlimited.append(plan)
            else:
                self.rungs[rank.kind, rank.overage].append(_Rung(rank.ceilings, plan))
                if rank.overage:
                    self.with_overage.append((rank.kind, plan))
        self.anything.append(plan)

    def sort(self) -> None:
        for rungs in self.rungs.values():
            rungs.sort(key=_ceilings)

    def more_than(self, mine: Entitlement | None) -> Iterator[str]:
        if mine is None:
            yield from self.anything
        elif mine == Switch(on=False):
            yield from self.on
        elif (rank := _rank(mine)) is not None and rank.ceilings is not None:
            yield from self._higher(rank.kind, rank.overage, rank.ceilings)
            if not rank.overage:
                yield from (plan for _, plan in self.rungs.get((rank.kind, True), ()))
                # Those passed over here were named just now, so that they are few or this is not reached.
                yield from (plan for other, plan in self.with_overage if other != rank.kind)
            yield from self.unlimited

    def _higher(self, kind: Hashable, overage: bool, ceilings: tuple[int, ...]) -> Iterator[str]:
        rungs = self.rungs.get((kind, overage), [])
        first = bisect_right(rungs, ceilings, key=_ceilings)
        for place in range(first, min(len(rungs), first + LOOKS_MAX)):
            if all(theirs >= mine for theirs, mine in zip(rungs[place].ceilings, ceilings, strict=True)):
                yield rungs[place].plan


def _rank(given: Entitlement) -> _Rank | None:
    """Rank a limit; None for what does not compare."""
    match given:
        case Switch() | Setting():
            return None
        case Limit(ceiling=ceiling, window=window, overage=overage):
            hard = overage.units if isinstance(overage, OverageCap) else 0
            return _Rank(window, overage is Overage.ALLOW, None if ceiling is None else (ceiling + hard,))
        case Rates(rates=rates):
            return _rank_of_rates(rates)
        case Concurrency(ceiling=ceiling):
            kind: Hashable = Concurrency
        case Licences(ceiling=ceiling):
            kind = Licences
        case NamedLicences(ceiling=ceiling, counted=counted):
            kind = counted
        case _:
            assert_never(given)
    if isinstance(ceiling, PerSubscription):
        return None
    return _Rank(kind, overage=False, ceilings=None if ceiling is None else (ceiling,))


def _rank_of_rates(rates: Sequence[Rate]) -> _Rank:
    by_kind = sorted(rates, key=lambda rate: (rate.window.value, rate.algorithm.value))
    if all(rate.ceiling is None for rate in by_kind):
        return _Rank(Rates, overage=False, ceilings=None)
    kind = tuple((rate.window, rate.algorithm) for rate in by_kind)
    return _Rank(kind, overage=False, ceilings=tuple(_rate_height(rate) for rate in by_kind))


def _rate_height(rate: Rate) -> int:
    return CEILING_MAX + 1 if rate.ceiling is None else rate.ceiling


def _ceilings(rung: _Rung) -> tuple[int, ...]:
    return rung.ceilings
