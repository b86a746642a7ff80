"""A part of the office that is killed before its n-th step: reads n, forks, and says how the child ended.

A step is a statement sent to Postgres (BEGIN and COMMIT too), or a trim or a script sent to Redis.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

import asyncpg

from gateway import flusher as flusher_module
from gateway.counters import connection as redis_connection
from gateway.counters import usage
from gateway.counters.connection import Address
from gateway.counters.keys import bucket_of
from gateway.flusher import Flusher
from gateway.outbox import Outbox
from gateway.records.database import Database


async def flush_once(redis_url: str, postgres_url: str, line: str) -> None:
    """Open both stores and flush every bucket once."""
    address = Address.parse(redis_url)
    database = await Database.open(postgres_url)
    flusher = Flusher(database, address, lambda: line, delay_ms_max=1, batch_max=3)
    connection = await redis_connection.Connection.open(address)
    flusher._untrimmed = {bucket_of("acme"), bucket_of("zeta")}  # of the other 62, trimming is no step
    arm()
    while await flusher.flush(connection):
        pass


async def apply_once(redis_url: str, postgres_url: str, line: str) -> None:
    """Open both stores and apply what waits in the outbox."""
    database = await Database.open(postgres_url)
    address = Address.parse(redis_url)
    outbox = Outbox(database, address, lambda: line)
    connection = await redis_connection.Connection.open(address)
    arm()
    while await outbox.apply(connection):
        pass


PARTS = {"flush": flush_once, "apply": apply_once}


class Fuse:
    """Burns down step by step; at its end this process dies."""

    steps_left = 0

    @classmethod
    def step(cls) -> None:
        """Take one step, if it is not the last."""
        cls.steps_left -= 1
        if cls.steps_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def arm() -> None:
    """From here on, die before the n-th step."""
    for name in ("execute", "fetch", "fetchval", "fetchrow"):
        setattr(asyncpg.connection.Connection, name, _counted(getattr(asyncpg.connection.Connection, name)))
    call = redis_connection.Connection.call

    def counted_call(self: Any, *command: Any) -> Any:
        if command[0] in ("XTRIM", "EVAL"):
            Fuse.step()
        return call(self, *command)

    redis_connection.Connection.call = counted_call  # type: ignore[method-assign]


def _counted(statement: Any) -> Any:
    async def counted(*args: Any, **kwargs: Any) -> Any:
        Fuse.step()
        return await statement(*args, **kwargs)

    return counted


def main() -> None:
    """Serve the parent until it closes our input."""
    usage.LOOK_BACK_MS = 0
    flusher_module.TRIM_EVERY_S = 0
    for row in sys.stdin:
        part, count, redis_url, postgres_url, line = row.split()
        if (child := os.fork()) == 0:
            Fuse.steps_left = int(count)
            asyncio.run(PARTS[part](redis_url, postgres_url, line))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write("killed\n" if os.WIFSIGNALED(status) else f"ended {os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
