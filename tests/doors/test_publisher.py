"""What waits is published in bounded batches: what was sent stays sent, and a catalog is read once for all plans."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest

from billing_core.entitlements import Window
from gateway import publisher
from gateway.catalog_file import parse_catalog, write_catalog
from gateway.counters import keys
from gateway.counters.connection import Address
from gateway.credentials import Mode, Role
from gateway.documents import PlanDocument, Rate, Rated
from gateway.errors import StoreUnavailableError
from gateway.plan_documents import InForce, read_plan_document
from gateway.publisher import Publisher
from gateway.records import catalogs, credentials
from gateway.records.credentials import Grantee
from gateway.records.database import Database
from gateway.upgrades import UPGRADES_MAX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg
    import redis.asyncio

FEATURES = 10


def ladder(plans: int) -> str:
    """Write a catalog of plans each of which gives more of every feature than the one before."""
    names = [f"feature_{place}" for place in range(FEATURES)]
    lines = [
        "product: ladder",
        "currency: USD",
        "features:",
        *(f"  {name}: {{type: rate}}" for name in names),
        "plans:",
    ]
    for place in range(plans):
        limits = ", ".join(f"{name}: {{limit: {place}, window: minute}}" for name in names)
        lines.append(f"  plan_{place}: {{billing_interval: month, entitlements: {{{limits}}}}}")
    return "\n".join(lines)


class Desk:
    """A database with a catalog applied, and what its publisher reads, by plan."""

    def __init__(self, database: Database, redis_url: str) -> None:
        self.publisher = Publisher(database, Address.parse(redis_url))
        self.catalogs_read: list[int] = []
        self.plans_read: list[str] = []
        self._database = database

    async def apply(self, source: str) -> None:
        """Apply a catalog as the door does."""
        catalog = parse_catalog(source)
        definitions = {plan: write_catalog(catalog.narrowed_to(plan)) for plan in catalog.plans}
        async with self._database.transaction() as connection:
            await catalogs.apply(connection, catalog.product, source, definitions, validate_only=False)

    def read_catalog(self, version: int, source: str) -> InForce:
        """Read it, and note that."""
        self.catalogs_read.append(version)
        return InForce.of(version, parse_catalog(source))

    def read_plan(self, definition: str, plan: str, version: int, in_force: InForce) -> PlanDocument:
        """Read it, and note that."""
        self.plans_read.append(plan)
        return read_plan_document(definition, plan, version, in_force)

    async def published(self) -> None:
        """Wait until nothing is left to be published."""
        async with asyncio.timeout(30):
            while await self._left():
                await asyncio.sleep(0.01)

    async def add_key(self) -> None:
        """Let somebody in."""
        async with self._database.transaction() as connection:
            grantee = Grantee("api", Role.CHECK, Mode.LIVE, None)
            await credentials.add_key(connection, grantee, "tk_live_abcd", "a" * 64)

    async def _left(self) -> int:
        async with self._database.transaction() as connection:
            count: int = await connection.fetchval("SELECT count(*) FROM publications")
            return count


@asynccontextmanager
async def desk_on(redis_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """Set up a publisher that notes what it reads, not started."""
    database = await Database.open(postgres_url)
    desk = Desk(database, redis_url)
    monkeypatch.setattr(InForce, "read", desk.read_catalog)
    monkeypatch.setattr(publisher, "read_plan_document", desk.read_plan)
    yield desk
    await desk.publisher.stop()
    await database.close()


@pytest.fixture
async def desk(redis_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """Give each test its own."""
    async with desk_on(redis_url, postgres_url, monkeypatch) as made:
        yield made


async def test_a_catalog_is_read_once_for_all_its_plans(
    desk: Desk, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 plans of ten features, in many batches: one reading of their catalog, one of each plan, small documents."""
    monkeypatch.setattr(publisher, "BATCH", 30)
    await desk.publisher.start()
    await desk.apply(ladder(200))
    await desk.published()
    assert desk.catalogs_read == [1]
    assert sorted(desk.plans_read) == sorted(f"plan_{place}" for place in range(200))
    document = msgspec.json.decode(await redis_client.get("plan:plan_100:1"), type=PlanDocument)
    expected = tuple(f"plan_{place}" for place in range(101, 101 + UPGRADES_MAX))
    assert document.features == {
        f"feature_{place}": Rated((Rate(Window.MINUTE, 100),), expected) for place in range(FEATURES)
    }


