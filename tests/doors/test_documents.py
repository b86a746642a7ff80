"""Documents from Redis: fetched once at a time, announced when replaced, and never called missing without the mark."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from gateway.counters import keys
from gateway.counters.connection import Address
from gateway.counters.documents import Documents
from gateway.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import redis.asyncio


class Heard:
    """What a gateway is told."""

    def __init__(self) -> None:
        self.changes: asyncio.Queue[str] = asyncio.Queue()
        self.regained = 0

    def count_regained(self) -> None:
        """Remember that announcements may have been missed."""
        self.regained += 1


@asynccontextmanager
async def documents_on(redis_url: str) -> AsyncIterator[tuple[Documents, Heard]]:
    """Connected documents, and what they tell."""
    heard = Heard()
    documents = Documents(
        Address.parse(redis_url), on_change=heard.changes.put_nowait, on_regained=heard.count_regained, timeout_ms=250
    )
    await documents.start()
    try:
        yield documents, heard
    finally:
        await documents.stop()


async def fetched(documents: Documents, key: str) -> object:
    """Fetch one document."""
    future = asyncio.get_running_loop().create_future()
    documents.fetch(key, future.set_result)
    return await future


async def test_without_the_mark_a_missing_document_says_nothing(
    redis_url: str, redis_client: redis.asyncio.Redis
) -> None:
    """In a Redis that lost its documents nobody is unknown; with the mark, who is not there does not exist."""
    async with documents_on(redis_url) as (documents, _):
        assert isinstance(await fetched(documents, "doc:l:acme"), StoreUnavailableError)
        await redis_client.set(keys.PUBLISHED, "d")
        assert await fetched(documents, "doc:l:acme") is None
        await redis_client.delete(keys.PUBLISHED)
        await redis_client.set("doc:l:acme", "{}")
        assert await fetched(documents, "doc:l:acme") == b"{}"


async def test_many_who_ask_for_one_document_share_one_question(
    redis_url: str, redis_client: redis.asyncio.Redis
) -> None:
    """A thousand checks of a cold customer cost Redis one command."""
    await redis_client.set("doc:l:acme", "{}")
    async with documents_on(redis_url) as (documents, _):
        await redis_client.config_resetstat()
        answers = await asyncio.gather(*(fetched(documents, "doc:l:acme") for _ in range(1000)))
        assert set(answers) == {b"{}"}
        assert (await redis_client.info("commandstats"))["cmdstat_mget"]["calls"] == 1


async def test_a_replaced_document_is_told_by_its_key(redis_url: str, redis_client: redis.asyncio.Redis) -> None:
    """What is said on the channel arrives."""
    async with documents_on(redis_url) as (_, heard):
        await redis_client.publish(keys.CHANGES, "doc:l:acme")
        async with asyncio.timeout(2):
            assert await heard.changes.get() == "doc:l:acme"


async def test_a_lost_channel_is_told_when_it_is_back(redis_url: str, redis_client: redis.asyncio.Redis) -> None:
    """Announcements may have been missed meanwhile: whoever holds documents must know."""
    async with documents_on(redis_url) as (documents, heard):
        assert (heard.regained, documents.connected) == (1, True)
        await redis_client.client_kill_filter(_type="pubsub", skipme=False)
        async with asyncio.timeout(3):
            while heard.regained < 2:
                await asyncio.sleep(0.01)
        await redis_client.set("doc:l:acme", "{}")
        assert await fetched(documents, "doc:l:acme") == b"{}"


async def test_without_redis_a_fetch_is_answered_at_once() -> None:
    """Nobody waits for a Redis that is known to be away."""
    async with documents_on("unix:///nowhere/redis.sock") as (documents, _):
        assert not documents.connected
        assert isinstance(await fetched(documents, "doc:l:acme"), StoreUnavailableError)
