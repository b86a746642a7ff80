"""What a counter takes of Redis's memory beside a `SET key value EX` each, and of windows that are over."""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.counters import keys
from gateway.counters.connection import Address, Connection, pack
from gateway.counters.consume import COUNTED, SCRIPT, command_of_many, read_many
from gateway.counters.footing import Footing
from gateway.counters.order import Member, Order, Pool, Quota, Rolled, Sliding, Span
from gateway.embedded import locate_redis
from gateway.embedded.locate import Binary
from gateway.errors import StoreUnavailableError
from gateway.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

COUNTERS: Final = 1_000_000
OF_A_CUSTOMER: Final = (10, 3, 1)
"""So many counters each customer has, in turn; the first of these is what is to be met."""

SHARE_MAX: Final = 0.4
WINDOWS: Final = 10_000
ROLLING: Final = 16
"""So many customers go from window to window."""

GROWTH_MAX: Final = 1.02
"""What they take in the end beside what they took after a hundredth of the windows."""

DAY_MS: Final = 86_400_000
FAR_MS: Final = 4_000_000_000_000
AT_ONCE: Final = 64
IN_FLIGHT: Final = 16
KINDS: Final = (":month", "/minute", ":day", ":year", "/hour")
_FOOTING: Final = Footing.of("memory", "gateway")


class Measured(NamedTuple):
    """A row of the table."""

    about: str
    ours: float
    other: float
    bound: float | None

    @property
    def holds(self) -> bool:
        """Tell whether it is within its bound, if it has one."""
        return self.bound is None or self.ours / self.other <= self.bound

    def __str__(self) -> str:
        said = "" if self.bound is None else f"at most {self.bound:.2f}: {'holds' if self.holds else 'ABOVE'}"
        return f"{self.about:<48} {self.ours:>12,.1f} {self.other:>12,.1f} {self.ours / self.other:>7.3f}  {said}"


def counter(place: int) -> str:
    """Name a customer's counter as the product does."""
    return f"metered_{place // len(KINDS)}{KINDS[place % len(KINDS)]}"


