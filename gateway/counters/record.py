"""What is sent to record.lua and what comes back: how live counters hear of what was decided in Postgres."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from enum import Enum
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.counters import keys
from gateway.errors import StoreCorruptError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.counters.connection import Argument, Connection

SCRIPT: Final = files("gateway.counters").joinpath("record.lua").read_text(encoding="utf-8")

MOVES_MAX: Final = 100
"""More in one row would keep Redis from everybody else."""

_MOVED: Final = struct.Struct(">cQ")
_LETTERS: Final = frozenset((b"M", b"O", b"C", b"S"))


class Refused(Enum):
    """Why nothing was moved."""

    FENCED = b"FENCED"
    """The bucket's line is another."""
    BEFORE = b"BEFORE"
    """This row was applied before."""
    GAP = b"GAP"
    """Rows before this one were not."""


class LiveMove(NamedTuple):
    """What a counter is to take in one window, or to give back; without an end it opens no window."""

    counter: str
    window_start_ms: int
    window_end_ms: int
    amount: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """A row that was applied, with what became of each of its moves."""

    letters: tuple[bytes, ...]
    missing: tuple[int, ...]
    """What each counter held too little of to give it back."""


async def record(
    connection: Connection, bucket: int, customer: str, line: str, number: int, version: int, moves: Sequence[LiveMove]
) -> Recorded | Refused:
    """Apply a row of the outbox, if it is the next one of its bucket."""
    assert 0 < len(moves) <= MOVES_MAX, f"{len(moves)} moves in a row"
    words: list[Argument] = [word for move in moves for word in move]
    places = keys.head(bucket), keys.use(bucket, customer)
    reply = await connection.call("EVAL", SCRIPT, 2, *places, line, number, version, *words)
    if isinstance(reply, bytes) and len(reply) == _MOVED.size * len(moves):
        letters, missing = zip(*_MOVED.iter_unpack(reply), strict=True)
        if _LETTERS.issuperset(letters):
            return Recorded(letters, missing)
    if reply in {one.value for one in Refused}:
        return Refused(reply)
    raise StoreCorruptError(f"record.lua answered {len(moves)} moves with {reply!r:.200}")


async def heads(connection: Connection) -> list[int]:
    """Tell which row each bucket has applied last; 0 where it has none."""
    held = await asyncio.gather(
        *(connection.call("HGET", keys.head(bucket), "outbox") for bucket in range(keys.BUCKETS))
    )
    return [int(number) if isinstance(number, bytes) else 0 for number in held]
