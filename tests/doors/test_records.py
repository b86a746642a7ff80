"""Postgres as our queries find it: every one prepares, migrations end where they should, the door keeps asyncpg in."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest

from gateway import app
from gateway.credentials import CredentialsDocument, Mode, Role
from gateway.errors import AlreadyExistsError, NotFoundError, PreconditionError, StoreUnavailableError
from gateway.records import credentials, customers, migrate, usage
from gateway.records.credentials import Grantee
from gateway.records.database import Database
from gateway.records.queries import named
from gateway.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

SUBJECTS = sorted(
    entry.name.removesuffix(".sql") for entry in files("gateway.records").iterdir() if entry.name.endswith(".sql")
)


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    """A pool on this test's own database."""
    opened = await Database.open(postgres_url)
    yield opened
    await opened.close()


@pytest.mark.parametrize("subject", SUBJECTS)
async def test_every_query_prepares_against_a_migrated_database(subject: str, postgres: asyncpg.Connection) -> None:
    """Each named query names tables and columns that exist, with types that fit."""
    for name, query in named(subject).items():
        if name != "create_table":
            assert await postgres.prepare(query), name


async def test_migrating_twice_does_nothing(postgres_url: str) -> None:
    """What is applied is not applied again."""
    assert await app.migrate_database(postgres_url) == []


async def test_an_empty_database_and_a_migrated_one_end_alike(postgres_url: str, postgres: asyncpg.Connection) -> None:
    """The template of these tests was migrated once; a schema made anew has the same columns and constraints."""
    shape = """
        SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
        WHERE table_schema = 'public' ORDER BY 1, 2
    """
    before = await postgres.fetch(shape)
    await postgres.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    applied = await app.migrate_database(postgres_url)
    assert applied == [migration.name for migration in migrate.known()]
    assert await postgres.fetch(shape) == before


