"""Credentials are believed for a time after they were last read, then nobody is known, and then again."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest
from structlog.testing import capture_logs

from gateway.counters import keys
from gateway.counters.connection import Address
from gateway.counters.documents import Documents
from gateway.counters.hearing import Hearing
from gateway.credentials import (
    Caller,
    Credential,
    Credentials,
    CredentialsDocument,
    Mode,
    Peer,
    Role,
    digest_of,
    new_key,
)
from gateway.errors import StoreUnavailableError, UnauthenticatedError
from gateway.keyring import Keyring
from gateway.settings import Proof
from tests.faults.store_proxy import redis_proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import redis.asyncio

KEY = new_key(Mode.LIVE)
PEER = Peer(frozenset((Proof.KEYS,)))
FRESH_S, USABLE_S = 0.05, 0.4


def published(version: int, *held: Credential) -> bytes:
    """Write what the publisher would."""
    return msgspec.json.encode(CredentialsDocument(version, held))


IN_FORCE = published(1, Credential(1, "check", "live", "api", digest_of(KEY)))


@asynccontextmanager
async def keyring_on(redis_url: str) -> AsyncIterator[Credentials]:
    """Run a keyring as a gateway does."""
    credentials = Credentials()
    keyring = Keyring(credentials, fresh_for_s=FRESH_S, usable_for_s=USABLE_S)
    hearing = Hearing(
        on_change=lambda _: keyring.read_again(), on_missed=keyring.read_again, on_confirmed=lambda _: None
    )
    documents = Documents(Address.parse(redis_url), hearing, timeout_ms=250)
    await documents.start()
    await keyring.start(documents)
    yield credentials
    keyring.stop()
    await documents.stop()


def who(credentials: Credentials) -> Caller | None:
    """Say who calls with the key; None while nobody can tell."""
    try:
        return credentials.caller_of(f"Bearer {KEY}", PEER)
    except StoreUnavailableError:
        return None


async def test_they_are_there_when_it_has_started(redis_url: str, redis_client: redis.asyncio.Redis) -> None:
    """The first call of a gateway that just started is not turned away."""
    await redis_client.set(keys.CREDENTIALS, IN_FORCE)
    async with keyring_on(redis_url) as credentials:
        assert who(credentials) == Caller("api", Role.CHECK)


async def test_without_redis_they_are_believed_for_their_time(
    short_folder: Path, redis_url: str, redis_client: redis.asyncio.Redis
) -> None:
    """Held while Redis is away, given up after `usable_for`, and known again once it is back."""
    await redis_client.set(keys.CREDENTIALS, IN_FORCE)
    loop = asyncio.get_running_loop()
    async with redis_proxy(redis_url, short_folder) as (proxy, proxied), keyring_on(proxied) as credentials:
        await asyncio.sleep(FRESH_S * 2)
        proxy.away = True
        proxy.cut_all()
        away_s, generation = loop.time(), credentials.generation
        async with asyncio.timeout(5):
            while who(credentials):
                await asyncio.sleep(0.005)
        assert USABLE_S - 2 * FRESH_S < loop.time() - away_s < USABLE_S + 3 * FRESH_S
        assert credentials.generation > generation
        proxy.away = False
        async with asyncio.timeout(5):
            while not who(credentials):
                await asyncio.sleep(0.005)


async def test_where_they_never_were_nobody_is_unknown(redis_url: str) -> None:
    """Without Redis, or without credentials in it, a key is neither right nor wrong; a start waits for neither."""
    for url in ("unix:///nowhere/redis.sock", redis_url):
        async with asyncio.timeout(1), keyring_on(url) as credentials:
            assert who(credentials) is None


async def test_an_office_that_publishes_none_lets_nobody_in(redis_url: str, redis_client: redis.asyncio.Redis) -> None:
    """Where all documents are published and the credentials are none of them, an older office published: not loaded."""
    await redis_client.set(keys.PUBLISHED, "d")
    async with keyring_on(redis_url) as credentials:
        assert who(credentials) is None


async def test_what_cannot_be_read_changes_nothing_and_is_said(
    redis_url: str, redis_client: redis.asyncio.Redis
) -> None:
    """What is held stays, and the log names the key; the next good one is taken."""
    await redis_client.set(keys.CREDENTIALS, IN_FORCE)
    async with keyring_on(redis_url) as credentials:
        with capture_logs() as logs:
            await redis_client.set(keys.CREDENTIALS, "garbage")
            async with asyncio.timeout(5):
                while not logs:
                    await asyncio.sleep(0.005)
        assert (logs[0]["event"], logs[0]["key"]) == ("document.refused", keys.CREDENTIALS)
        assert who(credentials)
        await redis_client.set(keys.CREDENTIALS, published(2))
        generation = credentials.generation
        async with asyncio.timeout(5):
            while credentials.generation == generation:
                await asyncio.sleep(0.005)
        with pytest.raises(UnauthenticatedError):
            who(credentials)
