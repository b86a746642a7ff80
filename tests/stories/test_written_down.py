"""What was counted is written down exactly once, within a second, whatever the flusher goes through."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway import flusher as flusher_module
from gateway.counters import keys, usage
from gateway.counters.connection import Address, Connection
from gateway.flusher import Flusher
from gateway.records.database import Database
from tests.conftest import NOBODY_IS_ASKED, SAMPLE, running_office
from tests.faults.killing import zygote

if TYPE_CHECKING:
    from pathlib import Path

    import asyncpg
    import pytest
    import redis.asyncio

    from tests.conftest import Running

NEVER_FLUSHES = replace(NOBODY_IS_ASKED, flush_delay_ms_max=60_000)
STEPS_MAX = 80


async def test_usage_is_in_postgres_within_a_second(office: Running, postgres: asyncpg.Connection) -> None:
    """A second after the check its event stands in Postgres, with who, what, how much and when."""
    decision = await office.client.check("acme", "input_tokens", 1234)
    async with asyncio.timeout(1):
        while (row := await postgres.fetchrow("SELECT * FROM events")) is None:
            await asyncio.sleep(0.01)
    assert row["event_id"] == decision.decision_id
    assert (row["customer"], row["feature"], row["meter"]) == ("acme", "input_tokens", "input_tokens")
    assert row["quantity"] == 1234
    assert 0 <= decision.resets_at_ms - row["at"].timestamp() * 1000 <= 32 * 86_400_000


async def test_flushing_twice_counts_once(
    short_folder: Path, redis_url: str, postgres_url: str, postgres: asyncpg.Connection
) -> None:
    """The same entries read again, as after a crash that lost the watermark, add no row and nothing to a total."""
    async with running_office(short_folder, redis_url, postgres_url, NEVER_FLUSHES) as office:
        await _subscribe(office)
        for quantity in (5, 7, 11):
            await office.client.check("acme", "input_tokens", quantity)
        database, address = await Database.open(postgres_url), Address.parse(redis_url)
        flusher = Flusher(database, address, lambda: office.office.keeper.line, delay_ms_max=1, batch_max=100)
        connection = await Connection.open(address)
        for _ in range(3):
            await flusher.flush(connection)
            await postgres.execute("UPDATE watermarks SET ms = 0, sequence = 0")
        assert await postgres.fetchval("SELECT count(*) FROM events") == 3
        assert await postgres.fetchval("SELECT sum(quantity) FROM usage_totals") == 23
        assert await postgres.fetchval("SELECT sum(events) FROM usage_totals") == 3
        assert await postgres.fetchval("SELECT sum(used) FROM counter_totals") == 23
        connection.close()
        await database.close()


async def test_a_flusher_killed_between_any_two_steps_loses_and_doubles_nothing(
    short_folder: Path,
    redis_url: str,
    postgres_url: str,
    postgres: asyncpg.Connection,
    redis_client: redis.asyncio.Redis,
) -> None:
    """SIGKILL before every step in turn, new usage in between: each total ends at exactly what was admitted."""
    admitted: dict[str, int] = {}
    spread = usage.pack_claim("acme", "output_tokens", "output_tokens", 5, 1, "output_tokens:month", 1)
    async with running_office(short_folder, redis_url, postgres_url, NEVER_FLUSHES) as office:
        await _subscribe(office, "acme", "zeta")
        assert keys.bucket_of("acme") != keys.bucket_of("zeta")
        ended, step = "killed", 0
        with zygote() as flush:
            while ended == "killed":
                step += 1
                assert step < STEPS_MAX
                for customer in ("acme", "acme", "acme", "acme", "zeta"):
                    decision = await office.client.check(customer, "output_tokens", step)
                    admitted[decision.decision_id] = step
                moves = "output_tokens+7 1 2;output_tokens:month 1 3"
                entry = {"id": f"spread-{step}", "at": "1764000000000", "claim": spread, "moves": moves}
                await redis_client.xadd(keys.usage(keys.bucket_of("acme")), entry)
                admitted[f"spread-{step}"] = 5
                order = f"flush {step} {redis_url} {postgres_url} {office.office.keeper.line}"
                ended = await asyncio.to_thread(flush, order)
        assert ended == "ended 0"
        assert step > 10, "each of begin, lock, write, watermark, commit and trim was a step to die before"
        rows = await postgres.fetch("SELECT event_id, quantity FROM events")
        assert {row["event_id"]: row["quantity"] for row in rows} == admitted
        assert await postgres.fetchval("SELECT sum(quantity) FROM usage_totals") == sum(admitted.values())
        assert await postgres.fetchval("SELECT sum(events) FROM usage_totals") == len(admitted)
        totals = await postgres.fetch("SELECT customer, counter, window_start > 1 AS real, used FROM counter_totals")
        steps = sum(range(1, step + 1))
        assert {tuple(row)[:3]: row["used"] for row in totals} == {
            ("acme", "output_tokens:month", True): 4 * steps,
            ("acme", "output_tokens:month", False): 3 * step,
            ("acme", "output_tokens+7", False): 2 * step,
            ("zeta", "output_tokens:month", True): steps,
        }
        for customer in ("acme", "zeta"):
            assert await redis_client.xlen(keys.usage(keys.bucket_of(customer))) == 0


async def test_a_slower_flusher_trims_nothing_that_is_not_written(
    short_folder: Path,
    redis_url: str,
    postgres_url: str,
    postgres: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two flushers read the same backlog, one in larger bites: the one that loses must not drop what the other left."""
    monkeypatch.setattr(usage, "LOOK_BACK_MS", -1000)
    async with running_office(short_folder, redis_url, postgres_url, NEVER_FLUSHES) as office:
        await _subscribe(office)
        for _ in range(30):
            await office.client.check("acme", "input_tokens", 1)
        database, address = await Database.open(postgres_url), Address.parse(redis_url)
        connection = await Connection.open(address)
        small, large = (
            Flusher(database, address, lambda: office.office.keeper.line, delay_ms_max=1, batch_max=count)
            for count in (10, 20)
        )
        for flusher in (small, large):
            flusher._untrimmed = {keys.bucket_of("acme")}
        while True:
            more = await asyncio.gather(small.flush(connection), large.flush(connection))
            if not any(more):
                break
        assert await postgres.fetchval("SELECT count(*) FROM events") == 30
        connection.close()
        await database.close()