def order(customer: str, limits: int) -> Order:
    """Count on so many counters of a customer; without an event, so that nothing but counters is there."""
    month = Span(time.time_ns() // 1_000_000 - DAY_MS, FAR_MS)
    quotas = tuple(Quota(counter(place), month, None) for place in range(limits))
    return Order(0, customer, quotas, 1234, version=1)


def rolling(customer: str, window: int) -> Order:
    """Count in the n-th window of a customer: a quota, a sliding window, and what rolls over from three windows."""
    span = Span(1000 + window, FAR_MS)
    slots = (Rolled(f"pool:day>{ordinal % 3}", ordinal, 5, 0) for ordinal in range(window + 7, window + 10))
    pool = Pool((*slots, Member("pool:day", span, 10)), 3, window + 10, 0, None)
    return Order(
        0, customer, (Quota("calls:day", span, None), Sliding("calls~second", 1000, 10**6), pool), 7, version=1
    )


async def call(redis: Connection, orders: Sequence[Order], first: int) -> None:
    """Count claims in one call of the script; each of them has to be counted."""
    answered: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    redis.send(command_of_many(_FOOTING, orders, range(first, first + len(orders))), answered.set_result)
    reply = await answered
    if isinstance(reply, Exception):
        raise reply
    assert all(answer.kind == COUNTED for answer in read_many(reply, orders)), reply


async def used_bytes(redis: Connection) -> int:
    """Ask Redis what it holds in memory, without what it lays out for clients."""
    told = await redis.call("INFO", "memory")
    assert isinstance(told, bytes | str)
    text = told.decode() if isinstance(told, bytes) else told
    rows = dict(row.split(":", 1) for row in text.splitlines() if ":" in row)
    return int(rows["used_memory"]) - int(rows["mem_clients_normal"])


async def begin(redis: Connection) -> int:
    """Empty Redis, be registered there; returns what it holds then."""
    await redis.call("FLUSHALL", "SYNC")
    await redis.call("SCRIPT", "LOAD", SCRIPT)
    await redis.call("HSET", keys.head(0), "line", _FOOTING.line, _FOOTING.gateway, 0)
    return await used_bytes(redis)


async def ours(redis: Connection, customers: int, limits: int) -> float:
    """Count for customers; returns the bytes of a counter."""
    empty = await begin(redis)
    for at in range(0, customers, AT_ONCE * IN_FLIGHT):
        parts = [
            [order(f"customer-{place:07}", limits) for place in range(first, min(first + AT_ONCE, customers))]
            for first in range(at, min(at + AT_ONCE * IN_FLIGHT, customers), AT_ONCE)
        ]
        await asyncio.gather(*(call(redis, part, at + AT_ONCE * place + 1) for place, part in enumerate(parts)))
    return (await used_bytes(redis) - empty) / (customers * limits)


async def plain(redis: Connection, customers: int, limits: int) -> float:
    """Set a key for each counter, with the same names, values and lives; returns the bytes of one."""
    empty = await begin(redis)
    lives_s = (FAR_MS - time.time_ns() // 1_000_000) // 1000
    for at in range(0, customers, AT_ONCE * IN_FLIGHT):
        sets = [
            pack("SET", f"{keys.use(0, f'customer-{customer:07}')}:{counter(place)}", 1234, "EX", lives_s)
            for customer in range(at, min(at + AT_ONCE * IN_FLIGHT, customers))
            for place in range(limits)
        ]
        await _answered(redis, sets)
    return (await used_bytes(redis) - empty) / (customers * limits)


async def grown(redis: Connection, windows: int) -> tuple[float, float]:
    """Go from window to window; returns what is held in the end, and what was after a hundredth of them."""
    empty, early = await begin(redis), 0
    for window in range(windows):
        await call(redis, [rolling(f"customer-{place}", window) for place in range(ROLLING)], ROLLING * window + 1)
        if window == windows // 100:
            early = await used_bytes(redis) - empty
    return await used_bytes(redis) - empty, early


async def _answered(redis: Connection, commands: Iterable[bytes]) -> None:
    loop = asyncio.get_running_loop()
    waiting = []
    for packed in commands:
        answered: asyncio.Future[object] = loop.create_future()
        redis.send(packed, answered.set_result)
        waiting.append(answered)
    refused = [reply for reply in await asyncio.gather(*waiting) if isinstance(reply, Exception)]
    if refused:
        raise refused[0]


@asynccontextmanager
async def redis_alone() -> AsyncIterator[Connection]:
    """Run a Redis that keeps nothing on disk."""
    found = locate_redis(Settings())
    if not isinstance(found, Binary):
        raise StoreUnavailableError("memory is measured of a Redis of its own: unset TOLLKEEPER_REDIS_URL")
    with tempfile.TemporaryDirectory(prefix="tk-memory-") as folder:
        socket = Path(folder) / "redis.sock"
        command = [
            str(found.path),
            "--port",
            "0",
            "--unixsocket",
            str(socket),
            "--dir",
            folder,
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: ASYNC220, S603 - our own, once
        try:
            while not socket.exists():  # noqa: ASYNC110 - it tells nobody else
                await asyncio.sleep(0.01)
            redis = await Connection.open(Address.parse(f"unix://{socket}"))
            yield redis
            redis.close()
        finally:
            server.kill()
            server.wait()


async def measure(counters: int, windows: int) -> list[Measured]:
    """Measure every row."""
    rows = []
    async with redis_alone() as redis:
        for limits in OF_A_CUSTOMER:
            customers = counters // limits
            about = f"bytes a counter, {customers:,} customers with {limits}"
            bound = SHARE_MAX if limits == OF_A_CUSTOMER[0] else None
            found = await ours(redis, customers, limits)
            rows.append(Measured(about, found, await plain(redis, customers, limits), bound))
        late, early = await grown(redis, windows)
        rows.append(Measured(f"bytes after {windows:,} windows / {windows // 100 + 1:,}", late, early, GROWTH_MAX))
    return rows


def main() -> int:
    """Print the table; 1 when a bound does not hold."""
    parser = argparse.ArgumentParser(prog="./dev bench memory", description=__doc__)
    parser.add_argument("--counters", type=int, default=COUNTERS)
    parser.add_argument("--windows", type=int, default=WINDOWS)
    given = parser.parse_args()
    rows = asyncio.run(measure(given.counters, given.windows))
    sys.stdout.write(f"{'':<48} {'ours':>12} {'SET … EX':>12} {'ratio':>7}\n")
    sys.stdout.writelines(f"{row}\n" for row in rows)
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
