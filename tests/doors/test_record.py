"""The script that tells live counters what Postgres decided: in order, once, in open windows alone, not below 0."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

import pytest
import redis.asyncio

from gateway.counters import keys
from gateway.counters.connection import Address, Connection
from gateway.counters.record import LiveMove, Recorded, Refused, heads, record
from gateway.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BUCKET, LINE = 17, "d:1:r"
USE = keys.use(BUCKET, "acme")
START = 1_800_000_000_000
NOW_MS = time.time_ns() // 1_000_000
LATER = NOW_MS + 86_400_000
MAX = 2**53 - 1


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[Connection]:
    """A connection of ours, to a Redis in which the bucket has a line."""
    opened = await Connection.open(Address.parse(redis_url))
    await opened.call("HSET", keys.head(BUCKET), "line", LINE)
    yield opened
    opened.close()


@pytest.fixture
async def raw(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """Somebody else's client, which reads bytes."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield client


def packed(used: int, start: int = START, rest: bytes = b"") -> bytes:
    """Write a counter's value."""
    return used.to_bytes(7, "big") + start.to_bytes(6, "big") + rest


async def move(
    connection: Connection, *moves: tuple[str, int, int, int], number: int = 1, version: int = 3, line: str = LINE
) -> Recorded | Refused:
    """Apply a row of moves."""
    return await record(connection, BUCKET, "acme", line, number, version, [LiveMove(*one) for one in moves])


async def test_a_move_goes_into_its_own_window(connection: Connection, raw: redis.asyncio.Redis) -> None:
    """More, less, and several counters at once; what else a value holds stays, and so do other counters."""
    held = {"f:month": packed(10), "f+7": packed(5, 1, b"tail"), "g:day": packed(1), ".v": b"9"}
    await raw.hset(USE, mapping=held)
    done = await move(connection, ("f:month", START, 0, -4), ("f+7", 1, 0, 2), ("f+7", 1, 0, 3))
    assert done == Recorded((b"M", b"M", b"M"), (0, 0, 0))
    assert await raw.hgetall(USE) == {
        b"f:month": packed(6),
        b"f+7": packed(10, 1, b"tail"),
        b"g:day": packed(1),
        b".v": b"9",
    }
    assert await raw.ttl(USE) == -1


async def test_each_row_counts_once_and_in_order(connection: Connection, raw: redis.asyncio.Redis) -> None:
    """Sent again, as when a reply was lost, it moves nothing; and neither does one that came too early."""
    await raw.hset(USE, "f:month", packed(10))
    assert await heads(connection) == [0] * keys.BUCKETS
    assert await move(connection, ("f:month", START, 0, -1), number=2) is Refused.GAP
    assert await move(connection, ("f:month", START, 0, -1)) == Recorded((b"M",), (0,))
    assert await move(connection, ("f:month", START, 0, -1)) is Refused.BEFORE
    assert await move(connection, ("f:month", START, 0, -1), number=2) == Recorded((b"M",), (0,))
    assert await move(connection, ("f:month", START, 0, -1), number=4) is Refused.GAP
    assert await raw.hget(USE, "f:month") == packed(8)
    assert (await heads(connection))[BUCKET] == 2


async def test_another_line_moves_nothing(connection: Connection, raw: redis.asyncio.Redis) -> None:
    """Counters that may be somebody else's, or of a lost time, are left alone."""
    await raw.hset(USE, "f:month", packed(10))
    assert await move(connection, ("f:month", START, 0, -1), line="d:2:r") is Refused.FENCED
    await raw.hdel(keys.head(BUCKET), "line")
    assert await move(connection, ("f:month", START, 0, -1)) is Refused.FENCED
    assert await raw.hget(USE, "f:month") == packed(10)
    assert await raw.hget(keys.head(BUCKET), "outbox") is None


