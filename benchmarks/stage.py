"""Where a benchmark plays: a Redis and a Postgres of its own, a catalog, customers, and the product as it ships."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec
from redis import Redis

from benchmarks.processes import PYTHON, TOLLKEEPER, free_address, run, serving
from benchmarks.workload import customer_name
from gateway import app, embedded
from gateway.counters import keys
from gateway.counters.connection import Address, Connection
from gateway.counters.publish import publish
from gateway.documents import CustomerDocument, customer_document, plan_document
from gateway.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from benchmarks.processes import Cores, Server
    from benchmarks.workload import Headers

SWITCH: Final = "switch"
"""The boolean feature; the metered ones are metered_0, metered_1, …"""

KEYS: Final = 2
LIMIT: Final = 10**12
PUBLISHED_AT_ONCE: Final = 1000
PUBLISH_S_MAX: Final = 120.0
LOOK_EVERY_S: Final = 0.05
REDIS_OPTIONS: Final = ("--port", "0", "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction")
"""Nothing goes to disk: an fsync would hide what a call costs, on both sides of every ratio."""


class StageError(Exception):
    """The product does not come to where it can be measured."""


def metered(place: int) -> str:
    """``metered_7``."""
    return f"metered_{place}"


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is of everything; every plan has every feature, and customers are on the plans in turn."""

    customers: int = 10_000
    features: int = 10
    plans: int = 10


@dataclass(frozen=True, slots=True)
class Stage:
    """A running product, with what callers must send, and a folder for whoever else plays here."""

    product: Server
    """Over TCP."""
    nearby: Server
    """The same over a unix socket."""
    headers: Headers
    size: Size
    store: Server
    """Its Redis, over a unix socket."""
    redis: Connection
    folder: Path
    on: Cores

    @property
    def redis_url(self) -> str:
        """As programs are told it."""
        return f"unix://{self.store.address}"

    def trim(self) -> None:
        """Empty the usage streams: what one block wrote is not to be written down during the next."""
        with Redis(unix_socket_path=self.store.address) as client, client.pipeline(transaction=False) as calls:
            for bucket in range(keys.BUCKETS):
                calls.xtrim(keys.usage(bucket), maxlen=0, approximate=False)
            calls.execute()

    def fetched(self) -> int:
        """Tell how often documents were read from Redis since it started."""
        with Redis(unix_socket_path=self.store.address) as client:
            told = client.info("commandstats")
        assert isinstance(told, dict)
        return int(told.get("cmdstat_mget", {"calls": 0})["calls"])

    def baseline(self, name: str, *arguments: str) -> contextlib.AbstractContextManager[Server]:
        """Run one of `baselines/` beside it."""
        address = free_address()
        command = [*PYTHON, f"benchmarks.baselines.{name}", address, *arguments]
        return serving(name, command, address, core=self.on.measured, log=self.folder / f"{name}.log")


@contextlib.asynccontextmanager
async def stage(folder: Path, size: Size, on: Cores, progress: Callable[[str], None]) -> AsyncIterator[Stage]:
    """Set up everything in an empty folder with a short path; it is all ended with the block.

    The product alone runs on the measured core; call it on the other one.
    """
    async with contextlib.AsyncExitStack() as stack:
        found = embedded.locate_redis(Settings())
        assert isinstance(found, embedded.Binary), f"a benchmark brings its own Redis, not {found}"
        path = str(folder / "redis.sock")
        command = [str(found.path), *REDIS_OPTIONS, "--unixsocket", path, "--dir", str(folder)]
        store = stack.enter_context(serving("redis", command, path, core=on.others, log=folder / "redis.log"))
        environ = {
            "TOLLKEEPER_REDIS_URL": f"unix://{path}",
            "TOLLKEEPER_JOURNAL": str(folder / "journal"),
            "TOLLKEEPER_REDIS_TIMEOUT_MS": "900",  # Redis shares its core here with everybody but the product
        }
        redis = await Connection.open(Address.parse(environ["TOLLKEEPER_REDIS_URL"]))
        stack.callback(redis.close)
        headers = await _furnish(redis, size, folder, on, environ, progress)
        address, nearby, log = free_address(), f"unix:{folder / 'lane.sock'}", folder / "sidecar.log"
        sidecar = [*TOLLKEEPER, "sidecar", "--listen", address, "--listen", nearby]
        product = stack.enter_context(serving("sidecar", sidecar, address, core=on.measured, log=log, environ=environ))
        yield Stage(product, replace(product, address=nearby), headers, size, store, redis, folder, on)


