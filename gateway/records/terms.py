"""What one customer has besides its plan, as its document says it; each change is published with it."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from billing_core.periods import moment_of
from gateway.errors import NotFoundError, PreconditionError
from gateway.records.grants import Grant, GrantKind
from gateway.records.queries import named

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection
    from datetime import datetime

    from gateway.records.database import Connection, Row

_sql: Final = named("terms")


class Status(StrEnum):
    """How a subscription stands."""

    ACTIVE = "active"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    PAST_DUE = "past_due"


@dataclass(frozen=True, slots=True)
class Override:
    """An entitlement in the catalog's notation, instead of the plan's."""

    feature: str
    entitlement: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class SubscriptionTerms:
    """A customer on a plan's version, and what its subscription says besides."""

    plan: str
    plan_version: int
    started_at: datetime
    anchor: datetime
    trial_ends_at: datetime | None
    status: Status
    status_since: datetime
    add_ons: dict[str, int] = field(default_factory=dict)
    licences: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CustomerTerms:
    """Everything that a customer's document is made of; what is void, or over for a day, is not in it."""

    customer: str
    root: str
    bucket: int
    document_version: int
    timezone: str
    subscription: SubscriptionTerms | None
    grants: tuple[Grant, ...]
    overrides: tuple[Override, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """A customer that nobody else changes until the transaction ends."""

    customer: str
    subscription: int | None

    def subscribed(self) -> int:
        """Return its subscription's number; raises PreconditionError when it has none."""
        if self.subscription is None:
            raise PreconditionError(f"customer {self.customer} has no subscription; create one first")
        return self.subscription


async def documents(connection: Connection, customers: Collection[str]) -> list[CustomerTerms]:
    """Read what the documents of customers say, all in one query; who is not known is left out."""
    return [_terms(row) for row in await connection.fetch(_sql["documents"], list(customers))]


async def read(connection: Connection, customer: str) -> CustomerTerms:
    """Read what one customer has. Raises NotFoundError."""
    for terms in await documents(connection, (customer,)):
        return terms
    raise _unknown(customer)


@contextlib.asynccontextmanager
async def changing(connection: Connection, customer: str) -> AsyncIterator[Held]:
    """Change what a customer has: at the end its document has the next version, and waits to be published.

    Raises NotFoundError for an unknown customer; an exception inside leaves all as it was, with its transaction.
    """
    row = await connection.fetchrow(_sql["hold"], customer)
    if row is None:
        raise _unknown(customer)
    yield Held(**row)
    await connection.fetchval(_sql["changed"], customer)
    await connection.execute(_sql["publish"], customer)


async def set_add_on(connection: Connection, held: Held, add_on: str, quantity: int) -> None:
    """Let a subscription have so many of an add-on, from 1 to a million."""
    await connection.execute(_sql["set_add_on"], held.subscribed(), add_on, quantity)


async def remove_add_on(connection: Connection, held: Held, add_on: str) -> None:
    """Take an add-on away. Raises NotFoundError when the subscription has none."""
    if await connection.fetchval(_sql["remove_add_on"], held.subscribed(), add_on) is None:
        raise NotFoundError(f"add-on {add_on} on the subscription of customer {held.customer}")


async def set_licences(connection: Connection, held: Held, feature: str, quantity: int) -> None:
    """Let a subscription have so many licences of a feature."""
    await connection.execute(_sql["set_licences"], held.subscribed(), feature, quantity)


async def set_trial(connection: Connection, held: Held, ends_at: datetime) -> None:
    """Say when a subscription's trial ends, or that it has ended."""
    await connection.execute(_sql["set_trial"], held.subscribed(), ends_at)


async def set_status(connection: Connection, held: Held, status: Status) -> datetime:
    """Change how a subscription stands; returns since when it does."""
    since: datetime = await connection.fetchval(_sql["set_status"], held.subscribed(), status)
    return since


async def set_timezone(connection: Connection, held: Held, timezone: str) -> None:
    """Say by which clocks a customer's calendar windows begin, by an IANA name."""
    await connection.execute(_sql["set_timezone"], held.customer, timezone)


def _unknown(customer: str) -> NotFoundError:
    return NotFoundError(f"customer {customer}; create it with: tollkeeper customer create {customer}")


def _terms(row: Row) -> CustomerTerms:
    subscription = None
    if row["plan"] is not None:
        told = {name: row[name] for name in ("plan", "plan_version", "started_at", "anchor", "trial_ends_at")}
        status = Status(row["status"])
        add_ons, licences = (json.loads(row[name] or "{}") for name in ("add_ons", "licences"))
        subscription = SubscriptionTerms(
            **told, status=status, status_since=row["status_since"], add_ons=add_ons, licences=licences
        )
    return CustomerTerms(
        *(row["customer"], row["root"], row["bucket"], row["document_version"], row["timezone"], subscription),
        tuple(_grant(row["customer"], *told) for told in json.loads(row["grants"] or "[]")),
        tuple(
            Override(feature, entitlement, _moment(ends_ms))
            for feature, entitlement, ends_ms in json.loads(row["overrides"] or "[]")
        ),
    )


def _grant(
    customer: str,
    grant_id: int,
    feature: str,
    amount: int,
    kind: str,
    priority: int,
    effective_ms: int,
    expires_ms: int | None,
    created_ms: int,
) -> Grant:
    moments = moment_of(effective_ms), _moment(expires_ms), moment_of(created_ms)
    return Grant(grant_id, customer, feature, amount, GrantKind(kind), priority, *moments, None)


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else moment_of(milliseconds)
