"""What a person does at a terminal: types a command, reads what it says, starts a gateway and stops it with Ctrl-C."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.client import Gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

TOLLKEEPER = str(Path(sys.executable).with_name("tollkeeper"))
WAIT_S_MAX = 30.0


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it said."""

    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on standard output; fails when there is anything else."""
        return json.loads(self.out)


def environment(**extra: str) -> dict[str, str]:
    """Return this process's environment without our own variables, but for those given."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("TOLLKEEPER_")}
    if mine.pop("PYTHONDONTWRITEBYTECODE", None):
        mine["PYTHONPYCACHEPREFIX"] = _bytecode()
    return mine | {"COLUMNS": "120", "NO_COLOR": "1"} | extra


@cache
def _bytecode() -> str:
    """Make a folder for bytecode that may lie nowhere else: compiled once, a command starts twice as fast."""
    folder = tempfile.mkdtemp(prefix="tk-test-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


async def start(*arguments: str, folder: Path | None = None, **extra: str) -> Process:
    """Start `tollkeeper …` in a folder, its standard streams on pipes."""
    env = environment(**extra)
    return await asyncio.create_subprocess_exec(
        TOLLKEEPER, *arguments, env=env, cwd=folder, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )


async def run(*arguments: str, stdin: str = "", folder: Path | None = None, **extra: str) -> Ran:
    """Run `tollkeeper …` to its end."""
    return await ended(await start(*arguments, folder=folder, **extra), stdin)


async def ended(process: Process, stdin: str = "") -> Ran:
    """Wait for the end of a command."""
    assert process.stdin is not None
    reads_no_more = process.stdin.transport.is_closing()  # it was killed
    async with asyncio.timeout(WAIT_S_MAX):
        out, err = await process.communicate(None if reads_no_more else stdin.encode())
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


async def eventually(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Ask again and again until it is so; fails when it takes too long."""
    until = time.monotonic() + WAIT_S_MAX
    while not await condition():
        assert time.monotonic() < until, f"after {WAIT_S_MAX:g} s: {what}"
        await asyncio.sleep(0.02)


@dataclass(frozen=True)
class Children:
    """The stores that a gateway started: their processes and the folder of their sockets."""

    pids: tuple[int, ...]
    folder: Path

    @classmethod
    def of(cls, state: Path) -> Children:
        """Read what the supervisor wrote down in its state folder; nobody while it writes."""
        try:
            noted = json.loads((state / "children").read_text(encoding="utf-8"))
        except ValueError:
            return cls((), state)
        return cls(tuple(pid for pid, _ in noted["children"]), Path(noted["run"]))

    def assert_gone(self) -> None:
        """Fail when any of it is left."""
        left = [pid for pid in self.pids if _runs(pid)]
        assert self.pids
        assert not left
        assert not self.folder.exists()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@dataclass(frozen=True)
class Dev:
    """A running `tollkeeper dev`."""

    state: Path
    process: Process
    note: dict[str, Any]
    """What its dev.json says."""

    async def run(self, *arguments: str, **extra: str) -> Ran:
        """Run a command against it."""
        return await run(*arguments, "--state", str(self.state), **extra)

    async def usage(self, customer: str) -> Any:
        """Ask what a customer used."""
        return (await self.run("usage", customer, "--json")).json

    async def subscribe(self, customer: str) -> None:
        """Put a new customer on the developer plan."""
        async with Gateway(self.note["target"]) as gateway:
            await gateway.create_customer(customer)
            await gateway.create_subscription(customer, "developer")


@asynccontextmanager
async def dev(state: Path) -> AsyncIterator[Dev]:
    """Run `tollkeeper dev` on a state folder until the block ends; Ctrl-C must end it cleanly and leave nothing."""
    process = await start("dev", "--state", str(state))
    try:

        async def serves() -> bool:
            return (state / "dev.json").exists() or process.returncode is not None

        await eventually(serves, "tollkeeper dev does not serve")
        assert process.returncode is None, await ended(process)
        yield Dev(state, process, json.loads((state / "dev.json").read_text(encoding="utf-8")))
        children = Children.of(state)
        process.send_signal(signal.SIGINT)
        ran = await ended(process)
        assert ran.exit_code == 0, ran
        assert ran.out.startswith("serving on unix:"), ran
        assert not (state / "dev.json").exists()
        children.assert_gone()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