async def _furnish(
    redis: Connection, size: Size, folder: Path, on: Cores, environ: Mapping[str, str], progress: Callable[[str], None]
) -> Headers:
    """Have an office apply the catalog and publish; it and its Postgres go before anything is measured."""
    progress(f"setting up {size.customers:,} customers, {size.features:,} features, {size.plans:,} plans")
    settings = Settings(redis_url=environ["TOLLKEEPER_REDIS_URL"])
    async with embedded.stores(folder / "state", settings, lambda _: None) as stores:
        await app.migrate_database(stores.postgres_url)
        environ = {**environ, "TOLLKEEPER_POSTGRES_URL": stores.postgres_url}
        address = free_address()
        office, log = [*TOLLKEEPER, "office", "--listen", address], folder / "office.log"
        with serving("office", office, address, core=on.measured, log=log, environ=environ):
            apply = ("catalog", "apply", "-", "--target", address, "--json")
            key = _key("admin", environ)
            run([*TOLLKEEPER, *apply], environ={**environ, "TOLLKEEPER_KEY": key}, given=catalog(size))
            headers = (("authorization", f"Bearer {_key('check', environ)}"),)
            await _until_published(redis, size)
    await publish_customers(redis, size)
    return headers


def _key(role: str, environ: Mapping[str, str]) -> str:
    """Make a key as an operator does."""
    made = run([*TOLLKEEPER, "key", "create", "--role", role, "--json"], environ=environ)
    return str(msgspec.json.decode(made)["key"])


def catalog(size: Size) -> str:
    """Write a catalog of that size: one switch, and as many metered features as are left, with monthly limits."""
    limit = f"{{limit: {LIMIT}, window: month, overage: deny}}"
    features = [metered(place) for place in range(size.features - 1)]
    lines = [
        "product: benchmark",
        "currency: USD",
        "meters: {calls: {unit: calls, aggregation: sum}}",
        "features:",
        f"  {SWITCH}: {{type: boolean}}",
        *(f"  {name}: {{type: metered, meter: calls}}" for name in features),
        "plans:",
    ]
    for place in range(size.plans):
        lines += [f"  {plan_name(place)}:", f"    display_name: Plan {place}", "    billing_interval: month"]
        lines += ["    entitlements:", f"      {SWITCH}: true", *(f"      {name}: {limit}" for name in features)]
    return "\n".join([*lines, ""])


def plan_name(place: int) -> str:
    """``plan_7``."""
    return f"plan_{place}"


async def publish_customers(redis: Connection, size: Size) -> None:
    """Publish every customer's document as the publisher does, without writing a million rows to Postgres first."""
    for first in range(0, size.customers, PUBLISHED_AT_ONCE):
        calls = []
        for place in range(first, min(first + PUBLISHED_AT_ONCE, size.customers)):
            name, plan = customer_name(place), plan_name(place % size.plans)
            document = CustomerDocument(1, name, name, keys.bucket_of(name), plan, plan_version=1, anchor_ms=0)
            calls.append(publish(redis, customer_document(name), document.version, msgspec.json.encode(document)))
        await asyncio.gather(*calls)


async def _until_published(redis: Connection, size: Size) -> None:
    """Wait until the publisher has published every plan, and both keys."""
    documents = [plan_document(plan_name(place), 1) for place in range(size.plans)]

    async def missing() -> bool:
        if await redis.call("EXISTS", *documents) != size.plans:
            return True
        published = await redis.call("GET", keys.CREDENTIALS)
        return not isinstance(published, bytes) or len(msgspec.json.decode(published)["credentials"]) < KEYS

    try:
        async with asyncio.timeout(PUBLISH_S_MAX):
            while await missing():  # noqa: ASYNC110 - Redis has no event for it
                await asyncio.sleep(LOOK_EVERY_S)
    except TimeoutError as error:
        raise StageError(f"{size.plans:,} plans are not published after {PUBLISH_S_MAX:g} s") from error
