"""What Postgres decided reaches the live counters once and in order, whatever the office and Redis go through."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import redis.asyncio

from gateway.counters import keys
from gateway.counters.connection import Address, Connection
from gateway.outbox import Outbox
from gateway.records import outbox as records
from gateway.records.database import Database
from tests.faults.killing import zygote
from tests.faults.own_redis import own_redis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import asyncpg

LINE, START = "d:1:r", 1_800_000_000_000
FULL = 1_000_000
STEPS_MAX = 200
CUSTOMERS = ("acme", "zeta")


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    """A pool on this test's own database."""
    opened = await Database.open(postgres_url)
    yield opened
    await opened.close()


async def fill(client: redis.asyncio.Redis) -> None:
    """Give every bucket its line, and each customer a counter to give back from."""
    for bucket in range(keys.BUCKETS):
        await client.hset(keys.head(bucket), "line", LINE)
    for customer in CUSTOMERS:
        value = FULL.to_bytes(7, "big") + START.to_bytes(6, "big")
        await client.execute_command("HSET", keys.use(keys.bucket_of(customer), customer), "f:month", value)


async def used(client: redis.asyncio.Redis, customer: str) -> int:
    """Read a customer's counter."""
    value = await client.execute_command(
        "HGET", keys.use(keys.bucket_of(customer), customer), "f:month", NEVER_DECODE=True
    )
    return int.from_bytes(value[:7], "big")


async def give_back(database: Database, customer: str, amount: int) -> int:
    """Decide a refund, as far as the outbox goes."""
    async with database.transaction() as transaction:
        bucket = keys.tag(keys.bucket_of(customer))
        return await records.add(transaction, bucket, customer, 1, "gw-1", [("f:month", START, 0, -amount)])


async def test_an_applier_killed_between_any_two_steps_gives_back_once(
    redis_url: str,
    postgres_url: str,
    database: Database,
    postgres: asyncpg.Connection,
    redis_client: redis.asyncio.Redis,
) -> None:
    """SIGKILL before every step in turn, new rows in between: each is given back once, and marked when it was."""
    await fill(redis_client)
    given, ended, step = dict.fromkeys(CUSTOMERS, 0), "killed", 0
    with zygote() as apply:
        while ended == "killed":
            step += 1
            assert step < STEPS_MAX
            for customer in ("acme", "zeta", "acme"):
                given[customer] += step
                await give_back(database, customer, step)
            ended = await asyncio.to_thread(apply, f"apply {step} {redis_url} {postgres_url} {LINE}")
            marked = await postgres.fetch(
                "SELECT bucket, max(number) AS number FROM outbox WHERE applied_at IS NOT NULL GROUP BY 1"
            )
            for row in marked:
                head = await redis_client.hget(keys.head(keys.bucket_of_tag(row["bucket"])), "outbox")
                assert int(head or 0) >= row["number"], "marked before it was applied"
    assert (ended, step > 8) == ("ended 0", True)
    assert {customer: FULL - await used(redis_client, customer) for customer in CUSTOMERS} == given
    assert await postgres.fetchval("SELECT count(*) FROM outbox WHERE applied_at IS NULL") == 0


async def test_two_offices_give_back_once(
    redis_url: str, database: Database, redis_client: redis.asyncio.Redis
) -> None:
    """Both see the same rows; whoever is later finds that the bucket has them."""
    await fill(redis_client)
    appliers = [Outbox(database, Address.parse(redis_url), lambda: LINE) for _ in range(2)]
    connections = [await Connection.open(Address.parse(redis_url)) for _ in appliers]
    for amount in range(1, 30):
        await give_back(database, "acme", amount)
        if amount % 7 == 0:
            await asyncio.gather(*(one.apply(to) for one, to in zip(appliers, connections, strict=True)))
    for one, to in zip(appliers, connections, strict=True):
        while await one.apply(to):
            pass
        to.close()
    assert FULL - await used(redis_client, "acme") == sum(range(1, 30))


async def test_numbers_have_no_gap_and_come_in_the_order_of_commits(database: Database) -> None:
    """Who began first and commits last does not hold a number that was read past; who fails leaves none behind."""

    async def fail() -> None:
        async with database.transaction() as transaction:
            await records.add(transaction, "l1", "acme", 1, "gw-1", [("f:month", START, 0, -1)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    async def add() -> int:
        async with database.transaction() as transaction:
            number = await records.add(transaction, "l1", "acme", 1, "gw-1", [("f:month", START, 0, -1)])
            await asyncio.sleep(0.01)
            behind = await records.behind(transaction, {"l1": 0}, 100)
            assert [row.number for row in behind] == list(range(1, number + 1))
            return number

    assert sorted(await asyncio.gather(*(add() for _ in range(6)))) == [1, 2, 3, 4, 5, 6]


async def test_redis_that_fell_back_hears_again_what_it_forgot(
    database: Database, redis_client: redis.asyncio.Redis, redis_url: str
) -> None:
    """Its head says how far it is: rows that were marked long ago are applied again to what it restored."""
    await fill(redis_client)
    applier, connection = (
        Outbox(database, Address.parse(redis_url), lambda: LINE),
        await Connection.open(Address.parse(redis_url)),
    )
    for amount in (1, 2, 4):
        await give_back(database, "acme", amount)
    await applier.apply(connection)
    assert await used(redis_client, "acme") == FULL - 7
    await fill(redis_client)  # as it was after the first row
    await redis_client.hset(keys.head(keys.bucket_of("acme")), "outbox", 1)
    connection.close()
    connection = await Connection.open(Address.parse(redis_url))
    await applier.apply(connection)
    assert await used(redis_client, "acme") == FULL - 6
    connection.close()


async def test_it_goes_on_by_itself_when_redis_is_back(short_folder: Path, database: Database) -> None:
    """Redis is killed and started again on its data: what waited meanwhile is applied, and nothing twice."""
    line: list[str | None] = [LINE]
    with own_redis(short_folder) as own:
        await own.start()
        applier = Outbox(database, Address.parse(own.url), lambda: line[0])
        await applier.start()
        async with redis.asyncio.Redis.from_url(own.url) as client:
            await fill(client)
            await give_back(database, "acme", 1)
            await until(client, FULL - 1)
        own.kill()
        await give_back(database, "acme", 2)
        await own.start()
        async with redis.asyncio.Redis.from_url(own.url) as client:
            await until(client, FULL - 3)
            line[0] = None
            await asyncio.sleep(0.3)
            await give_back(database, "acme", 4)
            await asyncio.sleep(0.5)
            assert await used(client, "acme") == FULL - 3, "no epoch is open"
            line[0] = LINE
            await until(client, FULL - 7)
        await applier.stop()


async def until(client: redis.asyncio.Redis, wanted: int) -> None:
    """Wait until the counter says so."""
    async with asyncio.timeout(10):
        while await used(client, "acme") != wanted:
            await asyncio.sleep(0.02)
