"""Which quantities a customer may use besides its plan: given, listed, taken away."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from gateway.errors import NotFoundError
from gateway.records.queries import named

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.records.database import Connection, Row

_sql: Final = named("grants")


class GrantKind(StrEnum):
    """Bought, or given away: what was given away burns first."""

    TOP_UP = "top_up"
    PROMOTIONAL = "promotional"


@dataclass(frozen=True, slots=True)
class NewGrant:
    """A grant to be given; it is effective at once where it does not say when."""

    feature: str
    amount: int
    kind: GrantKind
    priority: int
    effective_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """A quantity of a feature that a customer may use between two moments; the lower priority burns first."""

    grant_id: int
    customer: str
    feature: str
    amount: int
    kind: GrantKind
    priority: int
    effective_at: datetime
    expires_at: datetime | None
    created_at: datetime
    voided_at: datetime | None


async def add(connection: Connection, customer: str, new: NewGrant) -> Grant:
    """Give a customer a grant."""
    told = (new.feature, new.amount, new.kind, new.priority, new.effective_at, new.expires_at)
    row = await connection.fetchrow(_sql["add"], customer, *told)
    assert row is not None
    return _grant(row)


async def every(connection: Connection, customer: str) -> list[Grant]:
    """List every grant that a customer was ever given, the oldest first."""
    return [_grant(row) for row in await connection.fetch(_sql["every"], customer)]


async def owner(connection: Connection, grant_id: int) -> str:
    """Tell whose grant it is. Raises NotFoundError."""
    customer: str | None = await connection.fetchval(_sql["owner"], grant_id)
    if customer is None:
        raise NotFoundError(f"grant {grant_id}; see: tollkeeper grant list CUSTOMER")
    return customer


async def void(connection: Connection, grant_id: int) -> bool:
    """Take away what is left of a grant; False when that was done before."""
    return await connection.fetchval(_sql["void"], grant_id) is not None


def _grant(row: Row) -> Grant:
    return Grant(**(dict(row) | {"kind": GrantKind(row["kind"])}))
