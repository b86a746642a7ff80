"""Real stores for every test: one Valkey and one Postgres for the session, a database of its own in each for a test."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
import redis.asyncio
import uvloop

from gateway import app, embedded
from gateway.client import Gateway
from gateway.settings import Proof, Settings

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable, Iterator

    from gateway.embedded import Stores

SAMPLE = files("gateway").joinpath("catalogs/neural-language-engine.yaml").read_text(encoding="utf-8")
REDIS_DATABASES = 16
NOBODY_IS_ASKED = Settings(auth=(Proof.NONE,))


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on the loop that the product runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder for unix sockets: pytest's own are too long for one."""
    with tempfile.TemporaryDirectory(prefix="tk-test-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
async def shared_stores() -> AsyncIterator[Stores]:
    """One Valkey and one Postgres for all tests that do not break them."""
    folder = Path(tempfile.mkdtemp(prefix="tk-test-"))
    async with embedded.stores(folder / "state", Settings()) as stores:
        await app.migrate_database(stores.postgres_url)
        yield stores
    shutil.rmtree(folder, ignore_errors=True)


_numbers = itertools.count(1)


@pytest.fixture
async def redis_url(shared_stores: Stores) -> str:
    """An empty Redis database of this test's own."""
    url = f"{shared_stores.redis_url}?db={next(_numbers) % REDIS_DATABASES}"
    async with redis.asyncio.Redis.from_url(url) as client:
        await client.flushdb()
    return url


@pytest.fixture
async def postgres_url(shared_stores: Stores) -> AsyncIterator[str]:
    """A migrated, empty Postgres database of this test's own."""
    name = f"test_{next(_numbers)}"
    control = await asyncpg.connect(shared_stores.postgres_url)
    await control.execute(f"CREATE DATABASE {name} TEMPLATE postgres")
    yield shared_stores.postgres_url.replace("/postgres?", f"/{name}?")
    await control.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await control.close()


@dataclass(frozen=True)
class Running:
    """A running office, a client of it, and where its stores are."""

    office: app.Office
    client: Gateway
    redis_url: str
    postgres_url: str

    @property
    def target(self) -> str:
        """Where the gateway listens."""
        return self.office.listen[0]


@asynccontextmanager
async def running_office(
    folder: Path,
    redis_url: str,
    postgres_url: str,
    settings: Settings = NOBODY_IS_ASKED,
    journal: Path | None = None,
) -> AsyncIterator[Running]:
    """Run an office on a socket in `folder`, with a journal if it is told where; several may share stores."""
    address = f"unix:{folder / f'{next(_numbers)}.sock'}"
    async with AsyncExitStack() as stack:
        office = await stack.enter_async_context(
            app.office(settings, redis_url, postgres_url, [address], journal=journal)
        )
        client = await stack.enter_async_context(Gateway(address))
        yield Running(office, client, redis_url, postgres_url)


@pytest.fixture
async def office(short_folder: Path, redis_url: str, postgres_url: str) -> AsyncIterator[Running]:
    """An office with the sample catalog and a customer `acme` on the developer plan."""
    async with running_office(short_folder, redis_url, postgres_url) as running:
        await running.client.apply_catalog(SAMPLE)
        await running.client.create_customer("acme")
        await running.client.create_subscription("acme", "developer")
        yield running


@pytest.fixture
async def redis_client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """Somebody else's client, to look into Redis."""
    async with redis.asyncio.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
async def postgres(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A plain connection, to look into Postgres."""
    connection = await asyncpg.connect(postgres_url)
    yield connection
    await connection.close()
