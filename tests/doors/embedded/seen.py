"""What the tests of the embedded stores do to them and see of them, from outside."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import redis

from gateway.embedded import Way, identity
from gateway.embedded.child import leashed

if TYPE_CHECKING:
    from gateway.embedded import Stores

GONE_S_MAX = 10.0


async def write(stores: Stores, value: str) -> None:
    """Leave a value in both stores."""
    await write_to(stores.redis_url, stores.postgres_url, value)


async def write_to(redis_url: str, postgres_url: str, value: str) -> None:
    """Leave a value in both stores; when this returns, both have answered that they have it."""
    with redis.Redis.from_url(redis_url) as client:
        client.set("kept", value)
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute("CREATE TABLE kept (value text)")
        await connection.execute("INSERT INTO kept VALUES ($1)", value)
    finally:
        await connection.close()


async def kept(stores: Stores) -> tuple[str, str]:
    """Read what both stores have kept."""
    with redis.Redis.from_url(stores.redis_url, decode_responses=True) as client:
        from_redis = client.get("kept")
    connection = await asyncpg.connect(stores.postgres_url)
    try:
        return from_redis, await connection.fetchval("SELECT value FROM kept")
    finally:
        await connection.close()


def run_folder_of(redis_url: str) -> Path:
    """Return the folder of the sockets."""
    return Path(redis_url.removeprefix("unix://")).parent


def names_in(folder: Path) -> list[str]:
    """List a folder."""
    return sorted(path.name for path in folder.iterdir())


def mode_of(path: Path) -> int:
    """Return who may do what with a file or folder."""
    return path.stat().st_mode & 0o777


def touch(path: Path) -> None:
    """Make an empty file."""
    path.touch()


def closed_folder(folder: Path) -> Path:
    """Make a folder that only its owner may enter."""
    folder.mkdir(mode=0o700)
    return folder


def runs(pid: int) -> bool:
    """Tell whether a process runs; one that is dead and not yet collected does not."""
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(told.strip()) and not told.startswith("Z")


def wait_until_gone(*pids: int) -> None:
    """Wait for processes that are not ours to wait for."""
    deadline = time.monotonic() + GONE_S_MAX
    while any(map(runs, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kill(supervisor: subprocess.Popen[str]) -> None:
    """Kill a supervisor as the kernel would for want of memory."""
    supervisor.kill()
    supervisor.wait()
    assert supervisor.stdout is not None
    supervisor.stdout.close()


def machine_allows(way: Way) -> bool:
    """Tell whether root may become what this way needs, wherever the binaries lie."""
    trial = leashed(["/bin/sh", "-c", "exit 0"], identity.leash_identity(way))
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


def expected_of(*ways: Way) -> Way:
    """Return the first of the ways that fit the place and that the machine allows."""
    return Way.SELF if os.geteuid() else next(filter(machine_allows, ways))
