"""A connection that is always there or on its way: served until it is lost, then opened anew."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final, Never

from gateway.counters.connection import Address, Connection
from gateway.errors import StoreUnavailableError
from gateway.telemetry import Event, log

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.turn import Turn

DELAY_S_MAX: Final = 1.0
"""A Redis that came back is noticed this soon; the jitter keeps a thousand sidecars from coming at once."""

SERVED_S: Final = 5.0
"""A connection that lasted this long was no failure in a row: it is missed at once, and said so."""


async def stay_connected(
    address: Address,
    serve: Callable[[Connection], Awaitable[None]],
    *,
    on_push: Callable[[list[bytes]], None] | None = None,
    on_lost: Callable[[], None] = lambda: None,
    on_down: Callable[[StoreUnavailableError], None] = lambda _: None,
    turn: Turn | None = None,
) -> Never:
    """Open, `serve` until the connection is lost, and again; `on_down` after each attempt that failed.

    `serve` returns when the connection is lost (`on_lost` can wake it) or raises StoreUnavailableError when it is of
    no more use.
    """
    failures, now_s = 0, asyncio.get_running_loop().time
    while True:
        connection, opened_s = None, now_s()
        try:
            connection = await Connection.open(address, on_lost, on_push, turn)
            await serve(connection)
            if now_s() - opened_s >= SERVED_S:
                failures = 0
                continue
            failures += 1
        except StoreUnavailableError as error:
            failures = failures + 1 if now_s() - opened_s < SERVED_S else 1
            if failures == 1:
                log.warning(Event.REDIS_LOST, error=str(error))
            on_down(error)
        except Exception as error:  # noqa: BLE001 - a bug is shown and tried again: nobody else watches this loop
            failures = failures + 1 if now_s() - opened_s < SERVED_S else 1
            log.error(Event.UNEXPECTED, exc_info=error)
            on_down(StoreUnavailableError(str(error)))
        finally:
            if connection is not None:
                connection.close()
        await asyncio.sleep(random.uniform(0, min(DELAY_S_MAX, 0.05 * 2 ** min(failures, 5))))  # noqa: S311 - jitter, not a secret
