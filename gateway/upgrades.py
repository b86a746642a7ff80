"""Which plans a customer who is refused is told of: a few, the next step up first, without comparing each with each."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from billing_core.entitlements import Limit, Overage, Setting, Switch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from billing_core.catalog import Plan
    from billing_core.entitlements import Entitlement, Window

UPGRADES_MAX: Final = 5
"""A choice that people can make; and each denial carries it."""


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
        overage, those of its window first; at last of plans without a ceiling. 3. Settings do not compare, and neither
        do ceilings of unlike windows: neither is more than the other. What is alike comes in the catalog's order.
        """
        offers = self._features.get(feature)
        more = iter(()) if offers is None else offers.more_than(mine)
        return tuple(islice((other for other in more if other != plan), UPGRADES_MAX))


class _Rung(NamedTuple):
    ceiling: int
    plan: str


@dataclass(slots=True)
class _Offers:
    """What the plans give of one feature, in the catalog's order, but rungs by their ceiling."""

    anything: list[str] = field(default_factory=list)
    on: list[str] = field(default_factory=list)
    rungs: defaultdict[tuple[Window, Overage], list[_Rung]] = field(default_factory=lambda: defaultdict(list))
    with_overage: list[tuple[Window, str]] = field(default_factory=list)
    unlimited: list[str] = field(default_factory=list)

    def add(self, plan: str, given: Entitlement) -> None:
        match given:
            case Switch(on=on):
                if not on:
                    return
                self.on.append(plan)
            case Setting():
                pass
            case Limit(ceiling=ceiling, window=window, overage=overage):
                if ceiling is None:
                    self.unlimited.append(plan)
                else:
                    self.rungs[window, overage].append(_Rung(ceiling, plan))
                    if overage is Overage.ALLOW:
                        self.with_overage.append((window, plan))
        self.anything.append(plan)

    def sort(self) -> None:
        for rungs in self.rungs.values():
            rungs.sort(key=_ceiling)

    def more_than(self, mine: Entitlement | None) -> Iterator[str]:
        match mine:
            case None:
                yield from self.anything
            case Switch(on=False):
                yield from self.on
            case Limit(ceiling=int(ceiling), window=window, overage=overage):
                yield from self._higher(window, overage, ceiling)
                if overage is Overage.DENY:
                    yield from (plan for _, plan in self.rungs.get((window, Overage.ALLOW), ()))
                    # Those passed over here were named just now, so that they are few or this is not reached.
                    yield from (plan for other, plan in self.with_overage if other is not window)
                yield from self.unlimited
            case _:
                return  # a switch that is on, any setting, no ceiling: nothing is more

    def _higher(self, window: Window, overage: Overage, ceiling: int) -> Iterator[str]:
        rungs = self.rungs.get((window, overage), [])
        for place in range(bisect_right(rungs, ceiling, key=_ceiling), len(rungs)):
            yield rungs[place].plan


def _ceiling(rung: _Rung) -> int:
    return rung.ceiling
