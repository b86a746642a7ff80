"""How long one call of the script takes a process such as the gateway, with nothing else to do: run as a program.

It counts claims of the same customers over the same kind of socket, keeps so many calls in flight, and prints the
percentiles of their round trips in microseconds as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import hiredis
import uvloop

from benchmarks.claims import Claims, counted
from benchmarks.histogram import Histogram
from benchmarks.workload import Draw
from gateway.counters import keys
from gateway.counters.connection import pack
from gateway.counters.consume import SCRIPT

if TYPE_CHECKING:
    from collections.abc import Callable

WARM_SHARE: Final = 0.2
"""The first part of the calls is not measured."""


class Pipe(asyncio.Protocol):
    """A bare connection: bytes out, replies to callbacks in order."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader()
        self._waiting: deque[Callable[[Any], None]] = deque()
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hand over what came."""
        self._reader.feed(data)
        while (answer := self._reader.gets()) is not False:
            self._waiting.popleft()(answer)

    def send(self, packed: bytes, reply: Callable[[Any], None]) -> None:
        """Send a command at once."""
        self._waiting.append(reply)
        self._transport.write(packed)

    def ask(self, packed: bytes) -> asyncio.Future[Any]:
        """Send a command and await its reply."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.send(packed, future.set_result)
        return future


async def measure(path: str, customers: int, feature: str, depth: int, seconds: float) -> dict[str, float]:
    """Keep so many calls in flight for a while; raises RuntimeError when one is not counted."""
    loop = asyncio.get_running_loop()
    _, pipe = await loop.create_unix_connection(Pipe, path)
    await pipe.ask(pack("SCRIPT", "LOAD", SCRIPT))
    line = await pipe.ask(pack("HGET", keys.head(0), "line"))
    claims = Claims(line.decode(), feature, Draw(customers))
    alike = [claims.order(Draw(customers)[1])]
    for packed in claims.register():
        await pipe.ask(packed)
    latency_ns, done = Histogram(), asyncio.Event()
    begun_ns = time.perf_counter_ns()
    from_ns, until_ns = begun_ns + int(seconds * WARM_SHARE * 1e9), begun_ns + int(seconds * 1e9)
    last = in_flight = 0

    def send() -> None:
        nonlocal last, in_flight
        last, in_flight = last + 1, in_flight + 1
        packed = claims[last]
        sent_ns = time.perf_counter_ns()

        def answered(answer: Any) -> None:
            nonlocal in_flight
            now_ns = time.perf_counter_ns()
            in_flight -= 1
            if not counted(answer, alike):
                raise RuntimeError(f"the script was to count, and answered {answer!r}")
            if sent_ns >= from_ns:
                latency_ns.add(now_ns - sent_ns)
            if now_ns < until_ns:
                send()
            elif not in_flight:
                done.set()

        pipe.send(packed, answered)

    for _ in range(depth):
        send()
    async with asyncio.timeout(seconds + 5):
        await done.wait()
    p50, p99 = (latency_ns.percentile(percent) / 1000 for percent in (50, 99))
    return {"p50_us": p50, "p99_us": p99, "calls": latency_ns.count}


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("path", help="the unix socket of Redis")
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--feature", default="metered_0")
    parser.add_argument("--depth", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0)
    given = parser.parse_args()
    measured = measure(given.path, given.customers, given.feature, given.depth, given.seconds)
    sys.stdout.write(json.dumps(uvloop.run(measured)) + "\n")


if __name__ == "__main__":
    main()
