"""Where a gateway is found, and how a command asks it."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, TypeVar

from gateway.errors import PreconditionError
from gateway.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from gateway.client import Gateway

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
