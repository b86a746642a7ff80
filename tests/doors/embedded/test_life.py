"""Real stores start, answer, stop, and refuse what would harm their data."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import asyncpg
import pytest
import redis

from gateway import embedded
from gateway.embedded import Binary, External, Way, identity
from gateway.errors import PreconditionError, StoreUnavailableError
from gateway.settings import Settings
from tests.doors.embedded.seen import (
    closed_folder,
    expected_of,
    kept,
    mode_of,
    names_in,
    run_folder_of,
    runs,
    touch,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path

REDIS_ONLY = Settings(postgres_url="postgresql://u@localhost/x")
"""For what is the same with one store: Postgres takes longest to start."""


async def test_both_answer_on_unix_sockets_only(state: Path) -> None:
    """No port is opened, nobody else may connect, and what was answered is on the disk."""
    said: list[str] = []
    async with embedded.stores(state, Settings(), said.append) as stores:
        with redis.Redis.from_url(stores.redis_url, decode_responses=True) as client:
            configured = client.config_get("*")
        connection = await asyncpg.connect(stores.postgres_url)
        shown = {row["name"]: row["setting"] for row in await connection.fetch("SELECT name, setting FROM pg_settings")}
        await connection.close()
        run = run_folder_of(stores.redis_url)
        sockets = [path for path in run.rglob("*") if path.is_socket()]
        assert [mode_of(path) for path in sockets] == [0o700, 0o700]
        assert sorted(stores.children) == ["postgres", "redis"]
        assert isinstance(stores.redis, Binary)
        assert stores.postgres_way in set(Way)
    wanted = {"port": "0", "appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction", "save": ""}
    assert {name: configured[name] for name in wanted} == wanted
    wanted = {"listen_addresses": "", "fsync": "on", "synchronous_commit": "on"}
    assert {name: shown[name] for name in wanted} == wanted
    assert said[0] == f"starting {stores.redis}"
    assert any("once" in line for line in said)


async def test_a_stop_keeps_the_data_and_leaves_nothing_else(state: Path) -> None:
    """After a stop there is the state folder, and neither a process nor a folder of sockets."""
    async with embedded.stores(state, Settings()) as stores:
        await write(stores, "before")
    assert not any(map(runs, stores.children.values()))
    assert not run_folder_of(stores.redis_url).exists()
    async with embedded.stores(state, Settings()) as again:
        assert await kept(again) == ("before", "before")


async def test_an_error_inside_stops_the_stores_too(state: Path) -> None:
    """However the block is left, the stores end with it, and the error is the caller's own."""
    with pytest.raises(OSError, match="mine"):
        async with embedded.stores(state, REDIS_ONLY) as stores:
            raise OSError("mine")
    assert not any(map(runs, stores.children.values()))


async def test_one_supervisor_at_a_time(state: Path) -> None:
    """Two servers on one data folder would destroy it; the second start says who was first."""
    async with embedded.stores(state, REDIS_ONLY):
        with pytest.raises(PreconditionError, match=rf"{state} is in use by process {os.getpid()};"):
            async with embedded.stores(state, REDIS_ONLY):
                pytest.fail("a second instance started")
        with pytest.raises(PreconditionError, match="in use"):
            await embedded.reset(state)


async def test_reset_empties_the_stores(state: Path) -> None:
    """Both stores' data is gone; what somebody else put there is not."""
    async with embedded.stores(state, Settings()):
        pass
    (state / "notes").write_text("mine", encoding="utf-8")
    await embedded.reset(state)
    assert names_in(state) == ["children", "lock", "notes"]


async def test_a_store_that_is_named_is_not_started(state: Path) -> None:
    """A URL says that somebody else runs it; then even the state folder is left alone."""
    settings = Settings(redis_url="redis://u:hush@localhost", postgres_url="postgresql://u:hush@localhost/x")
    async with embedded.stores(state, settings) as stores:
        assert (stores.redis_url, stores.postgres_url) == (settings.redis_url, settings.postgres_url)
        assert isinstance(stores.redis, External)
        assert (stores.postgres_way, stores.children) == (None, {})
        assert "hush" not in f"{stores!r} {stores.redis} {stores.postgres}"
    assert names_in(state.parent) == []


async def test_only_the_store_that_is_not_named_is_started(state: Path) -> None:
    """One of our own can stand beside one of somebody else's."""
    async with embedded.stores(state, REDIS_ONLY) as stores:
        assert list(stores.children) == ["redis"]


async def test_a_store_that_dies_says_why(state: Path) -> None:
    """The last lines of its log stand in the error, and the other store has been stopped."""
    log = state / "redis" / "appendonlydir"
    log.mkdir(parents=True)
    (log / "appendonly.aof.manifest").write_text("scribble\n", encoding="ascii")
    with pytest.raises(
        StoreUnavailableError, match=r"(?s)redis ended with status 1; the last lines of .*manifest"
    ) as caught:
        async with embedded.stores(state, Settings()):
            pytest.fail("a store with a broken log started")
    assert len(str(caught.value).splitlines()) <= 10
    async with embedded.stores(state, Settings(redis_url="redis://localhost")) as stores:
        assert list(stores.children) == ["postgres"]


async def test_a_state_folder_that_cannot_be_one_is_refused(state: Path) -> None:
    """A file in its place is an error of ours, not a traceback."""
    touch(state)
    with pytest.raises(StoreUnavailableError, match="cannot be the state folder: "):
        async with embedded.stores(state, Settings()):
            pytest.fail("a file was taken for a folder")


async def test_no_foreign_folder_is_opened_up(state: Path) -> None:
    """A state folder under a home of mode 700 is used as it is; the home stays closed."""
    home = closed_folder(state.parent / "home")
    async with embedded.stores(home / "state", Settings()) as stores:
        assert stores.postgres_way is expected_of(Way.NAMESPACE)
    assert mode_of(home) == 0o700


def test_root_that_may_do_nothing_is_told_the_ways_out(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without namespaces and with a closed state folder root cannot run Postgres; an ordinary user always can."""
    monkeypatch.setattr(identity, "ROOT_WAYS", (Way.NOBODY, Way.COPY))
    state.mkdir(mode=0o700)
    found = embedded.locate_postgres(Settings())
    assert isinstance(found, Binary)
    if os.geteuid() == 0:
        with pytest.raises(StoreUnavailableError, match=r"user nobody cannot enter .* set TOLLKEEPER_POSTGRES_URL"):
            embedded.choose_way(found.path.parent, [state])
    else:
        assert embedded.choose_way(found.path.parent, [state]) is Way.SELF
