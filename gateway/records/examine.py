"""What a Postgres says of itself and of our schema, for whoever looks after it: asked once, nothing is changed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncpg

from gateway.errors import StoreUnavailableError
from gateway.records import usage
from gateway.records.database import Database
from gateway.records.deployment import Deployment
from gateway.records.migrate import known
from gateway.records.queries import named

if TYPE_CHECKING:
    from gateway.records.database import Connection
    from gateway.records.usage import Position

ANSWER_S_MAX: Final = 2.0

_sql: Final = named("examine")
_migrations: Final = named("migrate")
_deployment: Final = named("deployment")


@dataclass(frozen=True, slots=True)
class Server:
    """What the server says of itself."""

    version: str
    major: int
    standby: bool
    fsync: str
    synchronous_commit: str


@dataclass(frozen=True, slots=True)
class Schema:
    """Which migrations are there, by name; `unknown` ones are a newer software's and have only a number."""

    applied: list[str]
    pending: list[str]
    unknown: list[int]
    changed: list[str]

    @property
    def is_ours(self) -> bool:
        """Whether this version can read the tables."""
        return not (self.pending or self.unknown)


@dataclass(frozen=True, slots=True)
class Content:
    """How far things are."""

    deployment: Deployment | None
    """None: no office ever ran on it."""
    publications: int
    quarantined: int
    watermarks: dict[str, Position]


@dataclass(frozen=True, slots=True)
class Examined:
    """A server, its schema and, where the schema is this version's, its content."""

    server: Server
    schema: Schema
    content: Content | None


async def examine(url: str) -> Examined:
    """Ask a Postgres; raises StoreUnavailableError when it does not answer in time, or does not let us read."""
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            database = await Database.open(url)
            try:
                async with database.transaction() as connection:
                    row = await connection.fetchrow(_sql["server"])
                    assert row is not None
                    schema = await _schema(connection)
                    content = await _content(connection) if schema.is_ours else None
                    return Examined(Server(*row.values()), schema, content)
            finally:
                await database.close()
    except TimeoutError as error:
        raise StoreUnavailableError(f"Postgres does not answer within {ANSWER_S_MAX:g} s") from error
    except asyncpg.PostgresError as error:
        raise StoreUnavailableError(f"Postgres: {error}") from error


async def _schema(connection: Connection) -> Schema:
    exists = await connection.fetchval(_migrations["has_table"])
    rows = await connection.fetch(_migrations["applied"]) if exists else []
    checksums = {row["number"]: row["checksum"] for row in rows}
    ours = known()
    return Schema(
        applied=[step.name for step in ours if step.number in checksums],
        pending=[step.name for step in ours if step.number not in checksums],
        unknown=sorted(checksums.keys() - {step.number for step in ours}),
        changed=[step.name for step in ours if checksums.get(step.number, step.checksum) != step.checksum],
    )


async def _content(connection: Connection) -> Content:
    deployment = await connection.fetchrow(_deployment["read"])
    backlog = await connection.fetchrow(_sql["backlog"])
    assert backlog is not None
    return Content(
        deployment=Deployment(*deployment.values()) if deployment is not None else None,
        publications=backlog["publications"],
        quarantined=backlog["quarantined"],
        watermarks=await usage.watermarks(connection),
    )
