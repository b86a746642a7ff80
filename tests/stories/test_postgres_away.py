"""A Postgres that is away delays the writing, never the answer; when it is back, everything is written."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from gateway.client import GatewayError
from tests.conftest import SAMPLE, running_office
from tests.faults.store_proxy import postgres_proxy

if TYPE_CHECKING:
    from pathlib import Path

    import asyncpg

ANSWER_S_MAX = 0.5


async def test_checks_go_on_while_postgres_is_away(
    short_folder: Path, redis_url: str, postgres_url: str, postgres: asyncpg.Connection
) -> None:
    """Fifty checks are counted without Postgres, each at once; its return finds every one of them written, once."""
    async with (
        postgres_proxy(postgres_url, short_folder) as (proxy, proxied),
        running_office(short_folder, redis_url, proxied) as office,
    ):
        await office.client.apply_catalog(SAMPLE)
        await office.client.create_customer("acme")
        await office.client.create_subscription("acme", "developer")
        await office.client.check("acme", "input_tokens", 1)
        proxy.away = True
        proxy.cut_all()
        for number in range(50):
            began = time.monotonic()
            decision = await office.client.check("acme", "input_tokens", 10)
            assert time.monotonic() - began < ANSWER_S_MAX
            assert (decision.allowed, decision.used) == (True, 11 + 10 * number)
            await asyncio.sleep(0.02)
        with pytest.raises(GatewayError) as refused:
            await office.client.usage("acme")
        assert (refused.value.cause, refused.value.misuse) == ("STORE_UNAVAILABLE", False)
        assert await postgres.fetchval("SELECT count(*) FROM events") <= 1

        proxy.away = False
        async with asyncio.timeout(10):
            while await postgres.fetchval("SELECT count(*) FROM events") < 51:
                await asyncio.sleep(0.05)
        assert (await office.client.check("acme", "input_tokens", 1)).used == 502
    assert await postgres.fetchval("SELECT sum(quantity) FROM usage_totals") >= 501
