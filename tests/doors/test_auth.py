"""Nobody gets in without a credential, nobody gets further than its role and its customers, and a refusal is clear."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from grpc import StatusCode, aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from gateway import app
from gateway.client import Gateway, GatewayError
from gateway.credentials import NEEDED, Credentials, Mode, Role, new_key
from gateway.entrances import entrances
from gateway.rpc import services
from gateway.rpc.afterwards import Afterwards
from gateway.rpc.entitlements import Entitlements
from gateway.rpc.server import RpcDoor
from gateway.settings import Proof, Settings
from gateway.v1.entitlement_pb2 import BatchCheckEntitlementsRequest, CheckEntitlementRequest
from tests.conftest import SAMPLE, running_office
from tests.letting_in import KEYS_ARE_ASKED, Held, ask, make_key, outcome, requests, revoke, until_known

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import asyncpg
    import redis.asyncio

    from tests.conftest import Running

CHECK, BATCH = (f"gateway.v1.EntitlementService/{name}" for name in ("CheckEntitlement", "BatchCheckEntitlements"))
OK, DENIED, UNKNOWN = StatusCode.OK, StatusCode.PERMISSION_DENIED, StatusCode.UNAUTHENTICATED


@pytest.fixture
async def asking(short_folder: Path, redis_url: str, postgres_url: str) -> AsyncIterator[Running]:
    """An office that asks for keys, with acme on the developer plan."""
    admin = await make_key(postgres_url, Role.ADMIN)
    async with (
        running_office(short_folder, redis_url, postgres_url, KEYS_ARE_ASKED) as office,
        Gateway(office.target, key=admin.key) as operator,
    ):
        await operator.apply_catalog(SAMPLE)
        await operator.create_customer("acme")
        await operator.create_subscription("acme", "developer")
        yield office


@pytest.fixture
async def channel(asking: Running) -> AsyncIterator[aio.Channel]:
    """A channel to it."""
    async with aio.insecure_channel(asking.target) as opened:
        yield opened


@asynccontextmanager
async def unseen(redis_client: redis.asyncio.Redis, postgres: asyncpg.Connection) -> AsyncIterator[None]:
    """See that Redis is asked nothing for a caller, and that nothing changes in either store."""

    async def everything() -> object:
        names = sorted(await redis_client.keys())
        tables = await postgres.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        rows = {table[0]: await postgres.fetch(f'TABLE "{table[0]}"') for table in tables}
        return [await redis_client.dump(name) for name in names], names, {at: list(map(repr, rows[at])) for at in rows}

    before = await everything()
    await redis_client.config_resetstat()
    yield
    used = await redis_client.info("commandstats")
    assert not {"cmdstat_evalsha", "cmdstat_eval", "cmdstat_mget", "cmdstat_set", "cmdstat_xadd"} & set(used)
    assert await everything() == before


def empty_door() -> RpcDoor:
    """Make a door of all methods with nothing behind it: who is refused never gets there."""
    nothing: Any = None
    return RpcDoor(
        services.methods(Entitlements(nothing), services.Plane(nothing, nothing), Afterwards(nothing, nothing)),
        Credentials(),
        deadline_ms=1000,
    )


def bad_metadata(good: Held) -> list[tuple[tuple[str, str], ...]]:
    """List what may be sent in the place of a good key."""
    bad = ["", "Bearer", good.key, f"Basic {good.key}", f"Bearer {good.key[:-1]}", f"Bearer {good.key}, {good.key}"]
    bad += [f"Bearer {new_key(Mode.LIVE)}", f"Bearer {good.key.replace('live', 'test')}", "Bearer " + "A" * 4000]
    return [(), (*good.metadata, *good.metadata), *((("authorization", text),) for text in bad)]


async def test_nobody_gets_in_without_a_key(
    asking: Running, channel: aio.Channel, redis_client: redis.asyncio.Redis, postgres: asyncpg.Connection
) -> None:
    """At each method: nothing sent, half a key, a wrong one, a revoked one, two at once. No store is asked anything."""
    revoked = await make_key(asking.postgres_url, Role.ADMIN)
    await revoke(asking.postgres_url, revoked.number)
    good = await make_key(asking.postgres_url, Role.ADMIN)  # who knows the later one has heard of what came before
    await until_known(channel, good)
    async with unseen(redis_client, postgres):
        for method, request in requests("acme").items():
            for metadata in [*bad_metadata(good), revoked.metadata]:
                assert await outcome(channel, method, request, metadata) == (UNKNOWN, "UNAUTHENTICATED"), metadata


async def test_a_header_list_that_is_too_large_is_refused_by_grpc(channel: aio.Channel) -> None:
    """It costs us nothing, and the next call is served."""
    with pytest.raises(aio.AioRpcError) as refused:
        await ask(channel, CHECK, requests("acme")[CHECK], (("authorization", "Bearer " + "A" * 100_000),))
    assert refused.value.code() is StatusCode.RESOURCE_EXHAUSTED
    assert await outcome(channel, CHECK, requests("acme")[CHECK]) == (UNKNOWN, "UNAUTHENTICATED")


async def test_a_role_opens_its_methods_and_no_others(asking: Running, channel: aio.Channel) -> None:
    """Every role at every method; a method that had no row could not be served."""
    asked = requests("acme")
    assert set(asked) == set(NEEDED)
    for role in Role:
        held = await make_key(asking.postgres_url, role)
        await until_known(channel, held)
        for method, request in asked.items():
            code, reason = await outcome(channel, method, request, held.metadata)
            opened = role in {NEEDED[method], Role.ADMIN}
            assert (code is DENIED) != opened, (role, method)
            assert (reason == "PERMISSION_DENIED") != opened


async def test_a_method_without_a_role_cannot_be_served(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Denied by default: a door whose table has a method that nobody thought about does not open."""
    monkeypatch.delitem(NEEDED, CHECK)
    with pytest.raises(KeyError, match="CheckEntitlement"):
        await empty_door().start(entrances([f"unix:{short_folder / 'door.sock'}"], [Proof.KEYS], tls=False))


