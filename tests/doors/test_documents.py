"""Documents from Redis: fetched once at a time, announced when replaced, and never called missing without the mark."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from gateway.counters import documents as module
from gateway.counters import keys
from gateway.counters.connection import Address, Connection
from gateway.counters.documents import Documents
from gateway.counters.hearing import Hearing
from gateway.counters.publish import announce, publish
from gateway.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import redis.asyncio


@pytest.fixture
async def publisher(redis_url: str) -> AsyncIterator[Connection]:
    """A connection that publishes."""
    opened = await Connection.open(Address.parse(redis_url))
    yield opened
    opened.close()


class Heard:
    """What a gateway is told."""

    def __init__(self) -> None:
        self.changes: asyncio.Queue[str] = asyncio.Queue()
        self.missed = 0
        self.confirmed: asyncio.Queue[float] = asyncio.Queue()

    def count_missed(self) -> None:
        """Remember that announcements may have been missed."""
        self.missed += 1


@asynccontextmanager
async def documents_on(redis_url: str) -> AsyncIterator[tuple[Documents, Heard]]:
    """Connected documents, and what they tell."""
    heard = Heard()
    hearing = Hearing(
        on_change=heard.changes.put_nowait, on_missed=heard.count_missed, on_confirmed=heard.confirmed.put_nowait
    )
    documents = Documents(Address.parse(redis_url), hearing, timeout_ms=250)
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


async def test_a_replaced_document_is_told_by_its_key(redis_url: str, publisher: Connection) -> None:
    """What a publisher replaces or announces arrives, and none of it was missed."""
    async with documents_on(redis_url) as (_, heard):
        await publish(publisher, "doc:l:acme", 1, b'{"version":1}')
        await announce(publisher, keys.LINE_CHANGED)
        async with asyncio.timeout(2):
            assert [await heard.changes.get(), await heard.changes.get()] == ["doc:l:acme", keys.LINE_CHANGED]


async def test_who_heard_everything_is_told_so_again_and_again(redis_url: str, publisher: Connection) -> None:
    """As of the moment at which Redis was asked, while announcements go on; nothing counts as missed."""
    await announce(publisher, "before")
    loop = asyncio.get_running_loop()
    async with documents_on(redis_url) as (_, heard):
        began_s, asked_s = loop.time(), [0.0]
        async with asyncio.timeout(10):
            while len(asked_s) < 4:
                await publish(publisher, "doc:l:acme", len(asked_s), b'{"version":%d}' % len(asked_s))
                asked_s.append(await heard.confirmed.get())
        assert heard.missed == 1, "at the start"
        assert asked_s == sorted(set(asked_s))
        assert began_s < asked_s[-1] <= loop.time()


@pytest.mark.parametrize("fault", ["unheard", "emptied", "set back", "not counted"])
async def test_what_was_not_heard_is_noticed(
    redis_url: str, redis_client: redis.asyncio.Redis, publisher: Connection, fault: str
) -> None:
    """By the next look, without any further announcement; and from then on all is heard again."""
    await announce(publisher, "before")
    await announce(publisher, "before")
    async with documents_on(redis_url) as (_, heard):
        match fault:
            case "unheard":
                await redis_client.incr(keys.ANNOUNCED)
            case "emptied":
                await redis_client.delete(keys.ANNOUNCED)
            case "set back":
                await redis_client.decr(keys.ANNOUNCED)
            case _:
                await redis_client.publish(keys.CHANGES, "doc:l:acme")
        async with asyncio.timeout(3):
            while heard.missed < 2:
                await asyncio.sleep(0.01)
            while not heard.confirmed.empty():
                heard.confirmed.get_nowait()
            await heard.confirmed.get()
        assert heard.missed == 2


async def test_a_number_never_overtakes_an_announcement(
    redis_url: str, redis_client: redis.asyncio.Redis, publisher: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand announcements while Redis is asked all the time: nothing is ever taken for missed."""
    await announce(publisher, "before")
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0)
    async with documents_on(redis_url) as (_, heard):
        await asyncio.gather(*(announce(publisher, f"name{number}") for number in range(1000)))
        await redis_client.ping()
        async with asyncio.timeout(5):
            while heard.changes.qsize() < 1000:
                await asyncio.sleep(0.01)
        assert heard.missed == 1
        assert heard.confirmed.qsize() > 0


async def test_without_a_number_nothing_is_confirmed(redis_url: str, redis_client: redis.asyncio.Redis) -> None:
    """Where the number cannot be read, no document is handed out either: nobody could tell how old it gets."""
    await redis_client.set(keys.ANNOUNCED, "nonsense")
    async with documents_on(redis_url) as (documents, heard):
        assert not documents.connected
        assert (heard.missed, heard.confirmed.qsize()) == (0, 0)


async def test_a_lost_channel_is_told_when_it_is_back(redis_url: str, redis_client: redis.asyncio.Redis) -> None:
    """Announcements may have been missed meanwhile: whoever holds documents must know."""
    async with documents_on(redis_url) as (documents, heard):
        assert (heard.missed, documents.connected) == (1, True)
        await redis_client.client_kill_filter(_type="pubsub", skipme=False)
        async with asyncio.timeout(3):
            while heard.missed < 2:
                await asyncio.sleep(0.01)
        await redis_client.set("doc:l:acme", "{}")
        assert await fetched(documents, "doc:l:acme") == b"{}"


async def test_without_redis_a_fetch_is_answered_at_once() -> None:
    """Nobody waits for a Redis that is known to be away."""
    async with documents_on("unix:///nowhere/redis.sock") as (documents, _):
        assert not documents.connected
        assert isinstance(await fetched(documents, "doc:l:acme"), StoreUnavailableError)
