"""How a document gets from Postgres to every gateway: replaced in Redis and announced, in one step."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Final

from gateway.counters import keys

if TYPE_CHECKING:
    from gateway.counters.connection import Connection

SCRIPT: Final = files("gateway.counters").joinpath("publish.lua").read_text(encoding="utf-8")


async def publish(connection: Connection, key: str, version: int, document: bytes) -> bool:
    """Replace the document under `key` unless what is there is as new; tells whether it was replaced."""
    return await connection.call("EVAL", SCRIPT, 1, key, version, document, keys.CHANGES) == 1
