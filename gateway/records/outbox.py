"""What was decided here and moves live counters: numbered in each bucket, in the order in which it was committed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.records.queries import named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.records.database import Connection

_sql: Final = named("outbox")

OutboxMove = tuple[str, int, int, int]
"""Counter, start and end of its window in ms, amount; an end of 0 opens no window."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """What one customer's counters are to be told for one event."""

    bucket: str
    number: int
    customer: str
    document_version: int
    event_id: str
    moves: tuple[OutboxMove, ...]


async def add(
    connection: Connection, bucket: str, customer: str, version: int, event_id: str, moves: Sequence[OutboxMove]
) -> int:
    """Write a row; returns its number. Who adds to several buckets in one transaction does so in their order."""
    number: int = await connection.fetchval(_sql["next"], bucket)
    await connection.execute(_sql["add"], bucket, number, customer, version, event_id, json.dumps(moves))
    return number


async def behind(connection: Connection, heads: Mapping[str, int], count: int) -> list[OutboxRow]:
    """Read up to `count` rows of each bucket behind the number it has; whether they are marked says nothing."""
    rows = await connection.fetch(_sql["behind"], list(heads), list(heads.values()), count)
    return [
        OutboxRow(**(dict(row) | {"moves": tuple(tuple(move) for move in json.loads(row["moves"]))})) for row in rows
    ]


async def mark(connection: Connection, heads: Mapping[str, int]) -> None:
    """Say of all rows up to each bucket's number that its counters have them."""
    await connection.execute(_sql["mark"], list(heads), list(heads.values()))