async def test_a_database_of_each_earlier_version_is_brought_up(
    postgres_url: str, postgres: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From every number on, what was written stays, only what is missing is applied, and the schema ends alike."""
    shape = """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2
    """
    every, now = migrate.known(), await postgres.fetch(shape)
    for held in range(1, len(every)):
        await postgres.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        monkeypatch.setattr(migrate, "known", lambda held=held: every[:held])
        await app.migrate_database(postgres_url)
        await postgres.execute("INSERT INTO customers (customer, root, bucket) VALUES ('acme', 'acme', 1)")
        await postgres.execute("INSERT INTO events VALUES ('gw-1', now(), 'acme', 'calls', 'calls', 5, 1, 'l1', 7, 0)")
        before = [dict(row) for row in await postgres.fetch("SELECT * FROM events, customers")]
        monkeypatch.setattr(migrate, "known", lambda: every)
        assert await app.migrate_database(postgres_url) == [step.name for step in every[held:]]
        (after,) = await postgres.fetch("SELECT * FROM events, customers")
        assert [{name: after[name] for name in before[0]}] == before
        assert await postgres.fetch(shape) == now


async def test_credentials_are_read_with_their_version(database: Database, postgres: asyncpg.Connection) -> None:
    """The version rises with each one made or revoked; who is revoked is in no document, and nothing is overwritten."""
    grantee = Grantee("api", Role.CHECK, Mode.LIVE, ("acme",))
    seen = []
    async with database.transaction() as connection:
        assert await credentials.document(connection) == CredentialsDocument(0, ())
        first, _ = await credentials.add_key(connection, grantee, "tk_live_abcd", "a" * 64)
        seen.append(await credentials.document(connection))
        second, _ = await credentials.add_certificate(connection, replace(grantee, customers=None), "example.org")
        seen.append(await credentials.document(connection))
        assert await credentials.revoke(connection, first) is not None
        assert await credentials.revoke(connection, first) is None
        seen.append(await credentials.document(connection))
        assert await credentials.version(connection) == 3
        with pytest.raises(NotFoundError):
            await credentials.revoke(connection, second + 1)
        with pytest.raises(AlreadyExistsError, match=f"credential {second} is for example.org"):
            await credentials.add_certificate(connection, grantee, "example.org")
    assert [document.version for document in seen] == [1, 2, 3]
    assert [[one.credential for one in document.credentials] for document in seen] == [
        [first],
        [first, second],
        [second],
    ]
    (key, _), (certificate,) = seen[1].credentials, seen[2].credentials
    assert (key.digest, key.customers, key.role) == ("a" * 64, ("acme",), "check")
    assert (certificate.certificate_name, certificate.customers) == ("example.org", None)
    assert await postgres.fetchval("SELECT count(*) FROM credentials") == 2


async def test_there_are_as_many_credentials_as_gateways_can_hold(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound one has to be revoked first, also when many are made at once."""
    monkeypatch.setattr(credentials, "IN_FORCE_MAX", 5)
    grantee = Grantee("", Role.CHECK, Mode.LIVE, None)

    async def add(number: int) -> int:
        async with database.transaction() as connection:
            return (await credentials.add_key(connection, grantee, "tk_live_abcd", f"{number:064x}"))[0]

    made = await asyncio.gather(*map(add, range(8)), return_exceptions=True)
    refused = [one for one in made if isinstance(one, PreconditionError)]
    assert (len(made), len(refused)) == (8, 3)
    async with database.transaction() as connection:
        await credentials.revoke(connection, next(one for one in made if isinstance(one, int)))
    await add(9)


async def test_a_changed_migration_is_refused(database: Database, postgres: asyncpg.Connection) -> None:
    """A file that was edited after it had been applied is named."""
    await postgres.execute("UPDATE migrations SET checksum = 'other' WHERE number = 1")
    with pytest.raises(PreconditionError, match=r"0001_first_light\.sql was changed"):
        await migrate.migrate(database)


async def test_a_newer_database_is_refused(database: Database, postgres: asyncpg.Connection) -> None:
    """Software that is older than the schema says so instead of guessing."""
    await postgres.execute("INSERT INTO migrations (number, name, checksum) VALUES (9999, 'future', '')")
    with pytest.raises(PreconditionError, match="9999"):
        await migrate.migrate(database)


async def test_two_migrations_at_once_apply_each_file_once(postgres_url: str, postgres: asyncpg.Connection) -> None:
    """One waits for the other and finds nothing left to do."""
    await postgres.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    applied = await asyncio.gather(*(app.migrate_database(postgres_url) for _ in range(4)))
    assert sorted(map(len, applied)) == [0, 0, 0, len(migrate.known())]


async def test_an_office_without_its_migrations_says_what_to_run(
    redis_url: str, postgres_url: str, postgres: asyncpg.Connection
) -> None:
    """The error names the missing file and the command."""
    await postgres.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    with pytest.raises(PreconditionError, match=r"0001_first_light\.sql, .*; run: tollkeeper migrate"):
        async with app.office(Settings(), redis_url, postgres_url, ["127.0.0.1:0"]):
            pass


async def test_what_asyncpg_raises_stops_at_the_door() -> None:
    """A Postgres that is not there is an error of ours, and the password is not in it."""
    with pytest.raises(StoreUnavailableError) as refused:
        await Database.open("postgresql://user:s3cret@127.0.0.1:1/none")
    assert "s3cret" not in str(refused.value)


async def test_of_two_flushers_with_the_same_entries_one_finds_the_watermark_moved(database: Database) -> None:
    """The watermark moves only from where the reading began."""
    async with database.transaction() as connection:
        assert await usage.advance(connection, "l1", (0, 0), (5, 0))
    async with database.transaction() as connection:
        assert not await usage.advance(connection, "l1", (0, 0), (7, 0))
        assert await usage.advance(connection, "l1", (5, 0), (7, 1))
        assert (await usage.watermarks(connection))["l1"] == (7, 1)


async def test_a_transaction_that_fails_leaves_nothing(database: Database, postgres: asyncpg.Connection) -> None:
    """Whatever was written before the error is undone."""

    async def fail_after_writing() -> None:
        async with database.transaction() as connection:
            await customers.add(connection, "acme", 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_after_writing()
    assert await postgres.fetchval("SELECT count(*) FROM customers") == 0
    assert await postgres.fetchval("SELECT count(*) FROM publications") == 0


async def test_commits_are_on_disk_whatever_the_server_is_set_to(
    database: Database, postgres: asyncpg.Connection
) -> None:
    """A server or role with synchronous_commit off does not lose what we were told is committed."""
    name = await postgres.fetchval("SELECT current_database()")
    await postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    async with database.transaction() as connection:
        assert await connection.fetchval("SHOW synchronous_commit") == "on"
