"""Both stores, from nothing to ready and back: one function that reads in the order in which things happen."""

from __future__ import annotations

import shutil
import signal
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from gateway.embedded.child import Child, stop
from gateway.embedded.folders import roll_call, run_folder, state_lock
from gateway.embedded.identity import Way, choose_way, copy_binaries, hand_over, leash_identity
from gateway.embedded.locate import External, locate_postgres, locate_redis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from gateway.embedded.folders import Roll
    from gateway.embedded.locate import Binary, Found
    from gateway.settings import Settings

_USER: Final = "tollkeeper"
_PORT: Final = 5432  # only names the socket: Postgres listens on no port
_PING_S_MAX: Final = 1.0


@dataclass(frozen=True, slots=True)
class Stores:
    """Where both stores answer, what they are, how Postgres is run when it is ours, and the pids of what is ours."""

    redis_url: str = field(repr=False)
    postgres_url: str = field(repr=False)
    redis: Found
    postgres: Found
    postgres_way: Way | None
    children: dict[str, int]


@asynccontextmanager
async def stores(
    state: Path, settings: Settings, progress: Callable[[str], None] = lambda _: None
) -> AsyncIterator[Stores]:
    """Run the stores that the settings do not name elsewhere, on the data in `state`, until the block ends.

    Call it in the main thread. Raises StoreUnavailableError (nothing to run, or it died: its log is quoted) and
    PreconditionError (another process holds the state folder).
    """
    redis, postgres = locate_redis(settings), locate_postgres(settings)
    if isinstance(redis, External) and isinstance(postgres, External):
        yield Stores(redis.url, postgres.url, redis, postgres, None, {})
        return
    with state_lock(state) as held, run_folder() as run:
        async with roll_call(held) as roll:
            site = _Site(held, run, roll)
            try:
                yield await _start(site, redis, postgres, progress)
            finally:
                stop(site.children)


async def reset(state: Path) -> None:
    """Remove both stores' data and logs, and nothing else; raises PreconditionError while they run."""
    with state_lock(state) as held:
        async with roll_call(held):
            for name in ("redis", "postgres", "postgres.unfinished", "binaries"):
                shutil.rmtree(held / name, ignore_errors=True)
            for name in ("redis.log", "postgres.log", "initdb.log"):
                (held / name).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Site:
    """Where things happen, and who has been started there."""

    state: Path
    run: Path
    roll: Roll
    children: list[Child] = field(default_factory=list)

    def start(self, name: str, command: Sequence[str], stop_signal: signal.Signals, identity: str = "self") -> Child:
        """Start a process and write it down, so that whatever comes, somebody stops it."""
        log = self.state / f"{name}.log"
        held = self.roll.descriptor
        child = Child.start(name, command, log=log, stop_signal=stop_signal, held=held, identity=identity)
        self.children.append(child)
        self.roll.note(self.run, self.children)
        return child


async def _start(site: _Site, redis: Found, postgres: Found, progress: Callable[[str], None]) -> Stores:
    """Start what is ours, Valkey first: it comes up while Postgres prepares its folder."""
    _forget(site.state / "postgres" / "postmaster.pid", site.roll.ended)
    site.roll.note(site.run, [])
    redis_url, postgres_url, way = "", "", None
    if isinstance(redis, External):
        redis_url, valkey = redis.url, None
    else:
        progress(f"starting {redis}")
        redis_url, valkey = f"unix://{quote(str(site.run))}/redis.sock", _start_valkey(site, redis)
    if isinstance(postgres, External):
        postgres_url = postgres.url
    else:
        way = choose_way(postgres.path.parent, (site.state, site.run))
        progress(f"starting {postgres}" + ("" if way is Way.SELF else f", run as: {way}"))
        await _start_postgres(site, postgres, way, progress)
        postgres_url = f"postgresql://{_USER}@/postgres?host={quote(str(site.run / 'postgres'))}&port={_PORT}"
    if valkey:
        await valkey.until(lambda: _answers_ping(site.run / "redis.sock"))
    running = {child.name: child.process.pid for child in site.children if child.process.poll() is None}
    return Stores(redis_url, postgres_url, redis, postgres, way, running)


def _start_valkey(site: _Site, found: Binary) -> Child:
    data = site.state / "redis"
    data.mkdir(mode=0o700, exist_ok=True)
    command = [
        *(str(found.path), "--port", "0", "--unixsocket", str(site.run / "redis.sock"), "--unixsocketperm", "700"),
        *("--dir", str(data), "--daemonize", "no", "--logfile", ""),
        *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),  # what was answered is on the disk
        *("--maxmemory-policy", "noeviction"),  # a counter is never dropped
    ]
    return site.start("redis", command, signal.SIGTERM)


async def _start_postgres(site: _Site, found: Binary, way: Way, progress: Callable[[str], None]) -> None:
    """Make the data folder where there is none, then start; SIGINT is Postgres's fast and clean stop."""
    binaries = copy_binaries(found.path.parent, site.state) if way is Way.COPY else found.path.parent
    identity = leash_identity(way)
    data, sockets = site.state / "postgres", site.run / "postgres"
    sockets.mkdir(mode=0o700)
    hand_over(sockets, way)
    if not data.exists():
        progress("preparing the Postgres data folder (once)")
        unfinished = site.state / "postgres.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        hand_over(unfinished, way)
        command = [
            *(str(binaries / "initdb"), "-D", str(unfinished), "-U", _USER, "--auth=trust", "-E", "UTF8", "--locale=C"),
            *("--no-sync", "--no-instructions"),  # an empty database is worth no fsync; what is written later is
        ]
        await site.start("initdb", command, signal.SIGTERM, identity).finish()
        unfinished.rename(data)
    hand_over(data, way)
    command = [
        *(str(binaries / "postgres"), "-D", str(data), "-h", "", "-p", str(_PORT), "-k", str(sockets)),
        *("-c", "unix_socket_permissions=0700", "-c", "fsync=on", "-c", "synchronous_commit=on"),
        *("-c", "shared_buffers=32MB", "-c", "dynamic_shared_memory_type=mmap"),  # containers have little /dev/shm
    ]
    child = site.start("postgres", command, signal.SIGINT, identity)
    await child.until(lambda: _says_ready(data / "postmaster.pid", child.process.pid))


def _forget(pid_file: Path, ended: frozenset[int]) -> None:
    """Remove the pid file of a killed Postgres of ours: its pid may by now be another's, in a container even soon."""
    try:
        pid = pid_file.read_text(encoding="utf-8").partition("\n")[0].strip()
    except FileNotFoundError:
        return
    if pid in map(str, ended):
        pid_file.unlink()


def _says_ready(pid_file: Path, pid: int) -> bool:
    """Read what `pg_ctl --wait` reads: the pid in the first line, the status in the eighth."""
    try:
        lines = pid_file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"  # noqa: PLR2004 - as above


def _answers_ping(path: Path) -> bool:
    """Ask Redis in its own words; while it replays its log it answers -LOADING."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PING_S_MAX)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False
