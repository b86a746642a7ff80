"""Who decides that the counters may be believed: opens an epoch where nothing can be missing, and else says why not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.counters import keys, usage
from gateway.counters.line import Line, identify
from gateway.counters.publish import announce
from gateway.counters.reconnect import stay_connected
from gateway.errors import StoreCorruptError, StoreUnavailableError
from gateway.records import deployment as records
from gateway.records import usage as written
from gateway.telemetry import Event, log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.counters.connection import Address, Connection
    from gateway.counters.usage import StreamId
    from gateway.records.database import Database
    from gateway.records.deployment import Deployment

CHECK_EVERY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Holds:
    """Every line is that of the running epoch: nothing to do."""


@dataclass(frozen=True, slots=True)
class Open:
    """Nothing can be missing: the next epoch may open."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Closed:
    """Something may be missing: no metered claim is admitted."""

    why: str


def judge(
    deployment: Deployment,
    replid: str,
    lines: Sequence[Line | None],
    last_ids: Sequence[StreamId],
    watermarks: Sequence[StreamId],
) -> Holds | Open | Closed:
    """Decide from what Postgres knows and what Redis holds, each sequence by bucket.

    1. Both stores are new: the first epoch. 2. A bucket has lost its line. 3. A line is not ours: another deployment,
    or another time. 4. A stream ends before what was already written down. 5. All is there, on this very Redis, in the
    running epoch. 6. All is there on a Redis that started anew: the next epoch, or again the one that was not opened
    everywhere.
    """
    new = not any(lines) and not any(last.ms for last in last_ids)
    if new and deployment.epoch == 0 and not any(mark.ms for mark in watermarks):
        return Open(1)
    unborn = deployment.epoch == 1 and not deployment.opened  # the first opening was cut short
    for bucket, line in enumerate(lines):
        if line is None and unborn and not last_ids[bucket].ms and not watermarks[bucket].ms:
            continue
        if line is None:
            return Closed(f"bucket {keys.tag(bucket)} has lost its line: Redis lost data, or is another Redis")
        epochs = {deployment.epoch} if deployment.opened else {deployment.epoch, deployment.epoch - 1}
        if line.deployment != deployment.id or line.epoch not in epochs:
            ours = f"epoch {deployment.epoch} of {deployment.id}"
            return Closed(f"bucket {keys.tag(bucket)} holds {line}; Postgres is at {ours}")
    for bucket, (last, mark) in enumerate(zip(last_ids, watermarks, strict=True)):
        if last < mark:
            return Closed(f"the stream of bucket {keys.tag(bucket)} ends at {last}, but {mark} is written down already")
    running = all(line is not None and line.epoch == deployment.epoch and line.replid == replid for line in lines)
    if running and deployment.opened and deployment.replid == replid:
        return Holds()
    return Open(deployment.epoch + 1 if deployment.opened else deployment.epoch)


class Keeper:
    """Looks twice a second; `line` is what every bucket's line must be, None while it does not or nobody can tell."""

    def __init__(self, database: Database, address: Address) -> None:
        self._database = database
        self._address = address
        self._life: asyncio.Task[None] | None = None
        self._looked = asyncio.Event()
        self.line: str | None = None
        self.why_closed = "not looked at yet"

    # start → look → stop

    async def start(self) -> None:
        """Begin to look; returns after the first verdict, whatever it is."""
        self._life = asyncio.create_task(stay_connected(self._address, self._serve, on_down=self._could_not_look))
        await self._looked.wait()

    async def stop(self) -> None:
        """Stop looking; the lines stay as they are."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)

    async def _serve(self, connection: Connection) -> None:
        while not connection.lost:
            try:
                await self.look(connection)
            except StoreCorruptError as error:
                self._close(str(error))
            except StoreUnavailableError as error:
                self._could_not_look(error)
                if connection.lost:
                    raise
            self._looked.set()
            await asyncio.sleep(CHECK_EVERY_S)

    async def look(self, connection: Connection) -> None:
        """Judge once, and open the next epoch where that is right: Postgres first, then every bucket."""
        identity = await identify(connection)
        async with self._database.transaction() as transaction:
            await records.lock(transaction)
            deployment = await records.read_or_create(transaction)
            marks = await written.watermarks(transaction)
        held = await asyncio.gather(
            *(connection.call("HGET", keys.head(bucket), "line") for bucket in range(keys.BUCKETS))
        )
        lines = [Line.parse(line) if isinstance(line, bytes) else None for line in held]
        current = str(Line(deployment.id, deployment.epoch, identity.replid))
        if self.line == current and deployment.opened and all(str(line) == current for line in lines):
            return  # as half a second ago
        last_ids = await asyncio.gather(*(usage.last_id(connection, bucket) for bucket in range(keys.BUCKETS)))
        watermarks = [usage.StreamId(*marks.get(keys.tag(bucket), (0, 0))) for bucket in range(keys.BUCKETS)]
        match judge(deployment, identity.replid, lines, last_ids, watermarks):
            case Holds():
                self.line = current
                log.info(Event.EPOCH_HOLDS, epoch=deployment.epoch)
            case Open(epoch):
                await self._open(connection, Line(deployment.id, epoch, identity.replid), deployment)
            case Closed(why):
                self._close(why)

    async def _open(self, connection: Connection, line: Line, seen: Deployment) -> None:
        """Postgres first, so that no gateway believes an epoch that is not written down.

        Returns without effect when another keeper was faster: the next look judges again.
        """
        async with self._database.transaction() as transaction:
            await records.lock(transaction)
            if await records.read_or_create(transaction) != seen:
                return
            await records.decide_epoch(transaction, line.epoch, line.replid)
        async with self._database.transaction() as transaction:
            await records.lock(transaction)
            decided = await records.read_or_create(transaction)
            if (decided.epoch, decided.replid, decided.opened) != (line.epoch, line.replid, False):
                return
            await asyncio.gather(
                *(connection.call("HSET", keys.head(bucket), "line", str(line)) for bucket in range(keys.BUCKETS))
            )
            await records.mark_opened(transaction, line.epoch)
        await announce(connection, keys.LINE_CHANGED)
        self.line = str(line)
        log.info(Event.EPOCH_OPENED, epoch=line.epoch)

    def _close(self, why: str) -> None:
        if self.line is not None or self.why_closed != why:
            log.error(Event.EPOCH_CLOSED, why=why)
        self.line, self.why_closed = None, why
        self._looked.set()

    def _could_not_look(self, error: StoreUnavailableError) -> None:
        """Say nothing of the epoch: it may hold, and gateways find out by themselves."""
        if self.line is not None:
            log.warning(Event.KEEPER_BLIND, error=str(error))
        self.line, self.why_closed = None, str(error)
        self._looked.set()
