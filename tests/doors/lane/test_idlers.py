"""Ten thousand connections on which nothing is asked cost little, and nobody else waits for them."""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import time
import tracemalloc
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import pytest

from tests.doors.lane.idlers import open_files_max

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.doors.lane.wire import Served

IDLERS: Final = 10_000
OF_OTHERS: Final = 500
"""Open files that tests and their stores have besides."""

BYTES_MAX: Final = 6 * 1024
LEFT_BYTES_MAX: Final = 200
"""Of a connection that is gone: a table that held ten thousand keeps its room for the next."""

CPU_S_MAX: Final = 10
"""For all of them, with memory traced, which makes it several times slower."""

ANSWER_S_MAX: Final = 0.5


@pytest.fixture
def count() -> Iterator[int]:
    """As many as this process may open, up to ten thousand."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield min(IDLERS, open_files_max() - OF_OTHERS)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@asynccontextmanager
async def idling(served: Served, count: int) -> AsyncIterator[None]:
    """Have so many connections open, and closed again at the end."""
    idlers = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.doors.lane.idlers", served.address.removeprefix("unix:"), str(count)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert idlers.stdin is not None
    assert idlers.stdout is not None
    try:
        async with asyncio.timeout(100):
            assert await idlers.stdout.readline() == b"open\n"
            while sum(one._greeted for one in served.lane.connections) < count:
                await asyncio.sleep(0.01)
        yield
    finally:
        idlers.stdin.close()
        await idlers.wait()
    async with asyncio.timeout(100):
        while served.lane.connections:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # the loop lets go of what it has closed


async def test_ten_thousand_idle_connections_cost_little(served: Served, count: int) -> None:
    """Some 4 KiB each, nothing afterwards; a call beside them is answered at once, while they are looked after too."""
    tracemalloc.start()
    try:
        before, begun_s = tracemalloc.get_traced_memory()[0], time.process_time()
        async with idling(served, count):
            assert len(served.lane.connections) == count
            assert time.process_time() - begun_s < CPU_S_MAX
            gc.collect()
            each = (tracemalloc.get_traced_memory()[0] - before) / count
            assert each < BYTES_MAX, f"{each:.0f} bytes for a connection"
            async with served.peer() as peer:
                for stream_id in range(1, 21, 2):
                    asked_s = time.monotonic()
                    await peer.echoes(stream_id)
                    served.lane.loop.call_soon(served.lane._look)
                    assert time.monotonic() - asked_s < ANSWER_S_MAX
        gc.collect()
        left = tracemalloc.get_traced_memory()[0] - before
        assert left < count * LEFT_BYTES_MAX, f"{left} bytes are kept of connections that are gone"
    finally:
        tracemalloc.stop()
