"""What was used: events written once, their totals, and how far the streams have been written down."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.records.queries import named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    from billing_core.periods import Period
    from gateway.records.database import Connection

_sql: Final = named("usage")

Position = tuple[int, int]
"""A place in a bucket's stream: milliseconds and sequence number."""


class Kind(IntEnum):
    """What an event says."""

    USE = 0
    RESERVE = 1
    """Held, and not used: its quantity is 0, its moves are what is held."""
    END = 2
    """Of a reservation: its quantity is what was really used, its moves what that changes."""
    LATE = 3
    """What was really used of a reservation that had ended."""
    REFUND = 4
    """Given back: quantity and moves are negative."""
    INGESTED = 5
    """Told afterwards, not decided here."""


class Move(NamedTuple):
    """What a counter took in one window, or gave back."""

    counter: str
    window_start: int
    amount: int


@dataclass(frozen=True, slots=True)
class EventRow:
    """One counted use, as it is written down."""

    event_id: str
    at: datetime
    customer: str
    feature: str
    meter: str | None
    quantity: int
    document_version: int
    position: Position | None = None
    """None when it came through no stream."""
    kind: Kind = Kind.USE
    dimensions: Mapping[str, str] | None = None
    subject: str | None = None
    moves: tuple[Move, ...] | None = None
    """None when whoever wrote it did not tell."""


class CounterTotal(NamedTuple):
    """What a counter has come to in one window."""

    customer: str
    counter: str
    window_start: int
    used: int


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


async def write(connection: Connection, bucket: str, events: Sequence[EventRow]) -> list[CounterTotal]:
    """Write events and add them to the totals; an event that is there already changes nothing.

    Returns the totals of the counters that moved.
    """
    positions = [event.position or (None, None) for event in events]
    rows = await connection.fetch(
        _sql["write_events"],
        bucket,
        [event.event_id for event in events],
        [event.at for event in events],
        [event.customer for event in events],
        [event.feature for event in events],
        [event.meter for event in events],
        [event.quantity for event in events],
        [event.document_version for event in events],
        [ms for ms, _ in positions],
        [sequence for _, sequence in positions],
        [event.kind for event in events],
        [None if event.dimensions is None else json.dumps(dict(event.dimensions)) for event in events],
        [event.subject for event in events],
        [None if event.moves is None else json.dumps(event.moves) for event in events],
    )
    return [CounterTotal(row["customer"], row["counter"], row["window_start"], int(row["used"])) for row in rows]


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
