"""What one customer has of a feature instead of what its plan says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.errors import NotFoundError
from gateway.records.queries import named
from gateway.records.terms import Override

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.records.database import Connection
    from gateway.records.terms import Held

_sql: Final = named("overrides")


async def put(connection: Connection, held: Held, feature: str, entitlement: str, expires_at: datetime | None) -> None:
    """Give a customer an entitlement of its own, canonical, in place of one it may have had."""
    await connection.execute(_sql["set"], held.customer, feature, entitlement, expires_at)


async def remove(connection: Connection, held: Held, feature: str) -> None:
    """Let the plan's entitlement hold again. Raises NotFoundError when there is no override."""
    if await connection.fetchval(_sql["remove"], held.customer, feature) is None:
        raise NotFoundError(f"override of {feature} for customer {held.customer}")


async def every(connection: Connection, customer: str) -> list[Override]:
    """List a customer's overrides by feature, also those that are over."""
    return [Override(**row) for row in await connection.fetch(_sql["every"], customer)]
