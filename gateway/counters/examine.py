"""What a Redis says of itself and of our buckets, for whoever looks after it: asked once, nothing is changed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from gateway.counters import keys, usage
from gateway.counters.connection import Address, Connection
from gateway.counters.line import Line
from gateway.counters.usage import StreamId
from gateway.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

Answer = TypeVar("Answer")

ANSWER_S_MAX: Final = 2.0


@dataclass(frozen=True, slots=True)
class Server:
    """What INFO and CONFIG tell; what a hosted Redis keeps to itself is None."""

    name: str
    version: str
    role: str
    maxmemory_policy: str
    appendonly: bool
    appendfsync: str | None
    replid: str
    memory_bytes: int
    memory_bytes_max: int | None
    """None: no ceiling."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """The lines and the streams, each by bucket."""

    lines: list[Line | None]
    last_ids: list[StreamId]
    watermarks: list[StreamId]
    oldest_unwritten_s: float | None
    """The age of the oldest usage event that lies behind its bucket's watermark; None when there is none."""


async def server(url: str) -> Server:
    """Ask a Redis about itself; raises StoreUnavailableError when it does not answer in time."""

    async def question(connection: Connection) -> Server:
        reply = await connection.call("INFO")
        assert isinstance(reply, bytes | str)
        text = reply.decode() if isinstance(reply, bytes) else reply
        told = dict(row.split(":", 1) for row in text.splitlines() if ":" in row)
        valkey = told.get("valkey_version")
        return Server(
            name="Valkey" if valkey else "Redis",
            version=valkey or told.get("redis_version", "0"),
            role=told.get("role", "unknown"),
            maxmemory_policy=told.get("maxmemory_policy", "unknown"),
            appendonly=told.get("aof_enabled") == "1",
            appendfsync=await _appendfsync(connection),
            replid=told.get("master_replid", ""),
            memory_bytes=int(told.get("used_memory", 0)),
            memory_bytes_max=int(told.get("maxmemory", 0)) or None,
        )

    return await _ask(url, question)


async def buckets(url: str, watermarks: Mapping[str, tuple[int, int]]) -> Buckets:
    """Ask a Redis about every bucket; `watermarks` says how far each is written down, (0, 0) where it is missing.

    Raises StoreUnavailableError when it does not answer in time, StoreCorruptError when a line cannot be read.
    """

    async def question(connection: Connection) -> Buckets:
        numbers = range(keys.BUCKETS)
        marks = [StreamId(*watermarks.get(keys.tag(bucket), (0, 0))) for bucket in numbers]
        held = await asyncio.gather(*(connection.call("HGET", keys.head(bucket), "line") for bucket in numbers))
        last_ids = await asyncio.gather(*(usage.last_id(connection, bucket) for bucket in numbers))
        behind = await asyncio.gather(*(_first_after(connection, bucket, marks[bucket]) for bucket in numbers))
        time = await connection.call("TIME")
        assert isinstance(time, list)
        waiting = [first.ms for first in behind if first is not None]
        return Buckets(
            lines=[Line.parse(line) if isinstance(line, bytes) else None for line in held],
            last_ids=last_ids,
            watermarks=marks,
            oldest_unwritten_s=max(0.0, int(time[0]) - min(waiting) / 1000) if waiting else None,
        )

    return await _ask(url, question)


async def _appendfsync(connection: Connection) -> str | None:
    """Ask how often the append-only file reaches the disk; hosted Redis often forbids the question."""
    try:
        reply = await connection.call("CONFIG", "GET", "appendfsync")
    except StoreUnavailableError:
        if connection.lost:
            raise
        return None
    told = reply.get(b"appendfsync") if isinstance(reply, dict) else None
    return told.decode() if isinstance(told, bytes) else None


async def _first_after(connection: Connection, bucket: int, mark: StreamId) -> StreamId | None:
    rows = await connection.call("XRANGE", keys.usage(bucket), f"({mark}", "+", "COUNT", 1)
    assert isinstance(rows, list)
    return StreamId.parse(rows[0][0].decode()) if rows else None


async def _ask(url: str, question: Callable[[Connection], Awaitable[Answer]]) -> Answer:
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            connection = await Connection.open(Address.parse(url))
            try:
                return await question(connection)
            finally:
                connection.close()
    except TimeoutError as error:
        raise StoreUnavailableError(f"Redis does not answer within {ANSWER_S_MAX:g} s") from error
