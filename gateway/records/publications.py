"""Which documents changed and are not in Redis yet: written with the change, deleted when they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.records.queries import named

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.records.database import Connection

_sql: Final = named("publications")


class Customer(NamedTuple):
    """A customer, whose document is to be published."""

    customer: str


class PlanVersion(NamedTuple):
    """A plan's version, whose document is to be published."""

    plan: str
    version: int


@dataclass(frozen=True, slots=True)
class Publication:
    """Whose document is to be published, and each time that was written down."""

    subject: Customer | PlanVersion
    numbers: Sequence[int]


async def waiting(connection: Connection, count: int) -> list[Publication]:
    """Take what was written down first, held for this transaction alone; plans before customers."""
    numbers: dict[Customer | PlanVersion, list[int]] = {}
    for row in await connection.fetch(_sql["waiting"], count):
        subject = PlanVersion(row["plan"], row["version"]) if row["customer"] is None else Customer(row["customer"])
        numbers.setdefault(subject, []).append(row["publication"])
    return sorted((Publication(*one) for one in numbers.items()), key=lambda one: isinstance(one.subject, Customer))


async def all_again(connection: Connection) -> None:
    """Mark every document for publishing: Redis has lost them, or never had them."""
    await connection.execute(_sql["all_customers"])
    await connection.execute(_sql["all_plans"])


async def any_left(connection: Connection) -> bool:
    """Tell whether a document waits, also one that another publisher holds."""
    left: bool = await connection.fetchval(_sql["any_left"])
    return left


async def done(connection: Connection, published: Iterable[Publication]) -> None:
    """Strike them off."""
    await connection.execute(_sql["done"], [number for one in published for number in one.numbers])
