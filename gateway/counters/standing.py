"""How this gateway stands with Redis: under which name it counts, which buckets' lines hold, whose clock is told."""

from __future__ import annotations

import asyncio
import base64
import os
import time
from typing import TYPE_CHECKING, Final

from gateway.counters import consume, keys
from gateway.counters.footing import Footing
from gateway.counters.line import Line, ServerIdentity, identify
from gateway.errors import StoreCorruptError, StoreUnavailableError

if TYPE_CHECKING:
    from gateway.counters.connection import Connection

READ_S_MAX: Final = 1.0
"""A server that takes longer to say who it is is given up."""


class Standing:
    """What the scripts must be told: each bucket's line, while it may be believed, and the gateway's name."""

    def __init__(self, gateway: str) -> None:
        self.gateway = gateway
        self.footings: list[Footing | None] = [None] * keys.BUCKETS
        self._registered: set[int] = set()
        self._previous: tuple[ServerIdentity, int] | None = None
        self._clock_ahead_ms = 0

    def now_ms(self) -> int:
        """Tell the time as Redis's clock last showed it."""
        return time.time_ns() // 1_000_000 + self._clock_ahead_ms

    def tell_time(self, redis_now_ms: int) -> None:
        """Learn how far Redis's clock is ahead of ours."""
        self._clock_ahead_ms = redis_now_ms - time.time_ns() // 1_000_000

    async def take_over(self, connection: Connection) -> None:
        """End what our last connection may still have under way; without that, asking again could count twice."""
        identity = await identify(connection)
        number = await connection.call("CLIENT", "ID")
        assert isinstance(number, int)
        if self._previous is not None and self._previous[0].run_id == identity.run_id:
            await connection.call("CLIENT", "KILL", "ID", self._previous[1])
        self._previous = identity, number
        await connection.call("SCRIPT", "LOAD", consume.SCRIPT)

    async def read(self, connection: Connection) -> None:
        """Believe each bucket whose line names this very server, and be registered there."""
        try:
            async with asyncio.timeout(READ_S_MAX):
                await self._read(connection)
        except TimeoutError as error:
            raise StoreUnavailableError("Redis does not say who it is") from error

    async def strike_off(self, connection: Connection) -> None:
        """Take this gateway's name out of every bucket: it will not count again."""
        gone = (connection.call("HDEL", keys.head(bucket), self.gateway) for bucket in self._registered)
        await asyncio.gather(*gone, return_exceptions=True)

    async def _read(self, connection: Connection) -> None:
        identity = await identify(connection)
        at = await connection.call("TIME")
        heads = (connection.call("HMGET", keys.head(bucket), "line", self.gateway) for bucket in range(keys.BUCKETS))
        found = await asyncio.gather(*heads)
        lines: list[str | None] = []
        missing: set[int] = set()
        for bucket, reply in enumerate(found):
            assert isinstance(reply, list)
            line = _readable(reply[0])
            holds = line is not None and line.replid == identity.replid
            lines.append(str(line) if holds else None)
            if holds and reply[1] is None:
                missing.add(bucket)
        if missing & self._registered:  # struck off while we live: what we sent under that name stays unknown
            self.gateway, self._registered = draw_gateway(), set()
            missing = {bucket for bucket, line in enumerate(lines) if line is not None}
        await asyncio.gather(*(connection.call("HSETNX", keys.head(b), self.gateway, 0) for b in missing))
        assert isinstance(at, list)
        self.tell_time(int(at[0]) * 1000 + int(at[1]) // 1000)
        self._registered |= missing
        self.footings = [None if line is None else Footing.of(line, self.gateway) for line in lines]


def draw_gateway() -> str:
    """Name this process, new at every start: 80 random bits."""
    return base64.b32encode(os.urandom(10)).decode().lower()


def _readable(held: bytes | None) -> Line | None:
    """Take a line that nobody can read for none: its bucket is not believed, the others are."""
    try:
        return None if held is None else Line.parse(held)
    except StoreCorruptError:
        return None