async def test_a_stream_in_steady_use_stays_short(
    short_folder: Path,
    redis_url: str,
    postgres_url: str,
    redis_client: redis.asyncio.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is written and old enough is dropped although newer entries keep coming."""
    monkeypatch.setattr(usage, "LOOK_BACK_MS", 200)
    monkeypatch.setattr(flusher_module, "TRIM_EVERY_S", 0)
    async with running_office(
        short_folder, redis_url, postgres_url, replace(NOBODY_IS_ASKED, flush_delay_ms_max=20)
    ) as office:
        await _subscribe(office)
        lengths = []
        for _ in range(60):
            await office.client.check("acme", "input_tokens", 1)
            await asyncio.sleep(0.01)
            lengths.append(await redis_client.xlen(keys.usage(keys.bucket_of("acme"))))
        assert max(lengths) < 45


async def test_an_entry_nobody_can_read_is_kept_aside_and_stops_nothing(
    office: Running, postgres: asyncpg.Connection, redis_client: redis.asyncio.Redis
) -> None:
    """Broken entries land in quarantine with their reason, even with a NUL in them; those around them are written."""
    stream = keys.usage(keys.bucket_of("acme"))
    await office.client.check("acme", "input_tokens", 1)
    await redis_client.xadd(stream, {"id": "x-1", "at": "1", "claim": '[1,"acme","f","m",-5,1]'})
    await redis_client.xadd(stream, {"id": "x-2", "at": "1", "claim": '[1,"a\\u0000b","f","m",5,1]'})
    await redis_client.xadd(stream, {"stranger": "\0"})
    await office.client.check("acme", "input_tokens", 2)
    async with asyncio.timeout(2):
        while await postgres.fetchval("SELECT count(*) FROM quarantine") != 3:
            await asyncio.sleep(0.02)
    assert await postgres.fetchval("SELECT sum(quantity) FROM usage_totals") == 3


async def test_an_entry_of_a_newer_schema_stops_its_bucket(
    office: Running, postgres: asyncpg.Connection, redis_client: redis.asyncio.Redis
) -> None:
    """What a newer gateway wrote is neither skipped nor guessed: that bucket waits, the others go on."""
    await office.client.create_customer("zeta")
    await office.client.create_subscription("zeta", "developer")
    await redis_client.xadd(keys.usage(keys.bucket_of("acme")), {"id": "n-1", "at": "1", "claim": '[3,"acme",{}]'})
    await office.client.check("acme", "input_tokens", 1)
    await office.client.check("zeta", "input_tokens", 2)
    async with asyncio.timeout(2):
        while await postgres.fetchval("SELECT count(*) FROM events") == 0:
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.3)
    assert [row["customer"] for row in await postgres.fetch("SELECT customer FROM events")] == ["zeta"]


async def _subscribe(office: Running, *customers: str) -> None:
    await office.client.apply_catalog(SAMPLE)
    for customer in customers or ("acme",):
        await office.client.create_customer(customer)
        await office.client.create_subscription(customer, "developer")
