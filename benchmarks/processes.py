"""Which processes run where, what they compute, and how much others disturb them, by Linux's own counters."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.embedded.child import leashed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
START_S_MAX: Final = 30.0
STOP_S_MAX: Final = 10.0
PYTHON: Final = (sys.executable, "-m")
TOLLKEEPER: Final = (sys.executable, "-c", "from gateway.cli import main; main()")


@dataclass(frozen=True, slots=True)
class Cores:
    """What is measured has the first for itself; Redis, the load and everybody else share the other."""

    measured: int
    others: int


@contextlib.contextmanager
def apart() -> Iterator[Cores]:
    """Move us, and who is started from here on, off the core of what is measured, until the block ends.

    Raises RuntimeError where there is one core only: who shares it with the load is measured waiting for it.
    """
    ours = sorted(os.sched_getaffinity(0))
    if len(ours) == 1:
        raise RuntimeError("a benchmark needs two cores: one for what is measured, one for all that measures it")
    with on_core(ours[-1]):
        yield Cores(ours[0], ours[-1])


@dataclass(frozen=True, slots=True)
class Server:
    """A running process that answers at `address`, which is a path or host:port."""

    name: str
    address: str
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """The root of its process tree."""
        return self.process.pid


@contextlib.contextmanager
def serving(
    name: str, command: Sequence[str], address: str, *, core: int, log: Path, environ: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run a server on one core until the block ends; it is there when it accepts connections, and dies when we do."""
    with log.open("wb") as output, on_core(core):
        process = subprocess.Popen(  # noqa: S603 - a command of ours, as a list
            leashed(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environ or {})},
            start_new_session=True,  # Ctrl-C is for us: we end it
        )
    try:
        _until_it_accepts(name, address, process, log)
        yield Server(name, address, process)
    finally:
        _end(process)


def run(command: Sequence[str], *, environ: Mapping[str, str] | None = None, given: str = "") -> str:
    """Run a command to its end; returns what it printed. Raises CalledProcessError when it fails."""
    process = subprocess.run(  # noqa: S603 - as above
        command, env={**os.environ, **(environ or {})}, input=given, text=True, stdout=subprocess.PIPE, check=True
    )
    return process.stdout


def free_address() -> str:
    """Name a port of this host that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Compute there, and have children begin there: every thread that they start inherits it."""
    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, ours)


def _until_it_accepts(name: str, address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until_s = time.monotonic() + START_S_MAX
    while not _accepts(address):
        if process.poll() is not None or time.monotonic() > until_s:
            told = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise RuntimeError(f"{name} does not listen on {address}; it says:\n{told}")
        time.sleep(0.01)


def _accepts(address: str) -> bool:
    unix = "/" in address
    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as probe:
        host, _, port = address.rpartition(":")
        return probe.connect_ex(address if unix else (host, int(port))) == 0


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, then make it."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S_MAX)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


# what was computed


@dataclass(frozen=True, slots=True)
class Reading:
    """Seconds computed so far by the server, by all of ours, and by the whole machine; and those stolen from it."""

    at_s: float
    server_s: float
    ours_s: float
    machine_s: float
    stolen_s: float


@dataclass(frozen=True, slots=True)
class Shares:
    """What was computed between two readings; shares of all cores together."""

    server_s: float
    foreign: float
    stolen: float

    @classmethod
    def between(cls, before: Reading, after: Reading) -> Shares:
        """Subtract; foreign is what neither the server nor any other process of ours computed."""
        capacity_s = (after.at_s - before.at_s) * (os.cpu_count() or 1)
        foreign_s = (after.machine_s - before.machine_s) - (after.ours_s - before.ours_s)
        stolen_s = after.stolen_s - before.stolen_s
        return cls(after.server_s - before.server_s, max(0.0, foreign_s) / capacity_s, stolen_s / capacity_s)


def reading(pid: int) -> Reading:
    """Read the counters: of a server's process tree, of ours, which holds it, and of the machine."""
    user, nice, system, _, _, _, _, stolen, *_ = map(int, _first_line(Path("/proc/stat")).split()[1:])
    spent = _spent()
    ours_s, server_s = (_tree_s(root, spent) for root in (os.getpid(), pid))
    return Reading(time.perf_counter(), server_s, ours_s, (user + nice + system) * TICK_S, stolen * TICK_S)


def _spent() -> dict[int, tuple[int, float]]:
    """Say of every process who its parent is, and how many seconds it and its ended children computed."""
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            pid = int(entry.name)
            try:
                fields = _first_line(Path(entry.path, "stat")).rpartition(")")[2].split()
                itself_s = time.clock_gettime(_clock_of(pid))
            except OSError:  # it has just ended
                continue
            found[pid] = int(fields[1]), itself_s + sum(map(int, fields[13:15])) * TICK_S
    return found


def _clock_of(pid: int) -> int:
    """Name the clock of a process, as the kernel numbers them: nanoseconds, where `stat` counts hundredths."""
    return (~pid << 3) | 2


def _tree_s(root: int, spent: Mapping[int, tuple[int, float]]) -> float:
    """Add up a process and all below it."""
    seconds = 0.0
    for pid, (_, computed_s) in spent.items():
        above = pid
        while above != root and above in spent:
            above = spent[above][0]
        seconds += computed_s if above == root else 0.0
    return seconds


def _first_line(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
