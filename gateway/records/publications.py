"""Which documents changed and are not in Redis yet: written with the change, deleted when they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.records.queries import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.records.database import Connection

_sql: Final = named("publications")


@dataclass(frozen=True, slots=True)
class Publication:
    """A customer's document, or that of a plan's version, is to be published."""

    number: int
    customer: str | None
    plan: str | None
    version: int | None


async def waiting(connection: Connection, count: int) -> list[Publication]:
    """Take the oldest ones, held for this transaction alone."""
    rows = await connection.fetch(_sql["waiting"], count)
    return [Publication(row["publication"], row["customer"], row["plan"], row["version"]) for row in rows]


async def all_again(connection: Connection) -> None:
    """Mark every document for publishing: Redis has lost them, or never had them."""
    await connection.execute(_sql["all_customers"])
    await connection.execute(_sql["all_plans"])


async def any_left(connection: Connection) -> bool:
    """Tell whether a document waits, also one that another publisher holds."""
    left: bool = await connection.fetchval(_sql["any_left"])
    return left


async def done(connection: Connection, numbers: Sequence[int]) -> None:
    """Strike them off."""
    await connection.execute(_sql["done"], numbers)
