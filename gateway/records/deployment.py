"""Which deployment this is, and which epoch of counters it believes."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.records.queries import named

if TYPE_CHECKING:
    from gateway.records.database import Connection

_sql: Final = named("deployment")


@dataclass(frozen=True, slots=True)
class Deployment:
    """One row; `opened` is false while an epoch is decided but not yet written to every bucket."""

    id: str
    epoch: int
    replid: str
    opened: bool


async def lock(connection: Connection) -> None:
    """Let one keeper at a time decide about epochs, until the transaction ends."""
    await connection.execute(_sql["lock"])


async def read_or_create(connection: Connection) -> Deployment:
    """Read the deployment; a database that never had one is given a random id."""
    await connection.execute(_sql["be_born"], secrets.token_hex(4))
    row = await connection.fetchrow(_sql["read"])
    assert row is not None
    return Deployment(row["id"], row["epoch"], row["replid"], row["opened"])


async def decide_epoch(connection: Connection, epoch: int, replid: str) -> None:
    """Write the next epoch down before any bucket hears of it."""
    await connection.execute(_sql["decide_epoch"], epoch, replid)


async def mark_opened(connection: Connection, epoch: int) -> None:
    """Write down that every bucket's line says so."""
    await connection.execute(_sql["mark_opened"], epoch)
