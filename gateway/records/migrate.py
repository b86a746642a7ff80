"""Bring a database to this version's schema: numbered files, each once, in one transaction each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from gateway.errors import PreconditionError
from gateway.records.queries import named

if TYPE_CHECKING:
    from gateway.records.database import Database

_sql: Final = named("migrate")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step of the schema; what has been applied may not change any more."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """Tell whether the file is still what was applied."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def known() -> list[Migration]:
    """Every migration this version brings, in order."""
    folder = files("gateway.records").joinpath("migrations")
    named_files = sorted((entry.name, entry) for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [Migration(int(name[:4]), name, entry.read_text(encoding="utf-8")) for name, entry in named_files]


async def migrate(database: Database) -> list[str]:
    """Apply what is missing; returns the names of what was applied.

    Raises PreconditionError when the database is newer than this software or an applied file was changed since.
    """
    applied_now = []
    async with database.transaction() as connection:
        await connection.execute(_sql["lock"])
        await connection.execute(_sql["create_table"])
        applied = {row["number"]: row for row in await connection.fetch(_sql["applied"])}
        migrations = known()
        if newer := sorted(set(applied) - {migration.number for migration in migrations}):
            raise PreconditionError(
                f"the database has migration {newer[-1]}, which this version does not know; upgrade"
            )
        for migration in migrations:
            row = applied.get(migration.number)
            if row is not None and row["checksum"] != migration.checksum:
                raise PreconditionError(f"{migration.name} was changed after it had been applied; restore it")
            if row is None:
                await connection.execute(migration.text)
                await connection.execute(_sql["record"], migration.number, migration.name, migration.checksum)
                applied_now.append(migration.name)
    return applied_now


async def pending(database: Database) -> list[str]:
    """Name the migrations that this version needs and the database lacks."""
    async with database.transaction() as connection:
        exists = await connection.fetchval(_sql["has_table"])
        done = {row["number"] for row in await connection.fetch(_sql["applied"])} if exists else set()
    return [migration.name for migration in known() if migration.number not in done]
