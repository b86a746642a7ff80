"""publish.lua replaces a document by a newer one and announces it; whatever else comes changes nothing."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import TYPE_CHECKING

import pytest

from gateway.counters import keys
from gateway.counters.connection import Address, Connection
from gateway.counters.publish import SCRIPT, announce, publish
from gateway.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import redis.asyncio

NAME = "doc:l:acme"


def document(version: int, text: str = "") -> bytes:
    """Write a document of this version."""
    return b'{"version":%d,"text":"%s"}' % (version, text.encode())


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[Connection]:
    """A connection of ours."""
    opened = await Connection.open(Address.parse(redis_url))
    yield opened
    opened.close()


@pytest.fixture
async def announced(redis_client: redis.asyncio.Redis) -> AsyncIterator[asyncio.Queue[str]]:
    """What somebody else hears on the channel."""
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def listen() -> None:
        async for message in pubsub.listen():
            if message["type"] == "message":
                heard.put_nowait(message["data"])

    async with redis_client.pubsub() as pubsub:
        await pubsub.subscribe(keys.CHANGES)
        listening = asyncio.create_task(listen())
        yield heard
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def names_until(heard: asyncio.Queue[str], last: str, redis_client: redis.asyncio.Redis) -> list[str]:
    """Tell what was announced so far: all that comes before a word of our own."""
    await redis_client.publish(keys.CHANGES, last)
    names = []
    async with asyncio.timeout(5):
        while (name := await heard.get()) != last:
            names.append(name.partition(" ")[2])
    return names


async def test_only_a_newer_document_replaces_and_is_announced(
    connection: Connection, announced: asyncio.Queue[str], redis_client: redis.asyncio.Redis
) -> None:
    """The first and each newer one are taken and announced; an equal or older one is neither."""
    taken = {2: True, 1: False, 3: True}
    for version, replaced in taken.items():
        before = await redis_client.get(NAME)
        assert await publish(connection, NAME, version, document(version)) is replaced
        assert await redis_client.get(NAME) == (document(version).decode() if replaced else before)
    assert await publish(connection, NAME, 3, document(3, "other")) is False
    assert await redis_client.get(NAME) == document(3).decode()
    assert await redis_client.ttl(NAME) == -1
    assert await names_until(announced, "end", redis_client) == [NAME, NAME]


async def test_publishers_in_any_order_end_with_the_newest(
    redis_url: str, connection: Connection, announced: asyncio.Queue[str], redis_client: redis.asyncio.Redis
) -> None:
    """Two publishers write forty versions in a random order at once: the newest stays, each rise is announced."""
    other = await Connection.open(Address.parse(redis_url))
    versions = random.Random(7).sample(range(1, 41), 40)  # noqa: S311 - an order, not a secret
    sent = zip(versions, itertools.cycle((connection, other)))
    took = await asyncio.gather(*(publish(by, NAME, version, document(version)) for version, by in sent))
    other.close()
    assert await redis_client.get(NAME) == document(40).decode()
    assert took[versions.index(40)] is True
    assert await names_until(announced, "end", redis_client) == [NAME] * sum(took)


@pytest.mark.parametrize("held", ["no JSON", "[]", "{}", '"text"', "7", '{"version":"x"}', '{"version":null}', ""])
async def test_a_document_that_cannot_be_read_is_replaced(
    connection: Connection, announced: asyncio.Queue[str], redis_client: redis.asyncio.Redis, held: str
) -> None:
    """What no publisher wrote is in nobody's way."""
    await redis_client.set(NAME, held)
    assert await publish(connection, NAME, 1, document(1)) is True
    assert await redis_client.get(NAME) == document(1).decode()
    assert await names_until(announced, "end", redis_client) == [NAME]


@pytest.mark.parametrize(
    "arguments",
    [[keys.CHANGES, NAME, "four", document(4)], [keys.CHANGES, NAME, "4"], [keys.CHANGES, NAME], [keys.CHANGES], []],
    ids=["no number", "no document", "no version", "no name", "nothing"],
)
async def test_what_is_missing_is_an_error_and_changes_nothing(
    connection: Connection, announced: asyncio.Queue[str], redis_client: redis.asyncio.Redis, arguments: list[str]
) -> None:
    """A call without all its arguments, and a key that holds no text, leave everything as it is."""
    await redis_client.set(NAME, document(3))
    with pytest.raises(StoreUnavailableError):
        await connection.call("EVAL", SCRIPT, 2, keys.ANNOUNCED, NAME, *arguments)
    assert await redis_client.get(NAME) == document(3).decode()
    await redis_client.hset("other", "a", "1")
    with pytest.raises(StoreUnavailableError, match="WRONGTYPE"):
        await publish(connection, "other", 4, document(4))
    assert await redis_client.hgetall("other") == {"a": "1"}
    assert await names_until(announced, "end", redis_client) == []


async def numbers(count: int, heard: asyncio.Queue[str]) -> list[int]:
    """Collect the numbers of the next announcements."""
    async with asyncio.timeout(5):
        return [int((await heard.get()).partition(" ")[0]) for _ in range(count)]


async def test_announcements_are_numbered_without_a_gap(
    redis_url: str, connection: Connection, announced: asyncio.Queue[str], redis_client: redis.asyncio.Redis
) -> None:
    """Whoever announces, a document or anything else, takes the next number; what replaces nothing takes none."""
    other = await Connection.open(Address.parse(redis_url))
    for version in (1, 2, 2, 1, 3):
        await asyncio.gather(publish(connection, NAME, version, document(version)), announce(other, "line"))
    other.close()
    taken = await numbers(8, announced)
    assert taken == list(range(taken[0], taken[0] + 8))
    assert await redis_client.get(keys.ANNOUNCED) == str(taken[-1])


async def test_no_number_is_given_twice(
    connection: Connection, announced: asyncio.Queue[str], redis_client: redis.asyncio.Redis
) -> None:
    """An emptied Redis begins beyond what it had counted, so that nobody takes a new number for an old one."""
    for _ in range(3):
        await announce(connection, "line")
    await redis_client.flushdb()
    for _ in range(3):
        await announce(connection, "line")
    taken = await numbers(6, announced)
    assert taken == sorted(set(taken))
    assert [later - taken[0] for later in taken[1:3]] == [1, 2]
    assert [later - taken[3] for later in taken[4:]] == [1, 2]


async def test_what_cannot_be_announced_is_not_replaced(
    connection: Connection, redis_client: redis.asyncio.Redis
) -> None:
    """A number that cannot rise is an error, and the document stays: nobody would hear of the new one."""
    await redis_client.set(NAME, document(3))
    await redis_client.set(keys.ANNOUNCED, "nonsense")
    with pytest.raises(StoreUnavailableError, match="not an integer"):
        await publish(connection, NAME, 4, document(4))
    assert await redis_client.get(NAME) == document(3).decode()
