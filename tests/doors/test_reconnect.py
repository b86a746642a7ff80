"""A connection that is always there or on its way: for any number of failures, and without leaving sockets behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.counters import reconnect
from gateway.counters.connection import Address, Connection
from gateway.counters.reconnect import stay_connected
from gateway.errors import StoreUnavailableError

if TYPE_CHECKING:
    import redis.asyncio

FAILURES = 1500


class EnoughError(Exception):
    """The test has seen enough."""


async def test_it_never_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours without Redis are as many failures as you like; each pause stays below a second."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == FAILURES:
            raise EnoughError

    monkeypatch.setattr(reconnect.asyncio, "sleep", pause)
    with pytest.raises(EnoughError):
        await stay_connected(Address(path="/nowhere/redis.sock"), lambda _: asyncio.Event().wait())
    assert max(pauses) <= reconnect.DELAY_S_MAX


async def test_a_bug_behind_it_is_shown_and_tried_again(redis_url: str) -> None:
    """What raises an unexpected exception is logged and served again, not left dead."""
    served = 0

    async def serve(_: Connection) -> None:
        nonlocal served
        served += 1
        raise ZeroDivisionError

    task = asyncio.create_task(stay_connected(Address.parse(redis_url), serve))
    async with asyncio.timeout(5):
        while served < 3:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_refused_hello_leaves_no_socket_behind(redis_url: str, redis_client: redis.asyncio.Redis) -> None:
    """A wrong password is said so, without the password, and the connection is closed."""
    before = len(await redis_client.client_list())
    stranger = Address(path=Address.parse(redis_url).path, username="nobody", password="s3cret")  # noqa: S106 - it is wrong
    for _ in range(5):
        with pytest.raises(StoreUnavailableError, match="WRONGPASS") as refused:
            await Connection.open(stranger)
        assert "s3cret" not in str(refused.value)
    async with asyncio.timeout(2):
        while len(await redis_client.client_list()) > before:
            await asyncio.sleep(0.01)
