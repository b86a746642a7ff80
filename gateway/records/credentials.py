"""Who may call: every credential that was ever made, those that were revoked, and a version that rises with each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.credentials import Credential, CredentialsDocument, Mode, Role
from gateway.errors import AlreadyExistsError, NotFoundError, PreconditionError
from gateway.records.queries import named

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.records.database import Connection

IN_FORCE_MAX: Final = 5000
"""Every gateway holds all of them, and reads all of them again when one changes: about a megabyte."""

_sql: Final = named("credentials")


@dataclass(frozen=True, slots=True)
class Grantee:
    """Whom a new credential is for; `customers` are the only ones it may name, None for all."""

    name: str
    role: Role
    mode: Mode
    customers: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Made:
    """A credential as it is listed: of a key its prefix, of a certificate the name in it."""

    credential: int
    name: str
    role: str
    mode: str
    customers: Sequence[str] | None
    prefix: str | None
    certificate_name: str | None
    created_at: datetime
    revoked_at: datetime | None


async def add_key(connection: Connection, grantee: Grantee, prefix: str, digest: str) -> tuple[int, datetime]:
    """Write a key down by its digest; returns its number and when. Raises PreconditionError when there are too many."""
    return await _add(connection, grantee, prefix, digest, None)


async def add_certificate(connection: Connection, grantee: Grantee, certificate_name: str) -> tuple[int, datetime]:
    """Write down for whom the name in a certificate stands; returns its number and when.

    Raises AlreadyExistsError when it stands for another credential in force, PreconditionError when there are too many.
    """
    return await _add(connection, grantee, None, None, certificate_name)


async def revoke(connection: Connection, credential: int) -> datetime | None:
    """Take a credential out of force; returns when, None when it was already. Raises NotFoundError."""
    revoked_at: datetime | None = await connection.fetchval(_sql["revoke"], credential)
    if revoked_at is None and credential not in {one.credential for one in await every(connection)}:
        raise NotFoundError(f"credential {credential}; see: tollkeeper key list")
    return revoked_at


async def every(connection: Connection) -> list[Made]:
    """List every credential that was ever made, the oldest first."""
    return [Made(**row) for row in await connection.fetch(_sql["every"])]


async def version(connection: Connection) -> int:
    """Tell which version of the document is true now."""
    current: int = await connection.fetchval(_sql["version"])
    return current


async def document(connection: Connection) -> CredentialsDocument:
    """Read every credential in force."""
    rows = await connection.fetch(_sql["in_force"])
    in_force = tuple(
        Credential(
            row["credential"],
            row["role"],
            row["mode"],
            row["name"],
            row["digest"],
            row["certificate_name"],
            None if row["customers"] is None else tuple(row["customers"]),
        )
        for row in rows
        if row["credential"] is not None
    )
    return CredentialsDocument(rows[0]["version"], in_force)


async def _add(
    connection: Connection, grantee: Grantee, prefix: str | None, digest: str | None, certificate_name: str | None
) -> tuple[int, datetime]:
    await connection.execute(_sql["lock"])
    if await connection.fetchval(_sql["in_force_count"]) >= IN_FORCE_MAX:
        raise PreconditionError(f"there are {IN_FORCE_MAX} credentials in force, as many as may be; revoke one")
    if certificate_name is not None:
        other = await connection.fetchval(_sql["same_name"], certificate_name)
        if other is not None:
            raise AlreadyExistsError(f"credential {other} is for {certificate_name}; revoke it first")
    row = await connection.fetchrow(
        _sql["add"],
        grantee.name,
        grantee.role,
        grantee.mode,
        grantee.customers,
        prefix,
        digest,
        certificate_name,
    )
    assert row is not None
    return row["credential"], row["created_at"]
