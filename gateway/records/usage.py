"""What was used: events written once, their totals, and how far the streams have been written down."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.records.queries import named

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from decimal import Decimal

    from billing_core.periods import Period
    from gateway.records.database import Connection

_sql: Final = named("usage")

Position = tuple[int, int]
"""A place in a bucket's stream: milliseconds and sequence number."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """One counted use, as it is written down."""

    event_id: str
    at: datetime
    customer: str
    feature: str
    meter: str
    quantity: int
    document_version: int
    position: Position


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """One entry that nobody could read."""

    position: Position
    fields: dict[str, str]
    why: str


async def watermarks(connection: Connection) -> dict[str, Position]:
    """Tell how far each bucket is written down; a bucket that is missing was never flushed."""
    return {row["bucket"]: (row["ms"], row["sequence"]) for row in await connection.fetch(_sql["watermarks"])}


async def advance(connection: Connection, bucket: str, seen: Position, to: Position) -> bool:
    """Move a bucket's watermark from where it was `seen`; False when another flusher has moved it."""
    if seen == (0, 0):
        await connection.execute(_sql["create_watermark"], bucket)
    return await connection.fetchval(_sql["advance_watermark"], bucket, *seen, *to) is not None


async def write(connection: Connection, bucket: str, events: Sequence[EventRow]) -> None:
    """Write events and add them to the totals; an event that is there already changes nothing."""
    await connection.execute(
        _sql["write_events"],
        bucket,
        [event.event_id for event in events],
        [event.at for event in events],
        [event.customer for event in events],
        [event.feature for event in events],
        [event.meter for event in events],
        [event.quantity for event in events],
        [event.document_version for event in events],
        [event.position[0] for event in events],
        [event.position[1] for event in events],
    )


async def quarantine(connection: Connection, bucket: str, rows: Sequence[QuarantineRow]) -> None:
    """Keep aside what could not be read."""
    for row in rows:
        await connection.execute(_sql["quarantine"], bucket, *row.position, json.dumps(row.fields), row.why)


async def totals(connection: Connection, customer: str, period: Period) -> dict[str, Decimal]:
    """Sum a customer's use of each meter in a period that starts and ends on the hour."""
    assert period.start.minute == 0
    assert period.end.minute == 0
    rows = await connection.fetch(_sql["totals"], customer, period.start, period.end)
    return {row["meter"]: row["quantity"] for row in rows}
