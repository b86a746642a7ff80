"""Which levels of a limit its counter has reached: decided in the transaction that writes its total.

A level is a percentage of the ceiling that holds when it is decided. It is reached once for each window and ceiling:
what is given back takes none away, and a limit that is raised has levels of its own.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from billing_core.entitlements import Limit, MeteredFeature
from gateway.catalog_file import parse_catalog, parse_entitlement
from gateway.records import catalogs
from gateway.records import thresholds as records
from gateway.records.thresholds import Crossing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.records.database import Connection
    from gateway.records.thresholds import OnPlan, OverrideRow
    from gateway.records.usage import CounterTotal

REMEMBERED_MAX: Final = 100_000


class Levels(NamedTuple):
    """The levels of one limit, in percent of its ceiling, and until when it holds."""

    feature: str
    ceiling: int
    levels: tuple[int, ...]
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Watched:
    """What is watched for a customer, by counter; of several limits of a counter the first that holds."""

    document_version: int
    limits: dict[str, list[Levels]]


class Thresholds:
    """Remembers customers' limits by the version of their document, and those of plans for ever."""

    def __init__(self) -> None:
        self._customers: dict[str, _Watched] = {}
        self._plans: dict[tuple[str, int], dict[str, Levels]] = {}

    async def cross(self, transaction: Connection, changed: Sequence[CounterTotal]) -> list[Crossing]:
        """Write down which levels the totals that changed have reached; returns those that are new."""
        if not changed:
            return []
        watched = await self._watched(transaction, {total.customer for total in changed})
        now = datetime.now(UTC)
        found = [
            crossing
            for total in changed
            if total.customer in watched
            for crossing in reached(total, watched[total.customer].limits.get(total.counter, []), now)
        ]
        return await records.cross(transaction, found)

    async def _watched(self, transaction: Connection, customers: set[str]) -> dict[str, _Watched]:
        """Look up who is on what, and read again only those whose document is another."""
        on_plans = await records.plans(transaction, customers)
        if len(self._customers) + len(on_plans) > REMEMBERED_MAX:
            self._customers.clear()
        stale = [one for one in on_plans if not self._knows(one)]
        overrides = await records.overrides(transaction, {one.customer for one in stale}) if stale else []
        for one in stale:
            of_plan = await self._plan(transaction, one)
            own = [row for row in overrides if row.customer == one.customer]
            self._customers[one.customer] = _Watched(one.document_version, _merged(of_plan, own))
        return {one.customer: self._customers[one.customer] for one in on_plans}

    def _knows(self, one: OnPlan) -> bool:
        known = self._customers.get(one.customer)
        return known is not None and known.document_version == one.document_version

    async def _plan(self, transaction: Connection, one: OnPlan) -> dict[str, Levels]:
        if one.plan is None or one.plan_version is None:
            return {}
        key = one.plan, one.plan_version
        if key not in self._plans:
            stored = await catalogs.plan_version(transaction, *key)
            assert stored is not None, "a subscription names a plan version that exists"
            sold = await asyncio.to_thread(parse_catalog, stored.definition)
            given = sold.plans[one.plan].entitlements.items()
            self._plans[key] = dict(
                _levels(feature, limit)
                for feature, limit in given
                if isinstance(limit, Limit) and isinstance(sold.features[feature], MeteredFeature)
            )
        return self._plans[key]


def reached(total: CounterTotal, limits: Sequence[Levels], now: datetime) -> list[Crossing]:
    """Tell which levels of the limit that holds now a total has reached."""
    for limit in limits:
        if limit.expires_at is None or now < limit.expires_at:
            return [
                Crossing(total.customer, limit.feature, *total[1:3], level, limit.ceiling, total.used)
                for level in limit.levels
                if total.used > 0 and total.used * 100 >= limit.ceiling * level
            ]
    return []


def _merged(of_plan: dict[str, Levels], overrides: Sequence[OverrideRow]) -> dict[str, list[Levels]]:
    """Put what a customer has of its own before what its plan gives; while it holds, the plan's is not watched."""
    merged: dict[str, list[Levels]] = {}
    own = {row.feature: row for row in overrides}
    for counter, levels in of_plan.items():
        row = own.get(levels.feature)
        if row is None:
            merged[counter] = [levels]
        elif row.expires_at is not None:
            merged[counter] = [levels._replace(levels=(), expires_at=row.expires_at), levels]
    for row in overrides:
        given = json.loads(row.entitlement)
        if not isinstance(given, dict) or "thresholds" not in given:
            continue
        limit = parse_entitlement(row.entitlement, MeteredFeature(row.feature, row.feature))
        assert isinstance(limit, Limit)
        counter, levels = _levels(row.feature, limit)
        merged[counter] = [levels._replace(expires_at=row.expires_at), *merged.get(counter, [])[-1:]]
    return merged


def _levels(feature: str, limit: Limit) -> tuple[str, Levels]:
    """Say what the counter of a limit is called, and its levels; an unlimited one has none."""
    return f"{feature}:{limit.window.value}", Levels(feature, limit.ceiling or 0, limit.thresholds)
