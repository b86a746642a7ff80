"""A reservation as a block of code: held while the block runs, kept alive, and settled when it is left.

What the block says last is done: `commit(quantity)` counts what was really used, and without it all is given back. A
block that was denied runs as well; its reservation is false and holds nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from gateway.client.faults import GatewayError

if TYPE_CHECKING:
    from types import TracebackType

    from gateway.client.async_gate import AsyncGate
    from gateway.client.gate import Gate
    from gateway.client.messages import Asked
    from gateway.decision import Decision

BEATS_PER_TTL: Final = 3
"""A reservation is extended so often in its time to live: two answers may be lost before it ends."""


class ReservationState(IntEnum):
    """What became of a reservation; the numbers are those of the public API."""

    HELD = 1
    COMMITTED = 2
    RELEASED = 3
    COMMITTED_LATE = 4
    EXPIRED = 5


class Settled(NamedTuple):
    """What a gateway says of a reservation: how it stands, what counts as used by it, and when it ends by itself."""

    state: ReservationState
    quantity: int
    expires_at_ms: int | None
    replayed: bool


class Held(NamedTuple):
    """The answer to a reservation's beginning; the id is empty when nothing is held."""

    decision: Decision
    id: str
    expires_at_ms: int
    ttl_ms: int


class _Block:
    """What both kinds of block have: what was answered, and what is to be done at the end."""

    def __init__(self, asked: Asked, ttl_ms: int | None) -> None:
        self._asked = asked
        self._ttl_ms = ttl_ms
        self._held: Held | None = None
        self._quantity: int | None = None
        self.settled: Settled | None = None
        """How it ended; None while it runs, and when nothing was held."""

    def __bool__(self) -> bool:
        return self.decision.allowed

    @property
    def decision(self) -> Decision:
        """What was decided when the block was entered."""
        if self._held is None:
            raise RuntimeError("a reservation begins with its block: use it with `with` or `async with`")
        return self._held.decision

    @property
    def id(self) -> str:
        """Its name at the gateway; empty when nothing is held."""
        return self._held.id if self._held is not None else ""

    def commit(self, quantity: int | None = None) -> None:
        """Count `quantity` as used when the block is left, instead of giving everything back; None: what was asked."""
        if self._held is None:
            raise RuntimeError("a reservation is committed inside its block")
        asked = 1 if self._asked.quantity is None else self._asked.quantity
        self._quantity = asked if quantity is None else quantity

    def _beat_s(self) -> float:
        assert self._held is not None
        return self._held.ttl_ms / 1000 / BEATS_PER_TTL


class AsyncReservation(_Block):
    """Used with `async with`."""

    def __init__(self, gate: AsyncGate, asked: Asked, ttl_ms: int | None) -> None:
        super().__init__(asked, ttl_ms)
        self._gate = gate
        self._beating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._held = await self._gate.hold(self._asked, self._ttl_ms)
        if self._held.id:
            self._beating = asyncio.create_task(self._beat())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._beating is None:
            return
        self._beating.cancel()
        await asyncio.gather(self._beating, return_exceptions=True)
        customer = self._asked.customer
        if self._quantity is not None:
            self.settled = await self._gate.commit(customer, self.id, self._quantity)
        else:
            self.settled = await self._gate.release(customer, self.id)

    async def _beat(self) -> None:
        """Extend again and again; one that fails is made up for by the next."""
        assert self._held is not None
        while True:
            await asyncio.sleep(self._beat_s())
            with contextlib.suppress(GatewayError):
                await self._gate.extend(self._asked.customer, self.id, self._held.ttl_ms)


class Reservation(_Block):
    """Used with `with`; a thread of its own keeps it alive."""

    def __init__(self, gate: Gate, asked: Asked, ttl_ms: int | None) -> None:
        super().__init__(asked, ttl_ms)
        self._gate = gate
        self._over = threading.Event()
        self._beating: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._held = self._gate.hold(self._asked, self._ttl_ms)
        if self._held.id:
            self._beating = threading.Thread(target=self._beat, name="tollkeeper-reservation", daemon=True)
            self._beating.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._beating is None:
            return
        self._over.set()
        self._beating.join()
        customer = self._asked.customer
        if self._quantity is not None:
            self.settled = self._gate.commit(customer, self.id, self._quantity)
        else:
            self.settled = self._gate.release(customer, self.id)

    def _beat(self) -> None:
        """Extend again and again; one that fails is made up for by the next."""
        assert self._held is not None
        while not self._over.wait(self._beat_s()):
            with contextlib.suppress(GatewayError):
                self._gate.extend(self._asked.customer, self.id, self._held.ttl_ms)
