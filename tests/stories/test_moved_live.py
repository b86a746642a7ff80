"""What the office decides afterwards shows in the next check: a refund gives room, and late usage takes it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.ingesting import Ingesting, LateUse
from gateway.records.database import Database
from gateway.refunding import refund

if TYPE_CHECKING:
    import asyncpg

    from tests.conftest import Running

LIMIT = 1_000_000
"""Of the sample's developer plan, a month."""


async def used(office: Running, wanted: int) -> None:
    """Ask, and count nothing, until a check says so: within a second."""
    async with asyncio.timeout(1):
        while (await office.client.check("acme", "input_tokens", peek=True)).used != wanted:
            await asyncio.sleep(0.01)


async def test_a_refund_and_late_usage_move_the_counter_that_checks_ask(
    office: Running, postgres: asyncpg.Connection
) -> None:
    """Used up, given back in part, told afterwards: counter, total and bill say the same, each time within a second."""
    database = await Database.open(office.postgres_url)
    first = await office.client.check("acme", "input_tokens", LIMIT)
    assert not (await office.client.check("acme", "input_tokens")).allowed
    async with asyncio.timeout(1):
        while await postgres.fetchval("SELECT count(*) FROM events") == 0:
            await asyncio.sleep(0.01)
    async with database.transaction() as transaction:
        await refund(transaction, "acme", first.decision_id, 300, "it failed")
    await used(office, LIMIT - 300)
    assert (await office.client.check("acme", "input_tokens", 100)).allowed
    (taken,) = await Ingesting(database).ingest([LateUse("late-1", "acme", "input_tokens", 250)])
    assert taken.error is None
    await used(office, LIMIT + 50)
    assert not (await office.client.check("acme", "input_tokens")).allowed
    async with asyncio.timeout(1):
        while await postgres.fetchval("SELECT sum(used) FROM counter_totals") != LIMIT + 50:
            await asyncio.sleep(0.01)
    assert await postgres.fetchval("SELECT sum(quantity) FROM usage_totals") == LIMIT + 50
    await database.close()


async def test_late_usage_opens_the_window_that_the_first_check_then_finds(office: Running) -> None:
    """Told before anything was asked: the first check counts on from there."""
    database = await Database.open(office.postgres_url)
    await Ingesting(database).ingest([LateUse("late-1", "acme", "input_tokens", LIMIT - 1)])
    await used(office, LIMIT - 1)
    assert (await office.client.check("acme", "input_tokens")).allowed
    assert not (await office.client.check("acme", "input_tokens")).allowed
    await database.close()
