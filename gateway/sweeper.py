"""What is held too long and by nobody who asks: reservations of customers that make no claims end here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from gateway.counters import keys, settle
from gateway.counters.reconnect import stay_connected
from gateway.counters.standing import Standing, draw_gateway
from gateway.errors import StoreUnavailableError
from gateway.telemetry import Event, log

if TYPE_CHECKING:
    from gateway.counters.connection import Address, Connection

SWEEP_EVERY_S: Final = 1.0
CUSTOMERS_MAX: Final = 100
"""Of one bucket in one sweep."""


class Sweeper:
    """Looks once a second; any claim of a customer ends what is due of it by itself, so this is for the others."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._number = 0
        self._life: asyncio.Task[None] | None = None

    # start → sweep → stop

    async def start(self) -> None:
        """Begin to look."""
        self._life = asyncio.create_task(stay_connected(self._address, self._serve))

    async def stop(self) -> None:
        """Stop between two steps or in one: what was not ended is due still."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)

    async def _serve(self, connection: Connection) -> None:
        standing = Standing(draw_gateway())
        await standing.take_over(connection)
        try:
            while not connection.lost:
                await standing.read(connection)
                await self.sweep(connection, standing)
                await asyncio.sleep(SWEEP_EVERY_S)
        finally:
            await standing.strike_off(connection)

    async def sweep(self, connection: Connection, standing: Standing) -> int:
        """End what is due in every bucket whose line holds; returns how many reservations that were."""
        now_ms = standing.now_ms()
        looking = (settle.due(connection, bucket, now_ms, CUSTOMERS_MAX) for bucket in range(keys.BUCKETS))
        ended = 0
        for bucket, customers in enumerate(await asyncio.gather(*looking)):
            for customer in customers:
                ended += await self._end(connection, standing, bucket, customer)
        return ended

    async def _end(self, connection: Connection, standing: Standing, bucket: int, customer: str) -> int:
        footing = standing.footings[bucket]
        if footing is None:
            return 0
        self._number += 1
        told: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        connection.send(settle.sweep(footing, bucket, customer, settle.SWEPT_MAX, self._number), told.set_result)
        reply = await told
        if isinstance(reply, StoreUnavailableError):
            raise reply
        if isinstance(reply, Exception):  # of this customer alone: the others are swept
            log.warning(Event.SWEEP_FAILED, customer=customer, error=str(reply)[:200])
            return 0
        return settle.read_sweep(reply) or 0
