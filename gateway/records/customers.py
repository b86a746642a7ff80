"""Whom something is sold to, and on which plan they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.errors import AlreadyExistsError, NotFoundError
from gateway.records.queries import named

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.records.database import Connection

_sql: Final = named("customers")


@dataclass(frozen=True, slots=True)
class Subscription:
    """A customer on a plan's version; billing periods are counted from `anchor`."""

    subscription: int
    plan: str
    plan_version: int
    started_at: datetime
    anchor: datetime


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """A customer as it is written down."""

    customer: str
    root: str
    bucket: int
    document_version: int
    subscription: Subscription | None


async def add(connection: Connection, customer: str, bucket: int) -> datetime:
    """Create a customer that is its own root; returns when. Raises AlreadyExistsError."""
    created_at: datetime | None = await connection.fetchval(_sql["add_customer"], customer, customer, bucket)
    if created_at is None:
        raise AlreadyExistsError(f"customer {customer}")
    await connection.execute(_sql["publish_customer"], customer)
    return created_at


async def read(connection: Connection, customer: str) -> CustomerRow:
    """Read a customer. Raises NotFoundError."""
    row = await connection.fetchrow(_sql["customer"], customer)
    if row is None:
        raise NotFoundError(f"customer {customer}; create it with: tollkeeper customer create {customer}")
    subscription = None
    if row["subscription"] is not None:
        subscription = Subscription(
            row["subscription"], row["plan"], row["plan_version"], row["started_at"], row["anchor"]
        )
    return CustomerRow(row["customer"], row["root"], row["bucket"], row["document_version"], subscription)


async def subscribe(connection: Connection, customer: str, plan: str) -> Subscription:
    """Start a subscription on the plan's newest version.

    Raises NotFoundError for an unknown customer or plan, AlreadyExistsError when the customer has a subscription.
    """
    if await connection.fetchval(_sql["lock_customer"], customer) is None:
        await read(connection, customer)
    version = await connection.fetchval(_sql["newest_version"], plan)
    if version is None:
        raise NotFoundError(f"plan {plan}; apply a catalog that has it")
    if await connection.fetchval(_sql["add_subscription"], customer, plan, version) is None:
        raise AlreadyExistsError(f"customer {customer} has a subscription")
    await connection.execute(_sql["change_document"], customer)
    await connection.execute(_sql["publish_customer"], customer)
    subscription = (await read(connection, customer)).subscription
    assert subscription is not None
    return subscription
