"""A checker with all that it asks, for every test that decides at one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.checker import Checker
from gateway.counters import keys
from gateway.counters.connection import Address
from gateway.counters.counting import Counters
from gateway.counters.documents import Documents
from gateway.counters.hearing import Hearing
from gateway.entitlements import Entitlements
from tests.doors.desk import Desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import redis.asyncio


@pytest.fixture
async def desk(
    redis_url: str, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    """A checker with customers `acme` and `bolt`, each in a bucket that holds."""
    replid = (await redis_client.info("replication"))["master_replid"]
    for bucket in range(keys.BUCKETS):
        await redis_client.hset(keys.head(bucket), "line", f"deployment:1:{replid}")
    await redis_client.set(keys.PUBLISHED, "deployment")
    address = Address.parse(redis_url)
    counters = Counters(address, timeout_ms=500)
    await counters.start()
    entitlements = Entitlements(fresh_for_s=30, usable_for_s=1000)
    hearing = Hearing(on_change=entitlements.forget, on_missed=lambda: None, on_confirmed=lambda _: None)
    documents = Documents(address, hearing, timeout_ms=500)
    await documents.start()
    fetched: list[str] = []
    fetch = documents.fetch
    monkeypatch.setattr(documents, "fetch", lambda key, reply: (fetched.append(key), fetch(key, reply)))
    checker = Checker(entitlements, documents, counters, idempotency_ttl_ms=60_000)
    desk = Desk(checker, entitlements, counters, redis_client, fetched)
    await desk.publish("acme")
    await desk.publish("bolt")
    yield desk
    await documents.stop()
    await counters.stop()