async def test_a_key_for_some_customers_names_no_other(
    asking: Running, channel: aio.Channel, redis_client: redis.asyncio.Redis, postgres: asyncpg.Connection
) -> None:
    """At each method and in each place of a batch; what concerns all customers is closed to it."""
    held = await make_key(asking.postgres_url, Role.ADMIN, customers=["acme", "newcomer"])
    await until_known(channel, held)
    async with unseen(redis_client, postgres):
        for customer in ("umbrella", "acme2", "ACME", "nobody"):
            for method, request in requests(customer).items():
                assert await outcome(channel, method, request, held.metadata) == (DENIED, "PERMISSION_DENIED"), method
        mine, other = (CheckEntitlementRequest(customer=one, feature="input_tokens") for one in ("acme", "umbrella"))
        for place in range(5):
            batch = BatchCheckEntitlementsRequest(claims=[other if at == place else mine for at in range(5)])
            assert await outcome(channel, BATCH, batch, held.metadata) == (DENIED, "PERMISSION_DENIED")
    asked = requests("newcomer")
    for name in ("CustomerService/CreateCustomer", "SubscriptionService/CreateSubscription", "UsageService/QueryUsage"):
        assert await outcome(channel, f"gateway.v1.{name}", asked[f"gateway.v1.{name}"], held.metadata) == (OK, "")


@pytest.mark.parametrize("role", Role)
async def test_a_test_key_sees_nothing_live(
    asking: Running,
    channel: aio.Channel,
    redis_client: redis.asyncio.Redis,
    postgres: asyncpg.Connection,
    role: Role,
) -> None:
    """Whatever it asks, it is told that test mode is not served yet; no store is asked for it."""
    held = await make_key(asking.postgres_url, role, mode=Mode.TEST)
    await until_known(channel, held)
    async with unseen(redis_client, postgres):
        for method, request in requests("acme").items():
            told = await outcome(channel, method, request, held.metadata)
            assert told == (StatusCode.FAILED_PRECONDITION, "FAILED_PRECONDITION")


async def test_health_needs_no_key_and_reflection_is_not_there(asking: Running, channel: aio.Channel) -> None:
    """A probe has no key; what is offered is told only where nobody is asked anything."""
    assert await asking.client.serving()
    stub = health_pb2_grpc.HealthStub(channel)
    assert set((await stub.List(health_pb2.HealthListRequest())).statuses) > {"", "gateway.v1.EntitlementService"}
    reflecting = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    with pytest.raises(aio.AioRpcError) as refused:
        await reflecting.ServerReflectionInfo(iter([asked])).read()
    assert refused.value.code() is StatusCode.UNIMPLEMENTED


async def test_each_entrance_asks_for_itself(short_folder: Path, redis_url: str, postgres_url: str) -> None:
    """A socket lets anybody in by choice; a port that others reach asks for a key, also when we come from here."""
    local, chosen = f"unix:{short_folder / 'local.sock'}", Settings(auth=(Proof.NONE, Proof.KEYS))
    held = await make_key(postgres_url)
    everywhere = "0.0.0.0:0"
    async with app.office(chosen, redis_url, postgres_url, [local, everywhere]) as office:
        port = office.listen[1].rpartition(":")[2]
        async with Gateway(local) as inside, Gateway(f"127.0.0.1:{port}") as outside:
            await inside.create_customer("acme")
            with pytest.raises(GatewayError, match="no key was sent") as refused:
                await outside.check("acme", "input_tokens")
            assert refused.value.misuse
        async with Gateway(f"127.0.0.1:{port}", key=held.key) as known:
            assert not (await known.check("acme", "input_tokens")).allowed


async def test_before_the_credentials_are_there_a_key_is_not_called_wrong(short_folder: Path) -> None:
    """UNAVAILABLE says that asking again may help; UNAUTHENTICATED would make an operator look for a new key."""
    door = empty_door()
    (address,) = await door.start(entrances([f"unix:{short_folder / 'door.sock'}"], [Proof.KEYS], tls=False))
    async with aio.insecure_channel(address) as channel:
        for method, request in requests("acme").items():
            metadata = (("authorization", f"Bearer {new_key(Mode.LIVE)}"),)
            told = await outcome(channel, method, request, metadata)
            assert told == (StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
    await door.stop()


async def test_no_store_ever_holds_a_key(
    asking: Running, redis_client: redis.asyncio.Redis, postgres: asyncpg.Connection
) -> None:
    """Neither Redis nor Postgres has more of it than its prefix and its digest."""
    held = await make_key(asking.postgres_url, customers=["acme"])
    async with aio.insecure_channel(asking.target) as channel:
        await until_known(channel, held)
    kept = repr(await postgres.fetch("TABLE credentials")) + await redis_client.get("tollkeeper:credentials")
    assert held.key[:12] in kept
    assert held.key[12:] not in kept
    assert held.key[:13] not in kept
