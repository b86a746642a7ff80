"""A key works on every gateway within a second of being made, and on none a second after it was revoked."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
from grpc import StatusCode, aio

from gateway.counters import keys
from gateway.credentials import Role
from tests.conftest import running_office
from tests.faults.store_proxy import redis_proxy
from tests.letting_in import CHECK, KEYS_ARE_ASKED, let_in, make_key, outcome, requests, revoke

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import redis.asyncio

    from tests.letting_in import Held

GATEWAYS = 4
SECOND_S = 1.0


async def is_known(channel: aio.Channel, held: Held) -> bool:
    """Ask with a key; what is asked for does not matter."""
    code, _ = await outcome(channel, CHECK, requests("nobody")[CHECK], held.metadata)
    assert code in {StatusCode.OK, StatusCode.UNAUTHENTICATED}
    return code is StatusCode.OK


async def until(channels: Sequence[aio.Channel], held: Held, *, known: bool) -> float:
    """Ask every gateway until it says so; returns how long the last one took, in seconds."""
    began_s = time.monotonic()

    async def said(channel: aio.Channel) -> float:
        while await is_known(channel, held) is not known:
            await asyncio.sleep(0.005)
        return time.monotonic() - began_s

    async with asyncio.timeout(10):
        return max(await asyncio.gather(*map(said, channels)))


async def test_every_gateway_knows_within_a_second(short_folder: Path, redis_url: str, postgres_url: str) -> None:
    """Four gateways, five keys one after the other: made, known everywhere, revoked, unknown everywhere."""
    async with AsyncExitStack() as stack:
        offices = [
            await stack.enter_async_context(running_office(short_folder, redis_url, postgres_url, KEYS_ARE_ASKED))
            for _ in range(GATEWAYS)
        ]
        channels = [await stack.enter_async_context(aio.insecure_channel(office.target)) for office in offices]
        for _ in range(5):
            held = await make_key(postgres_url)
            assert await until(channels, held, known=True) < SECOND_S
            await revoke(postgres_url, held.number)
            assert await until(channels, held, known=False) < SECOND_S


async def test_what_was_not_heard_is_noticed(
    short_folder: Path, redis_url: str, postgres_url: str, redis_client: redis.asyncio.Redis
) -> None:
    """Credentials that were replaced in silence are those of the gateway after `fresh_for` at the latest."""
    settings = replace(KEYS_ARE_ASKED, document_fresh_for_s=1)
    held = await make_key(postgres_url)
    async with (
        running_office(short_folder, redis_url, postgres_url, settings) as office,
        aio.insecure_channel(office.target) as channel,
    ):
        assert await until([channel], held, known=True) < SECOND_S
        await redis_client.set(keys.CREDENTIALS, msgspec.json.encode({"version": 2**50, "credentials": []}))
        assert await until([channel], held, known=False) < 1 + SECOND_S / 2


async def test_credentials_outlive_redis_and_a_revocation_waits_for_it(
    short_folder: Path, redis_url: str, postgres_url: str
) -> None:
    """While Redis is away keys go on working; what was revoked meanwhile is refused soon after its return."""
    async with redis_proxy(redis_url, short_folder) as (proxy, proxied):
        kept, revoked = await make_key(postgres_url), await make_key(postgres_url, Role.ADMIN)
        async with (
            running_office(short_folder, proxied, postgres_url, KEYS_ARE_ASKED) as office,
            aio.insecure_channel(office.target) as channel,
        ):
            await until([channel], revoked, known=True)
            proxy.away = True
            proxy.cut_all()
            await revoke(postgres_url, revoked.number)
            for _ in range(20):
                assert await is_known(channel, kept)
                assert await is_known(channel, revoked)
                await asyncio.sleep(0.01)
            proxy.away = False
            assert await until([channel], revoked, known=False) < 3 * SECOND_S  # a second of it until Redis is tried
            assert await is_known(channel, kept)


async def test_a_redis_that_lost_the_credentials_gets_them_again(
    short_folder: Path, redis_url: str, postgres_url: str, redis_client: redis.asyncio.Redis
) -> None:
    """Emptied, Redis has them again within a second, and nobody was called unknown meanwhile."""
    held = await make_key(postgres_url)
    async with (
        running_office(short_folder, redis_url, postgres_url, KEYS_ARE_ASKED) as office,
        aio.insecure_channel(office.target) as channel,
    ):
        await until([channel], held, known=True)
        await redis_client.flushdb()
        began_s = time.monotonic()
        while not await redis_client.exists(keys.CREDENTIALS):
            assert await is_known(channel, held)
            assert time.monotonic() - began_s < SECOND_S
        assert await is_known(channel, held)


async def test_a_certificate_s_name_stands_for_one_caller_at_a_time(postgres_url: str) -> None:
    """The same name again is refused while it is in force, and may come back in another role once it is revoked."""
    first = await let_in(postgres_url, "spiffe://example.org/api")
    await revoke(postgres_url, first)
    assert await let_in(postgres_url, "spiffe://example.org/api", Role.ADMIN) > first
