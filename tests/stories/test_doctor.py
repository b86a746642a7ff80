"""`tollkeeper doctor` says which stores there are, from where, what is wrong with them and how to mend it."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from gateway.embedded import Binary, locate_redis
from gateway.settings import Settings
from tests import terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import redis.asyncio

    from gateway.embedded import Stores
    from tests.conftest import Running
    from tests.terminal import Ran


async def doctor(*arguments: str, **environment: str) -> tuple[Ran, dict[str, Any]]:
    """Ask the doctor, far from any state folder; returns how it ended and the rows by name."""
    ran = await terminal.run("doctor", "--json", "--state", "/no/such/folder", *arguments, **environment)
    rows = ran.json["checks"]
    assert ran.json["ok"] == all(row["ok"] for row in rows) == (ran.exit_code == 0)
    assert all(list(row) == ["name", "ok", "found", "mend"] for row in rows)
    assert all(row["ok"] or row["mend"] for row in rows), "what is wrong can be mended"
    return ran, {row["name"]: row for row in rows}


def of(running: Running) -> dict[str, str]:
    """Name an office and its stores as an operator does."""
    return {
        "TOLLKEEPER_REDIS_URL": running.redis_url,
        "TOLLKEEPER_POSTGRES_URL": running.postgres_url,
        "TOLLKEEPER_TARGET": running.target,
    }


async def test_a_healthy_dev_gateway_has_nothing_wrong(short_folder: Path) -> None:
    """Beside a running dev gateway every row is right, nothing is advised, and people read the same in words."""
    async with terminal.dev(short_folder / "state") as dev:
        told, read = await asyncio.gather(dev.run("doctor", "--json"), dev.run("doctor"))
    assert told.exit_code == read.exit_code == 0
    rows = {row["name"]: row for row in told.json["checks"]}
    assert told.json["ok"]
    assert [row for row in rows.values() if not row["ok"] or row["mend"]] == []
    assert rows["redis durability"]["found"] == "appendonly yes, appendfsync always"
    assert rows["counters"]["found"] == "64 buckets in epoch 1: metered claims are admitted"
    assert rows["gateway"]["found"] == f"{dev.note['target']} serves"
    assert all(name in read.out for name in rows)
    assert read.out.endswith("\nnothing is wrong\n")


async def test_where_nothing_runs_it_says_what_would_start() -> None:
    """Without any gateway nothing is wrong: each store's version and origin are shown, and how to start one."""
    ran, rows = await doctor()
    assert ran.exit_code == 0
    assert rows["redis"]["found"].endswith("; tollkeeper dev would start it")
    assert rows["postgres"]["found"].startswith("PostgreSQL ")
    assert "tollkeeper dev" in rows["gateway"]["mend"]


async def test_stores_that_are_not_found_come_with_the_ways_out() -> None:
    """Where no store can be started, the rows say where it was looked for and every way to get one."""
    missing = {"TOLLKEEPER_REDIS_SERVER": "/no/such/valkey-server", "TOLLKEEPER_POSTGRES_BIN": "/no/such/bin"}
    ran, rows = await doctor(**missing)
    assert ran.exit_code == 1
    for name, path, url in (
        ("redis", "/no/such/valkey-server is not a program", "TOLLKEEPER_REDIS_URL"),
        ("postgres", "/no/such/bin/postgres is not a program", "TOLLKEEPER_POSTGRES_URL"),
    ):
        assert path in rows[name]["found"]
        assert url in rows[name]["mend"]
        assert "tollkeeper[local]" in rows[name]["mend"]
    shown = await terminal.run("doctor", **missing)
    assert shown.exit_code == 1
    assert shown.out.endswith("\n2 wrong\n")


async def test_every_wrong_setting_is_a_row() -> None:
    """Each problem of the environment is told, with the variable that was probably meant."""
    ran = await terminal.run(
        "doctor", "--json", TOLLKEEPER_REDISURL="x", TOLLKEEPER_LISTEN="127.0.0.1", TOLLKEEPER_FLUSH_BATCH_MAX="no"
    )
    wrong = [row["found"] for row in ran.json["checks"] if not row["ok"]]
    assert (ran.exit_code, len(wrong)) == (1, 3)
    assert "did you mean TOLLKEEPER_REDIS_URL?" in wrong[0]


