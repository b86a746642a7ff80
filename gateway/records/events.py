"""Single events, as they are looked for: to be refunded, or to see whether they are there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.records.queries import named
from gateway.records.usage import EventRow, Kind, Move

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from gateway.records.database import Connection, Row

_sql: Final = named("events")


@dataclass(frozen=True, slots=True)
class RefundRow:
    """What was given back of an event; the fingerprint is that of the request."""

    event_id: str
    customer: str
    quantity: int
    reason: str
    fingerprint: str
    refunded_at: datetime


async def hold(connection: Connection, event_ids: Collection[str]) -> list[EventRow]:
    """Read events that are there, in the order of their moments, and keep others from refunding them meanwhile."""
    return [_event(row) for row in await connection.fetch(_sql["hold"], list(event_ids))]


async def find(connection: Connection, event_ids: Collection[str]) -> dict[str, EventRow]:
    """Read events that are there, by their ids."""
    return {row["event_id"]: _event(row) for row in await connection.fetch(_sql["find"], list(event_ids))}


async def refund_of(connection: Connection, event_id: str) -> RefundRow | None:
    """Tell what was given back of an event."""
    row = await connection.fetchrow(_sql["refund"], event_id)
    return None if row is None else RefundRow(**row)


async def refund_of_request(connection: Connection, customer: str, request_id: str) -> RefundRow | None:
    """Tell what was given back on a customer's request."""
    row = await connection.fetchrow(_sql["refund_of_request"], customer, request_id)
    return None if row is None else RefundRow(**row)


async def add_refund(
    connection: Connection, event: EventRow, quantity: int, reason: str, request_id: str | None, fingerprint: str
) -> RefundRow | None:
    """Give back, once for each event and each request; None when either was used meanwhile."""
    told = (event.event_id, event.customer, quantity, reason, request_id, fingerprint)
    row = await connection.fetchrow(_sql["add_refund"], *told)
    return None if row is None else RefundRow(**row)


async def hold_customers(connection: Connection, customers: Collection[str]) -> None:
    """Let nobody else take in late usage of these customers until the transaction ends."""
    await connection.execute(_sql["hold_customers"], list(customers))


def _event(row: Row) -> EventRow:
    moves, dimensions = row["moves"], row["dimensions"]
    told = {
        "kind": Kind(row["kind"]),
        "dimensions": None if dimensions is None else json.loads(dimensions),
        "moves": None if moves is None else tuple(Move(*move) for move in json.loads(moves)),
    }
    return EventRow(**(dict(row) | told))
