"""How a change gets from Postgres to every gateway: replaced in Redis and announced by number, in one step."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Final

from gateway.counters import keys

if TYPE_CHECKING:
    from gateway.counters.connection import Connection

SCRIPT: Final = files("gateway.counters").joinpath("publish.lua").read_text(encoding="utf-8")


async def published_by(connection: Connection) -> str | None:
    """Tell whose documents these are, by deployment; PUBLISHING while they are coming, None when there are none."""
    held = await connection.call("GET", keys.PUBLISHED)
    return held.decode() if isinstance(held, bytes) else None


async def begin_publishing(connection: Connection) -> None:
    """Say that documents are coming."""
    await connection.call("SET", keys.PUBLISHED, keys.PUBLISHING)


async def mark_published(connection: Connection, deployment: str) -> None:
    """Say that every document is there; without effect when what was begun is gone, and documents with it."""
    await connection.call("SET", keys.PUBLISHED, deployment, "XX")


async def publish(connection: Connection, key: str, version: int, document: bytes) -> bool:
    """Replace the document under `key` unless what is there is as new; tells whether it was replaced."""
    command = ("EVAL", SCRIPT, 2, keys.ANNOUNCED, key, keys.CHANGES, key, version, document)
    return await connection.call(*command) == 1


async def announce(connection: Connection, name: str) -> None:
    """Tell every gateway that something changed which is no document."""
    await connection.call("EVAL", SCRIPT, 1, keys.ANNOUNCED, keys.CHANGES, name)
