"""A state folder for each test of the embedded stores, and a supervisor that can be killed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.embedded import identity
from tests.doors.embedded.seen import kill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.embedded import Way

    Supervise = Callable[..., subprocess.Popen[str]]

ROOT = Path(__file__).resolve().parents[3]

SUPERVISOR = """
import asyncio, json, sys
from pathlib import Path
from gateway import embedded
from gateway.embedded import Way, identity
from gateway.settings import Settings

async def main(state, binaries, ways):
    identity.ROOT_WAYS = tuple(map(Way, ways.split(",")))
    async with embedded.stores(Path(state), Settings(postgres_bin=binaries or None)) as stores:
        told = [stores.redis_url, stores.postgres_url, stores.postgres_way, stores.children]
        print(json.dumps(told), flush=True)
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def state() -> Iterator[Path]:
    """A state folder that is not there yet, in a place that everyone may pass through."""
    with tempfile.TemporaryDirectory(prefix="tk-state-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "state"


@pytest.fixture
def supervise(state: Path) -> Iterator[Supervise]:
    """Run the stores in a process of their own, which can be killed, and at the end of the test is."""
    running = []

    def start(binaries: str = "", ways: tuple[Way, ...] = identity.ROOT_WAYS) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SUPERVISOR, str(state), binaries, ",".join(ways)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT))
        return running[-1]

    yield start
    for supervisor in running:
        kill(supervisor)
