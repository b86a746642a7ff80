"""Nothing is lost and nothing is left, however the stores and their supervisor are killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gateway import embedded
from gateway.embedded import Binary, Way, folders, identity, leash
from gateway.settings import Settings
from tests.doors.embedded.seen import (
    expected_of,
    kept,
    kill,
    mode_of,
    run_folder_of,
    runs,
    wait_until_gone,
    write_to,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Supervise = Callable[..., subprocess.Popen[str]]


def told_by(supervisor: subprocess.Popen[str]) -> tuple[str, str, Way, dict[str, int]]:
    """Wait for the one line in which the supervisor says where the stores are."""
    assert supervisor.stdout is not None
    redis_url, postgres_url, way, children = json.loads(supervisor.stdout.readline())
    return redis_url, postgres_url, Way(way), children


def link_or_copy(source: str, target: str) -> None:
    """Spare the disk 40 MB where source and target lie on one file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def installation(home: Path, mode: int) -> Path:
    """Put Postgres into a folder of this mode, 700 as a checkout under a closed home is; returns the server."""
    found = embedded.locate_postgres(Settings())
    assert isinstance(found, Binary)
    package = found.path.parents[2]
    home.mkdir()
    home.chmod(mode)
    for part in (package, package.with_name(package.name + ".libs")):
        if part.is_dir():
            shutil.copytree(part, home / part.name, symlinks=True, copy_function=link_or_copy)
    return home / found.path.relative_to(package.parent)


@pytest.mark.parametrize(
    ("mode", "ways", "fitting"),
    [
        (0o755, identity.ROOT_WAYS, identity.ROOT_WAYS),
        (0o700, identity.ROOT_WAYS, (Way.NAMESPACE, Way.COPY)),
        (0o700, (Way.NOBODY, Way.COPY), (Way.COPY,)),
    ],
    ids=["everyone may enter", "only root may", "only root may, in a container"],
)
async def test_a_killed_supervisor_loses_nothing_and_leaves_no_process(
    state: Path, supervise: Supervise, mode: int, ways: tuple[Way, ...], fitting: tuple[Way, ...]
) -> None:
    """Whoever Postgres runs as, its death signal holds, and the next start has all data and clears away the sockets."""
    server = installation(state.parent / "home", mode)
    if not all(mode_of(path) & 0o001 for path in (server, *server.parents)):  # installed under a umask of 077
        fitting = fitting[-2:]
    supervisor = supervise(str(server.parent), ways)
    redis_url, postgres_url, way, children = told_by(supervisor)
    assert way is expected_of(*fitting)
    await write_to(redis_url, postgres_url, "before")
    kill(supervisor)
    wait_until_gone(*children.values())
    async with embedded.stores(state, Settings()) as stores:
        assert await kept(stores) == ("before", "before")
    assert not run_folder_of(redis_url).exists()


async def test_everything_killed_at_once_loses_nothing(state: Path, supervise: Supervise) -> None:
    """A machine that stops leaves a stale pid file and logs to be replayed; both stores come back with all of it."""
    supervisor = supervise()
    redis_url, postgres_url, _, children = told_by(supervisor)
    await write_to(redis_url, postgres_url, "before")
    for pid in children.values():
        os.kill(pid, signal.SIGKILL)
    kill(supervisor)
    assert (state / "postgres" / "postmaster.pid").exists()
    async with embedded.stores(state, Settings()) as stores:
        assert await kept(stores) == ("before", "before")


async def test_what_an_earlier_start_left_running_is_ended(
    state: Path, supervise: Supervise, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leftover that does not even hear its signal is killed before a new store opens the same data."""
    monkeypatch.setattr(folders, "_LEFTOVER_S_MAX", 0.2)
    supervisor = supervise()
    redis_url, postgres_url, _, children = told_by(supervisor)
    await write_to(redis_url, postgres_url, "before")
    for pid in children.values():
        os.kill(pid, signal.SIGSTOP)
    kill(supervisor)
    assert all(map(runs, children.values()))
    async with embedded.stores(state, Settings()) as stores:
        assert not any(map(runs, children.values()))
        assert await kept(stores) == ("before", "before")


def test_a_child_whose_parent_is_gone_does_not_start() -> None:
    """A parent that dies before the leash is on leaves no child that nobody will ever end."""
    command = [sys.executable, "-I", "-S", leash.__file__, "1", "15", "self", "/bin/echo", "started"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
