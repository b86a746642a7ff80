"""A Valkey of a test's own, to be killed, stopped, emptied and started again on the same data and socket."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import redis.asyncio

from gateway.embedded import locate_redis
from gateway.embedded.locate import Binary
from gateway.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class OwnRedis:
    """One server process at a time; `url` stays the same over restarts."""

    def __init__(self, folder: Path) -> None:
        found = locate_redis(Settings())
        assert isinstance(found, Binary)
        self._binary = found.path
        self._socket = folder / "own.sock"
        self._data = folder / "own"
        self.url = f"unix://{self._socket}"
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start on the data that is there, and wait until it answers."""
        self.process = self._run()
        async with asyncio.timeout(10), redis.asyncio.Redis.from_url(self.url) as client:
            while True:
                try:
                    await client.ping()
                    break
                except redis.exceptions.ConnectionError:
                    await asyncio.sleep(0.01)

    def _run(self) -> subprocess.Popen[bytes]:
        self._data.mkdir(exist_ok=True)
        return subprocess.Popen(
            [
                *(self._binary, "--port", "0", "--unixsocket", self._socket, "--dir", self._data, "--save", ""),
                *("--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"),
            ],
            stdout=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def lose_everything(self) -> None:
        """Remove its data, as a disk that is gone."""
        shutil.rmtree(self._data)

    def pause(self) -> None:
        """Stop it without ending it: connections stay open and nothing answers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it run again."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def own_redis(folder: Path) -> Iterator[OwnRedis]:
    """Provide a server that is gone at the end, whatever happens."""
    own = OwnRedis(folder)
    try:
        yield own
    finally:
        own.kill()