async def test_a_closed_window_is_passed_over(connection: Connection, raw: redis.asyncio.Redis) -> None:
    """What a counter stores of a later window is not of this one; where nothing is stored, nothing is given back."""
    await raw.hset(USE, "f:month", packed(10, START + 1))
    done = await move(connection, ("f:month", START, LATER, 5), ("f:month", START, 0, -5), ("g:month", START, 0, -5))
    assert done == Recorded((b"C", b"C", b"C"), (0, 0, 0))
    assert await raw.hgetall(USE) == {b"f:month": packed(10, START + 1)}


async def test_nothing_goes_below_zero_and_what_was_missing_is_told(
    connection: Connection, raw: redis.asyncio.Redis
) -> None:
    """More is given back than the window holds, or its counter has not even come to that window."""
    await raw.hset(USE, mapping={"f:month": packed(3), "g:month": packed(7, START - 1)})
    done = await move(connection, ("f:month", START, 0, -5), ("g:month", START, 0, -4))
    assert done == Recorded((b"S", b"S"), (2, 4))
    assert await raw.hgetall(USE) == {b"f:month": packed(0), b"g:month": packed(7, START - 1)}


async def test_late_use_is_never_denied_and_never_wraps(connection: Connection, raw: redis.asyncio.Redis) -> None:
    """Over any limit, up to the greatest number that is exact; there a counter stays."""
    await raw.hset(USE, "f:month", packed(MAX - 1))
    assert await move(connection, ("f:month", START, 0, MAX)) == Recorded((b"M",), (0,))
    assert await raw.hget(USE, "f:month") == packed(MAX)


async def test_late_use_opens_a_window_that_holds_now(connection: Connection, raw: redis.asyncio.Redis) -> None:
    """The hash then has a version and lives past the window's end; one that ended, or says no end, opens nothing."""
    done = await move(connection, ("f:day", NOW_MS, LATER, 5), ("g:day", 1, NOW_MS - 1, 5), ("h:day", NOW_MS, 0, 5))
    assert done == Recorded((b"O", b"C", b"C"), (0, 0, 0))
    assert await raw.hgetall(USE) == {b"f:day": packed(5, NOW_MS), b".v": b"3"}
    assert await raw.pexpiretime(USE) == LATER + 3_600_000
    assert await move(connection, ("f:day", NOW_MS + 1, LATER - 5, 2), number=2) == Recorded((b"O",), (0,))
    assert await raw.hget(USE, "f:day") == packed(2, NOW_MS + 1)
    assert await raw.pexpiretime(USE) == LATER + 3_600_000, "a hash's life is never cut short"
    assert await move(connection, ("f+1", 1, MAX, 2), number=3) == Recorded((b"O",), (0,))
    assert await raw.ttl(USE) == -1, "a window without end keeps its hash"
    assert await move(connection, ("f:day", NOW_MS + 2, LATER, 1), number=4) == Recorded((b"O",), (0,))
    assert await raw.ttl(USE) == -1
    assert await raw.hget(USE, ".v") == b"3"


@pytest.mark.parametrize(
    "wrong",
    [
        ("f:month", 0, 0, 1),
        ("f:month", START, -1, 1),
        ("f:month", START, 0, MAX + 1),
        ("f:month", START, 0, -MAX - 1),
        ("short", START, 0, 1),
    ],
)
async def test_what_cannot_be_a_move_moves_nothing(
    connection: Connection, raw: redis.asyncio.Redis, wrong: tuple[str, int, int, int]
) -> None:
    """A row is applied whole or not at all, and stays the next one."""
    held = {b"f:month": packed(10), b"short": b"10"}
    await raw.hset(USE, mapping=held)
    with pytest.raises(StoreUnavailableError, match="BADARG"):
        await move(connection, ("f:month", START, 0, 1), wrong)
    assert await raw.hgetall(USE) == held
    assert (await heads(connection))[BUCKET] == 0


def test_a_counter_s_value_is_as_scripts_pack_it() -> None:
    """Seven bytes and six, the most significant first."""
    assert packed(258, 3) == struct.pack(">Q", 258)[1:] + struct.pack(">Q", 3)[2:]
