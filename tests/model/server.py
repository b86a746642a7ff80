"""A Valkey that keeps nothing, for runs that are too long for the shared one."""

from __future__ import annotations

import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from gateway.embedded import locate_redis
from gateway.embedded.locate import Binary
from gateway.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def forgetful_server() -> Iterator[str]:
    """Provide the URL of a server that is gone at the end."""
    found = locate_redis(Settings())
    assert isinstance(found, Binary)
    with tempfile.TemporaryDirectory(prefix="tk-model-") as folder:
        path = Path(folder) / "redis.sock"
        options = ("--port", "0", "--unixsocket", path, "--dir", folder, "--save", "", "--appendonly", "no")
        process = subprocess.Popen([found.path, *options], stdout=subprocess.DEVNULL)
        try:
            wait_for(f"unix://{path}")
            yield f"unix://{path}"
        finally:
            process.terminate()
            process.wait()


def wait_for(url: str) -> None:
    """Wait until a server answers."""
    until_s = time.monotonic() + 10
    with redis.Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
            except redis.exceptions.ConnectionError:
                if time.monotonic() > until_s:
                    raise
                time.sleep(0.01)
            else:
                return
