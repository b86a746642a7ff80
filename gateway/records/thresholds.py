"""Which levels of which limits were reached, each once; and what a customer's limits are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.records.queries import named

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from gateway.records.database import Connection

_sql: Final = named("thresholds")


class Crossing(NamedTuple):
    """A window of a counter has reached so many percent of a ceiling."""

    customer: str
    feature: str
    counter: str
    window_start: int
    level: int
    ceiling: int
    used: int


@dataclass(frozen=True, slots=True)
class OnPlan:
    """What a customer is on, as of a version of its document; without a subscription there is no plan."""

    customer: str
    document_version: int
    plan: str | None
    plan_version: int | None


@dataclass(frozen=True, slots=True)
class OverrideRow:
    """What a customer has of a feature instead of what its plan says, in the catalog's notation."""

    customer: str
    feature: str
    entitlement: str
    expires_at: datetime | None


async def plans(connection: Connection, customers: Collection[str]) -> list[OnPlan]:
    """Tell what customers are on; who is not known is left out."""
    return [OnPlan(**row) for row in await connection.fetch(_sql["plans"], list(customers))]


async def overrides(connection: Connection, customers: Collection[str]) -> list[OverrideRow]:
    """List what customers have of their own."""
    return [OverrideRow(**row) for row in await connection.fetch(_sql["overrides"], list(customers))]


async def cross(connection: Connection, reached: Sequence[Crossing]) -> list[Crossing]:
    """Write down the levels that had not been reached before; returns just these."""
    if not reached:
        return []
    rows = await connection.fetch(_sql["cross"], *map(list, zip(*reached, strict=True)))
    return [Crossing(*row.values())._replace(used=int(row["used"])) for row in rows]
