"""When live counters hear of what was decided in Postgres: each bucket's rows in order, once, whatever breaks between.

What a bucket has heard stands in its head in Redis, and that alone is believed: a Redis that fell back to an older
state, under a line that holds, hears again what it has forgotten.
"""

from __future__ import annotations

import asyncio
from itertools import groupby
from typing import TYPE_CHECKING, Final

from gateway.counters import keys
from gateway.counters.reconnect import stay_connected
from gateway.counters.record import LiveMove, Recorded, Refused, heads, record
from gateway.errors import StoreUnavailableError
from gateway.records import outbox as records
from gateway.telemetry import Event, log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.counters.connection import Address, Connection
    from gateway.records.database import Database
    from gateway.records.outbox import OutboxRow

BATCH: Final = 100
LOOK_EVERY_S: Final = 0.2


class Outbox:
    """Runs behind refunds and late usage; `line` is what every bucket's line must be, None while no epoch is open."""

    def __init__(self, database: Database, address: Address, line: Callable[[], str | None]) -> None:
        self._database = database
        self._address = address
        self._line = line
        self._heads: dict[str, int] = {}
        self._heads_of: tuple[Connection, str] | None = None
        self._life: asyncio.Task[None] | None = None

    # start → apply → stop

    async def start(self) -> None:
        """Begin to apply what waits, and what will."""
        self._life = asyncio.create_task(stay_connected(self._address, self._serve))

    async def stop(self) -> None:
        """Stop between two steps or in one: what was applied and not marked is found so."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)

    async def _serve(self, connection: Connection) -> None:
        while not connection.lost:
            try:
                more = await self.apply(connection)
            except StoreUnavailableError as error:
                if connection.lost:
                    raise
                more = False
                log.warning(Event.OUTBOX_FAILED, error=str(error))
                await asyncio.sleep(1)
            if not more:
                await asyncio.sleep(LOOK_EVERY_S)

    async def apply(self, connection: Connection) -> bool:
        """Apply the next rows of every bucket, then mark them; True when some bucket may have more.

        Killed between any two of these, the next one asks the heads, and goes on from there.
        """
        line = self._line()
        if line is None:
            return False
        if self._heads_of != (connection, line):
            told = await heads(connection)
            self._heads = {keys.tag(bucket): told[bucket] for bucket in range(keys.BUCKETS)}
            self._heads_of = connection, line
        async with self._database.transaction() as transaction:
            rows = await records.behind(transaction, self._heads, BATCH)
        if not rows:
            return False
        by_bucket = [list(of_bucket) for _, of_bucket in groupby(rows, key=lambda row: row.bucket)]
        applying = (self._apply_bucket(connection, line, of_bucket) for of_bucket in by_bucket)
        done = await asyncio.gather(*applying, return_exceptions=True)
        reached = {of_bucket[0].bucket: self._heads[of_bucket[0].bucket] for of_bucket in by_bucket}
        async with self._database.transaction() as transaction:
            await records.mark(transaction, reached)
        for ended in done:
            if isinstance(ended, BaseException):
                raise ended
        return all(done)

    async def _apply_bucket(self, connection: Connection, line: str, rows: Iterable[OutboxRow]) -> bool:
        """Apply rows of one bucket, one after the other; False, and no further, where one is refused."""
        for row in rows:
            moves = [LiveMove(*move) for move in row.moves]
            place = keys.bucket_of_tag(row.bucket)
            done = await record(connection, place, row.customer, line, row.number, row.document_version, moves)
            if done in (Refused.FENCED, Refused.GAP):
                self._heads_of = None
                log.warning(Event.OUTBOX_FAILED, error=f"bucket {row.bucket} refuses row {row.number}: {done}")
                return False
            if isinstance(done, Recorded):
                _report_missing(row, done)
            self._heads[row.bucket] = row.number
        return True


def _report_missing(row: OutboxRow, done: Recorded) -> None:
    """Say what a counter held too little of: it was counted elsewhere, or Redis lost it; the records are right."""
    for move, missing in zip(row.moves, done.missing, strict=True):
        if missing:
            log.error(
                Event.GIVE_BACK_SHORT,
                bucket=row.bucket,
                number=row.number,
                customer=row.customer,
                counter=move[0],
                missing=missing,
            )
