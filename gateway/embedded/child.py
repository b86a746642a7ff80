"""One process of ours: it starts on a leash, says why it died, and is stopped within a bound."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from gateway.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ENVIRONMENT: Final = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
"""Nothing of the caller's: a PGDATA or PGOPTIONS of somebody else's database must not reach ours."""

POLL_S: Final = 0.005
START_S_MAX: Final = 30.0  # a crashed store replays its log first
STOP_S_MAX: Final = 10.0
LOG_LINES_SHOWN: Final = 8


def private(path: str, flags: int) -> int:
    """Open a file that only its owner may read: the state folder itself may have to let others through."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def leashed(command: Sequence[str], identity: str = "self", *, dies_by: signal.Signals = signal.SIGTERM) -> list[str]:
    """Return the command that runs another one through leash.py."""
    leash = str(Path(__file__).with_name("leash.py"))
    return [sys.executable, "-I", "-S", leash, str(os.getpid()), str(int(dies_by)), identity, *command]


@dataclass(frozen=True, slots=True)
class Child:
    """A running process, the signal that ends it cleanly, and the file that holds all it said."""

    name: str
    process: subprocess.Popen[bytes]
    stop_signal: signal.Signals
    log: Path

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        stop_signal: signal.Signals,
        held: int,
        identity: str = "self",
    ) -> Self:
        """Start a process; `held` is a file descriptor whose lock lasts as long as the process does.

        Call it in the main thread: on Linux a child dies with the *thread* that started it.
        """
        with open(log, "wb", opener=private) as output:
            process = subprocess.Popen(  # noqa: S603 - a command of ours, as a list
                leashed(command, identity, dies_by=stop_signal),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=ENVIRONMENT,
                umask=0o077,
                pass_fds=(held,),
                start_new_session=True,  # Ctrl-C is for us: the stores outlast those who still write to them
            )
        return cls(name, process, stop_signal, log)

    async def until(self, ready: Callable[[], bool]) -> None:
        """Wait until it is ready; raises StoreUnavailableError when it ends before or takes too long."""
        deadline = time.monotonic() + START_S_MAX
        while not ready():
            if self.process.poll() is not None:
                raise StoreUnavailableError(
                    f"{self.name} ended with status {self.process.returncode}; {self._last_lines()}"
                )
            if time.monotonic() > deadline:
                raise StoreUnavailableError(f"{self.name} was not ready in {START_S_MAX:.0f} s; {self._last_lines()}")
            await asyncio.sleep(POLL_S)

    async def finish(self) -> None:
        """Wait for a process that has an end of its own; raises StoreUnavailableError when it failed."""
        await self.until(lambda: self.process.poll() == 0)

    def _last_lines(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        return "\n  ".join([f"the last lines of {self.log}:", *lines])


def stop(children: Iterable[Child]) -> None:
    """Ask all to end, then make them; it waits without `await`, so that no cancellation leaves one behind."""
    running = [child for child in children if child.process.poll() is None]
    for child in running:
        child.process.send_signal(child.stop_signal)
    deadline = time.monotonic() + STOP_S_MAX
    for child in running:
        try:
            child.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()
