"""A sidecar next to an API server: it decides on the lane, needs Redis alone, and goes without losing an answer."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from grpc import StatusCode

from gateway.client import Gateway, GatewayError
from gateway.counters import keys
from gateway.v1.entitlement_pb2 import CheckEntitlementRequest, Reason
from tests import terminal
from tests.conftest import SAMPLE, Running, running_office
from tests.counters_seen import counters

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator
    from pathlib import Path

    import redis.asyncio

MISUSE = 2


@asynccontextmanager
async def sidecar(
    redis_url: str, *listen: str, workers: int = 1, auth: str = "none"
) -> AsyncIterator[tuple[list[str], Process]]:
    """Run `tollkeeper sidecar`; yields where it serves. It must end well when it is told to."""
    places = [word for address in listen for word in ("--listen", address)]
    environ = {"TOLLKEEPER_REDIS_URL": redis_url, "TOLLKEEPER_AUTH": auth, "TOLLKEEPER_JOURNAL": "off"}
    process = await terminal.start("sidecar", *places, "--workers", str(workers), **environ)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(terminal.WAIT_S_MAX):
            said = (await process.stdout.readline()).decode()
        yield said.removeprefix("serving on ").strip().split(", "), process
    finally:
        if process.returncode is None:
            process.terminate()
        ended = await terminal.ended(process)
    assert ended.exit_code == 0, ended


async def until_serving(client: Gateway) -> None:
    """Wait until the lane answers."""

    async def serves() -> bool:
        try:
            return await client.serving()
        except GatewayError:
            return False

    await terminal.eventually(serves, "the sidecar does not serve")


async def ask_for_ever(client: Gateway) -> None:
    """Until an error."""
    while True:
        await client.check("acme", "input_tokens")


async def subscribe(client: Gateway) -> None:
    """Apply the sample catalog and put acme on the developer plan."""
    await client.apply_catalog(SAMPLE)
    await client.create_customer("acme")
    await client.create_subscription("acme", "developer")


async def test_it_serves_while_postgres_is_away(short_folder: Path, redis_url: str, postgres_url: str) -> None:
    """Once its documents are published, neither an office nor a Postgres is asked: it is not even told of one."""
    async with running_office(short_folder, redis_url, postgres_url) as office:
        await subscribe(office.client)
    async with sidecar(redis_url, f"unix:{short_folder / 'lane.sock'}") as ((address,), _), Gateway(address) as client:
        await until_serving(client)
        decision = await client.check("acme", "input_tokens", 5)
        assert (decision.allowed, decision.used, decision.degraded) == (True, 5, False)
        assert not (await client.check("acme", "priority_queue")).allowed
        assert (await client.check("nobody", "input_tokens")).reason == Reason.CUSTOMER_UNKNOWN
        features = (("input_tokens", 1), ("output_tokens", 2))
        batch = await client.batch_check(
            [CheckEntitlementRequest(customer="acme", feature=name, quantity=quantity) for name, quantity in features]
        )
        assert [one.used for one in batch.decisions] == [6, 2]


async def test_it_reserves_settles_lists_and_counts_together(office: Running, short_folder: Path) -> None:
    """What one calls for beside a check is answered by the lane as well, and both doors see the same counters."""
    async with (
        sidecar(office.redis_url, f"unix:{short_folder / 'lane.sock'}") as ((address,), _),
        Gateway(address) as client,
    ):
        await until_serving(client)
        claim = CheckEntitlementRequest(customer="acme", feature="input_tokens", quantity=400)
        held = await client.reserve(claim, 60_000)
        assert (held.decision.allowed, held.decision.used, held.ttl_ms) == (True, 400, 60_000)
        assert (await client.extend("acme", held.reservation, 90_000)).expires_at_ms > held.expires_at_ms
        assert (await client.commit("acme", held.reservation, 150)).quantity == 150
        assert (await client.commit("acme", held.reservation, 150)).replayed
        other = await client.reserve(claim)
        assert (await client.release("acme", other.reservation)).quantity == 0
        with pytest.raises(GatewayError, match="reservation none-1"):
            await client.release("acme", "none-1")
        too_much = CheckEntitlementRequest(customer="acme", feature="requests", quantity=101)
        batch = await client.batch_check([claim, too_much], atomic=True)
        assert [one.allowed for one in batch.decisions] == [True, False]
        listed = {one.feature: one.decision for one in (await client.entitlements("acme")).entitlements}
        assert (listed["input_tokens"].used, listed["max_seats"].value) == (150, "5")
        assert (await office.client.check("acme", "input_tokens", peek=True)).used == 150


async def test_it_may_start_before_there_is_anything(short_folder: Path, redis_url: str, postgres_url: str) -> None:
    """With an empty Redis nobody is unknown yet; as soon as an office has published, it decides, without a restart."""
    async with sidecar(redis_url, f"unix:{short_folder / 'lane.sock'}") as ((address,), _), Gateway(address) as client:
        await until_serving(client)
        early = await client.check("acme", "input_tokens")
        assert (early.allowed, early.reason, early.degraded) == (False, Reason.STORE_UNAVAILABLE, True)
        async with running_office(short_folder, redis_url, postgres_url) as office:
            await subscribe(office.client)

            async def decides() -> bool:
                return (await client.check("acme", "input_tokens")).allowed

            await terminal.eventually(decides, "the sidecar does not decide")


async def test_workers_share_a_port_and_have_sockets_of_their_own(office: Running, short_folder: Path) -> None:
    """Every worker counts on the same counters; a second sidecar on the same place is refused."""
    path = short_folder / "lane.sock"
    async with sidecar(office.redis_url, "127.0.0.1:0", f"unix:{path}", workers=2) as (addresses, _):
        port, *sockets = addresses
        assert sockets == [f"unix:{path}.0", f"unix:{path}.1"]
        used = []
        for address in (*sockets, *[port] * 6):
            async with Gateway(address) as client:
                await until_serving(client)
                used.append((await client.check("acme", "input_tokens")).used)
        assert used == list(range(1, 9))
        environ = {"TOLLKEEPER_REDIS_URL": office.redis_url, "TOLLKEEPER_AUTH": "none", "TOLLKEEPER_JOURNAL": "off"}
        for place in (port, sockets[0]):
            second = await terminal.run("sidecar", "--listen", place, **environ)
            assert (second.exit_code, second.out) == (MISUSE, "")
            assert "cannot listen on" in second.err
    assert not [name for name in os.listdir(short_folder) if name.startswith("lane.sock")]  # noqa: PTH208 - in async


@pytest.mark.parametrize("workers", [1, 2])
async def test_what_is_under_way_is_answered_before_it_goes(
    office: Running, redis_client: redis.asyncio.Redis, workers: int
) -> None:
    """SIGTERM in the midst of many calls: every use that was counted was answered, and the exit code is 0."""
    allowed = 0
    async with sidecar(office.redis_url, "127.0.0.1:0", workers=workers) as ((address,), process):

        async def ask(client: Gateway) -> None:
            nonlocal allowed
            while True:
                decision = await client.check("acme", "output_tokens")
                assert decision.allowed
                allowed += 1
                if allowed == 300:
                    process.send_signal(signal.SIGTERM)

        async with Gateway(address) as one, Gateway(address) as other:
            await until_serving(one)
            asked = await asyncio.gather(*(ask(client) for client in (one, other) * 8), return_exceptions=True)
        assert all(isinstance(outcome, GatewayError) and outcome.code is StatusCode.UNAVAILABLE for outcome in asked), (
            asked
        )
    bucket = keys.bucket_of("acme")
    counted = [fields for _, fields in await redis_client.xrange(keys.usage(bucket))]
    assert len(counted) <= allowed
    assert (await counters(redis_client, bucket, "acme"))["output_tokens:month"][0] == allowed


async def test_a_key_is_asked_for_and_refused_soon_after_it_was_revoked(office: Running) -> None:
    """On the lane as on the other door; a role and a customer that a key is not for are refused as well."""

    async def key(command: str, *arguments: str) -> dict[str, str]:
        ran = await terminal.run("key", command, *arguments, "--json", TOLLKEEPER_POSTGRES_URL=office.postgres_url)
        assert ran.exit_code == 0, ran
        made: dict[str, str] = ran.json
        return made

    api = await key("create", "--role", "check")
    books = await key("create", "--role", "billing")
    another = await key("create", "--role", "check", "--customer", "umbrella")
    async with sidecar(office.redis_url, "127.0.0.1:0", auth="keys") as ((address,), _):
        refused = (
            (None, "no key was sent"),
            (books["key"], "role is billing"),
            (another["key"], "is not for customer 'acme'"),
        )
        for sent, said in refused:
            async with Gateway(address, key=sent) as client:
                await until_serving(client)
                with pytest.raises(GatewayError, match=said):
                    await client.check("acme", "input_tokens")
        async with Gateway(address, key=api["key"]) as client:
            assert (await client.check("acme", "input_tokens")).allowed
            await key("revoke", str(api["id"]))
            with pytest.raises(GatewayError, match="unknown or revoked"):
                await asyncio.wait_for(ask_for_ever(client), 1)


async def test_a_sidecar_without_a_redis_says_what_is_missing() -> None:
    """In one line, before it listens anywhere."""
    ran = await terminal.run("sidecar", TOLLKEEPER_AUTH="none")
    assert (ran.exit_code, ran.out) == (MISUSE, "")
    assert "set TOLLKEEPER_REDIS_URL" in ran.err


async def test_nobody_is_let_in_from_afar_without_keys(redis_url: str) -> None:
    """A place beyond this machine asks for keys or certificates."""
    ran = await terminal.run("sidecar", "--listen", "0.0.0.0:0", TOLLKEEPER_REDIS_URL=redis_url, TOLLKEEPER_AUTH="none")
    assert (ran.exit_code, ran.out) == (MISUSE, "")
    assert "without keys or mtls" in ran.err