@contextmanager
def valkey(folder: Path, *options: str) -> Iterator[str]:
    """Run a Valkey as somebody else might have set it up; returns its URL."""
    found = locate_redis(Settings())
    assert isinstance(found, Binary)
    path = folder / "own.sock"
    command = [str(found.path), "--port", "0", "--unixsocket", str(path), "--dir", str(folder), *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield f"unix://:sesame@{path}"
        finally:
            process.terminate()


async def test_a_redis_that_may_forget_is_named(short_folder: Path) -> None:
    """Eviction, too little memory and no append-only file are three rows, each with its remedy; no password shows."""
    options = ("--maxmemory-policy allkeys-lru", "--maxmemory 1mb", "--appendonly no", "--requirepass sesame")
    with valkey(short_folder, *" ".join(options).split()) as url:

        async def answers() -> bool:
            return (short_folder / "own.sock").exists()

        await terminal.eventually(answers, "Valkey does not answer")
        ran, rows = await doctor(TOLLKEEPER_REDIS_URL=url)
    assert ran.exit_code == 1
    assert (rows["redis"]["ok"], rows["redis role"]["ok"]) == (True, True)
    assert rows["redis eviction"]["found"] == "maxmemory-policy allkeys-lru"
    assert "maxmemory-policy noeviction" in rows["redis eviction"]["mend"]
    assert not rows["redis eviction"]["ok"]
    assert not rows["redis memory"]["ok"]
    assert rows["redis durability"]["ok"], "a loss is noticed: advice, not a fault"
    assert "appendonly yes" in rows["redis durability"]["mend"]
    assert "sesame" not in ran.out + ran.err
    assert ":***@" in rows["redis"]["found"]


async def test_a_database_without_our_tables_is_named(shared_stores: Stores) -> None:
    """A database that was never migrated is wrong, and the mend is one command, which does mend it."""
    control = await asyncpg.connect(shared_stores.postgres_url)
    await control.execute("CREATE DATABASE bare TEMPLATE template0")
    try:
        url = shared_stores.postgres_url.replace("/postgres?", "/bare?")
        ran, rows = await doctor(TOLLKEEPER_POSTGRES_URL=url)
        assert ran.exit_code == 1
        assert rows["postgres schema"]["found"].endswith("_every_limit.sql is missing")
        assert rows["postgres schema"]["mend"] == "run: tollkeeper migrate"
        assert (await terminal.run("migrate", TOLLKEEPER_POSTGRES_URL=url)).exit_code == 0
        assert (await doctor(TOLLKEEPER_POSTGRES_URL=url))[1]["postgres schema"]["ok"]
    finally:
        await control.execute("DROP DATABASE bare WITH (FORCE)")
        await control.close()


async def test_a_newer_and_a_changed_schema_are_named(postgres_url: str, postgres: asyncpg.Connection) -> None:
    """A migration that was changed after the fact, and one of a newer software, are told apart."""
    await postgres.execute("UPDATE migrations SET checksum = 'another' WHERE number = 1")
    _, rows = await doctor(TOLLKEEPER_POSTGRES_URL=postgres_url)
    assert "was changed after it had been applied" in rows["postgres schema"]["found"]
    await postgres.execute("INSERT INTO migrations (number, name, checksum) VALUES (9999, 'later', '')")
    _, rows = await doctor(TOLLKEEPER_POSTGRES_URL=postgres_url)
    assert rows["postgres schema"]["mend"] == "upgrade tollkeeper"


async def test_lost_counters_are_named(office: Running, redis_client: redis.asyncio.Redis) -> None:
    """While an office runs its counters are believed; when Redis loses them, the doctor says so and what follows."""
    _, rows = await doctor(**of(office))
    assert rows["counters"]["found"] == "64 buckets in epoch 1: metered claims are admitted"
    assert rows["gateway"]["ok"]
    await redis_client.flushdb()
    ran, rows = await doctor(**of(office))
    assert ran.exit_code == 1
    assert "bucket l0 has lost its line" in rows["counters"]["found"]
    assert "STORE_UNAVAILABLE" in rows["counters"]["found"]
    assert "append-only file" in rows["counters"]["mend"]


async def test_what_waits_is_counted(
    redis_url: str, postgres_url: str, redis_client: redis.asyncio.Redis, postgres: asyncpg.Connection
) -> None:
    """Without an office, documents and usage events wait, and unreadable events are kept: each is told."""
    await postgres.execute("INSERT INTO publications (customer) VALUES ('acme')")
    await postgres.execute("INSERT INTO quarantine VALUES ('l0', 1, 1, '{}', 'no field id')")
    await redis_client.xadd("{l0}:usage", {"id": "x"}, id=f"{int(time.time() - 60) * 1000}-0")
    _, rows = await doctor(TOLLKEEPER_REDIS_URL=redis_url, TOLLKEEPER_POSTGRES_URL=postgres_url)
    assert (rows["publications"]["ok"], rows["publications"]["found"]) == (True, "1 waiting")
    assert (rows["quarantine"]["ok"], rows["flush"]["ok"]) == (False, False)
    assert rows["quarantine"]["found"] == "1 unreadable usage events"
    assert rows["counters"]["found"] == "no office ever ran here"


async def test_silent_stores_are_waited_for_briefly() -> None:
    """Servers that take a connection and say nothing cost two seconds, and no password is shown."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"127.0.0.1:{silent.getsockname()[1]}"
        started_s = time.monotonic()
        ran, rows = await doctor(
            TOLLKEEPER_REDIS_URL=f"redis://:sesame@{where}",
            TOLLKEEPER_POSTGRES_URL=f"postgresql://me:sesame@{where}/x",
            TOLLKEEPER_TARGET=where,
        )
        assert time.monotonic() - started_s < 10
    assert [rows[name]["ok"] for name in ("redis", "postgres", "gateway")] == [False, False, False]
    assert rows["gateway"]["found"] == f"no gateway answers at {where}"
    assert "does not answer" in rows["redis"]["found"]
    assert "does not answer" in rows["postgres"]["found"]
    assert "sesame" not in ran.out + ran.err
