"""Where a gateway or its database is found, and how a command asks it."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from gateway.errors import PreconditionError
from gateway.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from gateway.client import Gateway
    from gateway.records.database import Connection

Answer = TypeVar("Answer")

NOTE = "dev.json"
"""Where a dev gateway's state folder says how to reach it."""


def settings() -> Settings:
    """Read the environment."""
    return Settings.from_environment(os.environ)


def running_dev(state: Path) -> dict[str, str] | None:
    """Tell where the dev gateway of a state folder is, while it runs; raises PreconditionError when that is garbled."""
    note = state / NOTE
    try:
        running: dict[str, str] = json.loads(note.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise PreconditionError(f"{note} cannot be read ({error}); remove it, or give another --state") from error
    return running


def find_target(target: str | None, state: Path) -> str:
    """Find the gateway: what was given, else the environment, else the dev state folder."""
    if target := target or settings().target:
        return target
    if (running := running_dev(state)) is not None:
        return running["target"]
    raise PreconditionError(
        "no gateway is known here: give --target, set TOLLKEEPER_TARGET, or start one with: tollkeeper dev"
    )


def gateway_at(target: str | None, state: Path, *, timeout_s: float | None = None) -> Gateway:
    """Find the gateway and make a client of it.

    The environment's key and certificate go where the target was given, never to a dev gateway: it asks for none.
    """
    from gateway.client import TIMEOUT_S, Gateway
    from gateway.tls import client_tls

    chosen, address = settings(), find_target(target, state)
    patience_s = TIMEOUT_S if timeout_s is None else timeout_s
    if not (target or chosen.target):
        return Gateway(address, timeout_s=patience_s)
    return Gateway(address, key=chosen.key, tls=client_tls(chosen), timeout_s=patience_s)


def ask(target: str | None, state: Path, question: Callable[[Gateway], Awaitable[Answer]]) -> Answer:
    """Ask the gateway one question; raises GatewayError as the gateway's client does."""

    async def asked() -> Answer:
        async with gateway_at(target, state) as gateway:
            return await question(gateway)

    return asyncio.run(asked())


def with_records(state: Path, work: Callable[[Connection], Awaitable[Answer]]) -> Answer:
    """Do something in one transaction: on TOLLKEEPER_POSTGRES_URL, else on the running dev gateway's database."""
    url = settings().postgres_url or (running_dev(state) or {}).get("postgres_url")
    if not url:
        raise PreconditionError("no database is known here: set TOLLKEEPER_POSTGRES_URL, or start: tollkeeper dev")

    async def done() -> Answer:
        async with _records(url) as connection:
            return await work(connection)

    return asyncio.run(done())


@asynccontextmanager
async def _records(url: str) -> AsyncIterator[Connection]:
    from gateway.records.database import Database
    from gateway.records.migrate import pending

    database = await Database.open(url)
    try:
        if missing := await pending(database):
            raise PreconditionError(f"the database lacks {', '.join(missing)}; run: tollkeeper migrate")
        async with database.transaction() as connection:
            yield connection
    finally:
        await database.close()
