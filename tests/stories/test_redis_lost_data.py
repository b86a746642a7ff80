"""A Redis that lost data is noticed before anything is admitted from an empty counter."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import redis.asyncio

from gateway.counters import keys
from gateway.v1.entitlement_pb2 import Reason
from tests.conftest import SAMPLE, running_office
from tests.faults.own_redis import OwnRedis, own_redis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.v1.entitlement_pb2 import CheckEntitlementResponse
    from tests.conftest import Running


@pytest.fixture
async def own(short_folder: Path) -> AsyncIterator[OwnRedis]:
    """A Redis to break."""
    with own_redis(short_folder) as server:
        await server.start()
        yield server


@asynccontextmanager
async def office_on(own: OwnRedis, folder: Path, postgres_url: str) -> AsyncIterator[Running]:
    """An office on that Redis, with 900,000 of acme's million used and written down."""
    async with running_office(folder, own.url, postgres_url) as running:
        await running.client.apply_catalog(SAMPLE)
        await running.client.create_customer("acme")
        await running.client.create_subscription("acme", "developer")
        await running.client.check("acme", "input_tokens", 900_000)
        await until_written(running, 900_000)
        yield running


async def until_written(office: Running, quantity: int) -> None:
    """Wait until Postgres has it."""
    async with asyncio.timeout(5):
        while (await office.client.usage("acme")).usage[0].quantity != quantity:
            await asyncio.sleep(0.02)


async def ask_for(office: Running, seconds: float) -> list[CheckEntitlementResponse]:
    """Ask again and again for a while."""
    answers, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        answers.append(await office.client.check("acme", "input_tokens", 1))
        await asyncio.sleep(0.01)
    return answers


async def test_a_restart_that_kept_its_data_opens_the_next_epoch(
    own: OwnRedis, short_folder: Path, postgres_url: str
) -> None:
    """Killed and started on its log, Redis is believed again by itself, and no unit was forgotten."""
    async with office_on(own, short_folder, postgres_url) as office:
        first_line = office.office.keeper.line
        own.kill()
        await own.start()
        async with asyncio.timeout(5):
            while not (answer := await office.client.check("acme", "input_tokens", 1)).allowed:
                assert answer.reason == Reason.STORE_UNAVAILABLE
                assert answer.degraded
                await asyncio.sleep(0.02)
        assert answer.used == 900_001
        assert office.office.keeper.line != first_line
        await until_written(office, 900_001)


async def test_a_restart_without_data_is_noticed_before_anything_is_admitted(
    own: OwnRedis, short_folder: Path, postgres_url: str
) -> None:
    """Started empty, Redis would admit a second million: every metered claim is denied instead, and says so."""
    async with office_on(own, short_folder, postgres_url) as office:
        own.kill()
        own.lose_everything()
        await own.start()
        answers = await ask_for(office, 2.5)
        assert {(answer.allowed, answer.reason) for answer in answers} == {(False, Reason.STORE_UNAVAILABLE)}
        assert "lost its line" in office.office.keeper.why_closed
        assert (await office.client.check("acme", "max_seats")).value == "5", "what needs no counter is still answered"
        assert (await office.client.check("stranger", "max_seats")).reason == Reason.CUSTOMER_UNKNOWN
        async with redis.asyncio.Redis.from_url(own.url) as client:
            assert await client.keys("*:use:*") == []


async def test_a_flush_under_our_feet_is_noticed_by_the_next_claim(
    own: OwnRedis, short_folder: Path, postgres_url: str
) -> None:
    """FLUSHALL leaves the server and the connection as they were; the script itself finds the line gone."""
    async with office_on(own, short_folder, postgres_url) as office:
        async with redis.asyncio.Redis.from_url(own.url) as client:
            await client.flushall()
        answers = await ask_for(office, 1.5)
        assert not any(answer.allowed for answer in answers)
        assert answers[-1].reason == Reason.STORE_UNAVAILABLE


async def test_a_stream_that_ends_before_what_is_written_down_is_not_believed(
    own: OwnRedis, short_folder: Path, postgres_url: str
) -> None:
    """A restart from an older copy has every line, but its stream lies behind Postgres: no epoch opens."""
    async with office_on(own, short_folder, postgres_url) as office:
        bucket = keys.bucket_of("acme")
        async with redis.asyncio.Redis.from_url(own.url, decode_responses=True) as client:
            await client.delete(keys.usage(bucket), keys.use(bucket, "acme"))
        own.kill()
        await own.start()
        answers = await ask_for(office, 2)
        assert not any(answer.allowed for answer in answers)
        assert "is written down already" in office.office.keeper.why_closed


async def test_a_redis_of_another_deployment_is_refused(own: OwnRedis, short_folder: Path, postgres_url: str) -> None:
    """Counters that belong to another Postgres are neither believed nor overwritten."""
    async with office_on(own, short_folder, postgres_url):
        pass
    async with redis.asyncio.Redis.from_url(own.url, decode_responses=True) as client:
        for bucket in range(keys.BUCKETS):
            await client.hset(keys.head(bucket), "line", "somebody:1:else")
        async with running_office(short_folder, own.url, postgres_url) as office:
            assert office.office.keeper.line is None
            assert "somebody:1:else" in office.office.keeper.why_closed
            assert not (await office.client.check("acme", "input_tokens")).allowed
        assert await client.hget(keys.head(0), "line") == "somebody:1:else"


async def test_a_redis_that_hangs_costs_no_more_than_the_deadline(
    own: OwnRedis, short_folder: Path, postgres_url: str
) -> None:
    """While Redis is stopped a check is answered within its deadline; afterwards counting goes on, exactly."""
    async with office_on(own, short_folder, postgres_url) as office:
        own.pause()
        started = time.monotonic()
        answers = await asyncio.gather(*(office.client.check("acme", "input_tokens", 1) for _ in range(20)))
        assert time.monotonic() - started < 2
        assert {answer.reason for answer in answers} == {Reason.STORE_UNAVAILABLE}
        own.go_on()
        async with asyncio.timeout(10):
            while not (answer := await office.client.check("acme", "input_tokens", 1)).allowed:
                await asyncio.sleep(0.02)
        assert 900_001 <= answer.used <= 900_021
        await until_written(office, answer.used)