async def test_what_was_sent_stays_sent(
    desk: Desk, redis_client: redis.asyncio.Redis, postgres: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches whose time is up end early; when one fails, those before it are not published again."""

    def failing(definition: str, plan: str, version: int, in_force: InForce) -> PlanDocument:
        if len(desk.plans_read) == 4 and not mended.is_set():
            raise StoreUnavailableError("it takes too long")
        return desk.read_plan(definition, plan, version, in_force)

    mended = threading.Event()
    monkeypatch.setattr(publisher, "BATCH_S_MAX", 0)
    monkeypatch.setattr(publisher, "read_plan_document", failing)
    await desk.publisher.start()
    await desk.apply(ladder(10))
    await desk.publisher.publish_soon()
    before = list(desk.plans_read)
    assert len(before) == 4
    assert await postgres.fetchval("SELECT count(*) FROM publications") == 6
    assert await redis_client.exists(*(f"plan:{plan}:1" for plan in before)) == 4
    mended.set()
    await desk.publisher.publish_soon()
    await desk.published()
    assert len(desk.plans_read) == len(set(desk.plans_read)) == 10
    assert await redis_client.exists(*(f"plan:plan_{place}:1" for place in range(10))) == 10


async def test_whoever_waits_no_longer_leaves_publishing_going_on(
    desk: Desk, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that takes long is left behind after a while, and is published once, without beginning anew."""

    def held_up(definition: str, plan: str, version: int, in_force: InForce) -> PlanDocument:
        document = desk.read_plan(definition, plan, version, in_force)
        assert go_on.wait(10)
        return document

    go_on = threading.Event()
    monkeypatch.setattr(publisher, "SOON_S_MAX", 0.05)
    monkeypatch.setattr(publisher, "read_plan_document", held_up)
    await desk.publisher.start()
    await desk.apply(ladder(1))
    await desk.publisher.publish_soon()
    assert desk.plans_read == ["plan_0"]
    assert not await redis_client.exists("plan:plan_0:1")
    go_on.set()
    await desk.published()
    assert desk.plans_read == ["plan_0"]
    assert await redis_client.exists("plan:plan_0:1")


async def test_what_was_just_committed_is_published_when_asked_for(
    desk: Desk, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for the next look: what was committed before asking is in Redis when the answer comes."""
    monkeypatch.setattr(publisher, "LOOK_EVERY_S", 60)
    monkeypatch.setattr(publisher, "SOON_S_MAX", 60)
    await desk.publisher.start()
    for plans in (1, 2, 3):
        await desk.apply(ladder(plans))
        await desk.publisher.publish_soon()
        assert await redis_client.exists(f"plan:plan_{plans - 1}:1")


async def test_who_is_revoked_does_not_wait_for_many_plans(
    desk: Desk, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of credentials is published between two batches, long before the last plan is."""

    def slow(definition: str, plan: str, version: int, in_force: InForce) -> PlanDocument:
        if len(desk.plans_read) == 1:
            begun.set()
            assert go_on.wait(10)
        if len(desk.plans_read) == 3:
            assert seen.wait(10)
        return desk.read_plan(definition, plan, version, in_force)

    begun, go_on, seen = threading.Event(), threading.Event(), threading.Event()
    monkeypatch.setattr(publisher, "BATCH", 1)
    monkeypatch.setattr(publisher, "read_plan_document", slow)
    await desk.publisher.start()
    await desk.apply(ladder(4))
    async with asyncio.timeout(10):
        while not begun.is_set():
            await asyncio.sleep(0.01)
        await desk.add_key()
        go_on.set()
        while not await holds_a_credential(redis_client):
            await asyncio.sleep(0.01)
    assert len(desk.plans_read) <= 3
    seen.set()
    await desk.published()


async def holds_a_credential(redis_client: redis.asyncio.Redis) -> bool:
    """Tell whether Redis has heard of one."""
    return bool(msgspec.json.decode(await redis_client.get(keys.CREDENTIALS))["credentials"])
