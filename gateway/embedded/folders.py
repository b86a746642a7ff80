"""The state folder, which one supervisor holds at a time, and the run folder with the sockets, which lives as long."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.embedded.child import private
from gateway.errors import PreconditionError, StoreUnavailableError
from gateway.settings import SOCKET_PATH_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from gateway.embedded.child import Child

_LEFTOVER_S_MAX: Final = 10.0  # on Linux they got their signal when their parent died, and need a second
_KILLED_S_MAX: Final = 2.0
_POLL_S: Final = 0.02
_PREFIX: Final = "tk-"


@contextmanager
def state_lock(state: Path) -> Iterator[Path]:
    """Make the state folder where there is none and hold it; returns its absolute path.

    Raises PreconditionError, which names the process that holds it already.
    """
    state = state.absolute()
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.geteuid() == 0 and not any(state.iterdir()):
            state.chmod(0o711)  # new or handed to us empty, so ours: Postgres, which is not root, passes through
        lock = open(state / "lock", "a+", encoding="ascii", opener=private)  # noqa: SIM115 - has an opener; closed below
    except OSError as error:
        raise StoreUnavailableError(f"{state} cannot be the state folder: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise PreconditionError(
                f"{state} is in use by process {holder}; stop it, or use another state folder"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield state


@contextmanager
def run_folder() -> Iterator[Path]:
    """Make the folder of the sockets, and remove it: under /tmp, because a socket's path must be short."""
    parent = "/tmp" if os.access("/tmp", os.W_OK | os.X_OK) else tempfile.gettempdir()  # noqa: S108 - mkdtemp is safe there
    run = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        if os.geteuid() == 0:
            run.chmod(0o711)
        if len(bytes(run / "postgres" / ".s.PGSQL.5432.lock")) > SOCKET_PATH_BYTES_MAX:
            raise StoreUnavailableError(f"{run} is too long for a unix socket; set TMPDIR to a short folder")
        yield run
    finally:
        shutil.rmtree(run, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Roll:
    """Who runs on a state folder: a file whose lock every child inherits and so holds to its end."""

    descriptor: int
    ended: frozenset[int]
    """The processes of the start before: that we hold the lock proves that none of them runs."""

    def note(self, run: Path, children: Sequence[Child]) -> None:
        """Write down what a later start has to clear away, should this process be killed."""
        running = [[child.process.pid, int(child.stop_signal)] for child in children]
        text = json.dumps({"run": str(run), "children": running}).encode()
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, text, 0)


@asynccontextmanager
async def roll_call(state: Path) -> AsyncIterator[Roll]:
    """Wait until no process of an earlier, killed supervisor is left; the caller holds the state lock."""
    descriptor = private(str(state / "children"), os.O_RDWR | os.O_CREAT)
    try:
        run, children = _noted(os.pread(descriptor, 65_536, 0))
        await _outlast(descriptor, run, children)
        if run:
            shutil.rmtree(run, ignore_errors=True)
        yield Roll(descriptor, frozenset(pid for pid, _ in children))
    finally:
        os.close(descriptor)


def _noted(text: bytes) -> tuple[Path | None, list[tuple[int, int]]]:
    """Read what Roll.note wrote; a note that a crash tore says nothing, and then there is only the waiting."""
    try:
        note = json.loads(text)
        run, children = Path(note["run"]), [(int(pid), int(stop_signal)) for pid, stop_signal in note["children"]]
    except (ValueError, TypeError, KeyError):
        return None, []
    return (run, children) if run.name.startswith(_PREFIX) else (None, [])


async def _outlast(descriptor: int, run: Path | None, children: Sequence[tuple[int, int]]) -> None:
    """Take the lock that every child of an earlier start held: ask those that still do to end, then make them."""
    for kill, wait_s in ((False, _LEFTOVER_S_MAX), (True, _KILLED_S_MAX)):
        if _locked(descriptor):
            return
        for pid, stop_signal in children:
            if run and _runs_in(pid, run):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if kill else stop_signal)
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            if _locked(descriptor):
                return
            await asyncio.sleep(_POLL_S)
    raise StoreUnavailableError(f"processes of an earlier start do not end: {[pid for pid, _ in children]}")


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _runs_in(pid: int, run: Path) -> bool:
    """Tell a child of ours, whose command names its run folder, from a stranger who got its pid."""
    if sys.platform == "linux":  # a slim image has no ps
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
    else:
        command = subprocess.run(["/bin/ps", "-o", "args=", "-p", str(pid)], capture_output=True, check=False).stdout  # noqa: S603 - ours
    return run.name.encode() in command
