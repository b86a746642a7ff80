"""What was counted is written down: a bucket's entries become rows, totals, levels and a watermark in one commit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from billing_core.periods import moment_of
from gateway.counters import keys, usage
from gateway.counters.reconnect import stay_connected
from gateway.counters.usage import StreamId, UsageEvent
from gateway.errors import StoreCorruptError, StoreUnavailableError
from gateway.records import usage as records
from gateway.records.usage import EventRow, Kind, Move, QuarantineRow
from gateway.telemetry import Event, log
from gateway.thresholds import Thresholds

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.counters.connection import Address, Connection
    from gateway.records.database import Database

TRIM_EVERY_S: Final = 1.0


class Flusher:
    """Runs behind the counters; bounded in time by `delay_ms_max` and in size by `batch_max` entries a bucket."""

    def __init__(
        self,
        database: Database,
        address: Address,
        line: Callable[[], str | None],
        *,
        delay_ms_max: int,
        batch_max: int,
    ) -> None:
        """`line` tells what every bucket's line must be for its entries to be ours; None while no epoch is open."""
        self._database = database
        self._address = address
        self._line = line
        self._delay_s = delay_ms_max / 1000
        self._batch_max = batch_max
        self._thresholds = Thresholds()
        self._untrimmed: set[int] = set()
        self._now_s = asyncio.get_running_loop().time
        self._trimmed_s = -TRIM_EVERY_S
        self._life: asyncio.Task[None] | None = None

    # start → flush → stop

    async def start(self) -> None:
        """Begin to flush."""
        self._life = asyncio.create_task(stay_connected(self._address, self._serve))

    async def stop(self) -> None:
        """Stop between two steps or in one: whatever was not committed is read again."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)

    async def _serve(self, connection: Connection) -> None:
        self._untrimmed = set(range(keys.BUCKETS))
        while not connection.lost:
            try:
                more = await self.flush(connection)
            except StoreUnavailableError as error:
                if connection.lost:
                    raise
                more = False
                log.warning(Event.FLUSH_FAILED, error=str(error))
                await asyncio.sleep(1)
            if not more:
                await asyncio.sleep(self._delay_s)

    async def flush(self, connection: Connection) -> bool:
        """Write down what every bucket has; True when a bucket had more than one batch.

        Each bucket: read behind the watermark → one transaction → trim what is committed. Killed between any two of
        these, the next flush reads the same entries again and finds them written, or not.
        """
        expected = self._line()
        if expected is None:
            return False
        async with self._database.transaction() as transaction:
            written = await records.watermarks(transaction)
        marks = [StreamId(*written.get(keys.tag(bucket), (0, 0))) for bucket in range(keys.BUCKETS)]
        reading = (usage.read(connection, bucket, mark, self._batch_max) for bucket, mark in enumerate(marks))
        more, ours = False, set[int]()
        for bucket, found in enumerate(await asyncio.gather(*reading, return_exceptions=True)):
            if isinstance(found, StoreCorruptError):
                log.error(Event.FLUSH_FAILED, bucket=keys.tag(bucket), error=str(found))
                continue
            if isinstance(found, BaseException):
                raise found
            if found.line != expected:
                continue
            if found.entries:
                more = more or len(found.entries) == self._batch_max
                if not await self._write(bucket, marks[bucket], found.entries):
                    continue  # how far the other flusher came is read with the next flush
                marks[bucket] = found.entries[-1].stream_id
                self._untrimmed.add(bucket)
            ours.add(bucket)
        if self._now_s() - self._trimmed_s >= TRIM_EVERY_S:
            self._trimmed_s = self._now_s()
            await self._trim(connection, {bucket: marks[bucket] for bucket in ours & self._untrimmed})
        return more

    async def _write(self, bucket: int, mark: StreamId, entries: list[UsageEvent | usage.UnreadableEntry]) -> bool:
        """Rows, totals, levels, quarantine and watermark in one transaction; False, and nothing, if another has."""
        name = keys.tag(bucket)
        events = [_row(entry) for entry in entries if isinstance(entry, UsageEvent)]
        broken = [
            QuarantineRow(entry.stream_id, entry.fields, entry.why)
            for entry in entries
            if not isinstance(entry, UsageEvent)
        ]
        async with self._database.transaction() as transaction:
            if not await records.advance(transaction, name, mark, entries[-1].stream_id):
                return False
            changed = await records.write(transaction, name, events)
            await self._thresholds.cross(transaction, changed)
            await records.quarantine(transaction, name, broken)
        for row in broken:
            log.error(Event.ENTRY_QUARANTINED, bucket=name, stream_id=str(StreamId(*row.position)), why=row.why)
        return True

    async def _trim(self, connection: Connection, marks: dict[int, StreamId]) -> None:
        """Drop committed entries that are old enough; a bucket is done when its last one was."""
        time = await connection.call("TIME")
        assert isinstance(time, list)
        now_ms = int(time[0]) * 1000 + int(time[1]) // 1000
        await asyncio.gather(*(usage.trim(connection, bucket, mark, now_ms) for bucket, mark in marks.items()))
        self._untrimmed -= {bucket for bucket, mark in marks.items() if mark.ms < now_ms - usage.LOOK_BACK_MS}


def _row(event: UsageEvent) -> EventRow:
    claim = event.claim
    return EventRow(
        event_id=event.id,
        at=moment_of(event.at_ms),
        customer=claim.customer,
        feature=claim.feature,
        meter=claim.meter,
        quantity=claim.quantity,
        document_version=claim.version,
        position=event.stream_id,
        kind=Kind(claim.kind),
        dimensions=claim.dimensions,
        subject=claim.subject,
        moves=None if event.moves is None else tuple(Move(*move) for move in event.moves),
    )
