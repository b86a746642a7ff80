"""Entitlement documents as Redis holds them: fetched when first asked for, announced when replaced.

Announcements, the number of the last one and documents come over one connection, in the order in which Redis made them:
what the number says, and what a document says, never overtakes an announcement that was made before.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from gateway.counters import keys
from gateway.counters.connection import Address, Connection, pack
from gateway.counters.reconnect import stay_connected
from gateway.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.counters.hearing import Hearing

    Document = bytes | None | StoreUnavailableError
    """The document's JSON, None when there is none, or why it could not be fetched."""

LOOK_EVERY_S: Final = 0.5
"""Half of the least time for which a document may be believed unconfirmed."""

_LOOK: Final = pack("GET", keys.ANNOUNCED)


class Documents:
    """One connection that listens to `tollkeeper:changes` and fetches documents, each key once at a time."""

    def __init__(self, address: Address, hearing: Hearing, *, timeout_ms: int) -> None:
        """`hearing` is told of every announcement, and of those that nobody can have heard."""
        self._address = address
        self._hearing = hearing
        self._timeout_s = timeout_ms / 1000
        self._connection: Connection | None = None
        self.connected = False
        """Whether documents can be fetched and announcements arrive."""
        self._fetching: dict[str, list[Callable[[Document], None]]] = {}
        self._listening = asyncio.Event()
        self._lost = asyncio.Event()
        self._first_try = asyncio.Event()
        self._time = asyncio.get_running_loop().time
        self._life: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect; returns after the first try, whether it succeeded or not."""
        self._life = asyncio.create_task(
            stay_connected(
                self._address,
                self._serve,
                on_push=self._pushed,
                on_lost=self._lost.set,
                on_down=lambda _: self._first_try.set(),
            )
        )
        await self._first_try.wait()

    async def stop(self) -> None:
        """Disconnect."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)

    def fetch(self, key: str, reply: Callable[[Document], None]) -> None:
        """Fetch one document; whoever asks for the same key meanwhile shares the answer."""
        if key in self._fetching:
            self._fetching[key].append(reply)
            return
        if self._connection is None:
            reply(StoreUnavailableError("Redis is away"))
            return
        self._fetching[key] = [reply]
        self._connection.send(pack("MGET", keys.PUBLISHED, key), self._fetched, key)

    def _fetched(self, key: str, answer: object) -> None:
        """Hand out what came; without the mark that all documents are there, a missing one is not an unknown one."""
        document: Document
        match answer:
            case StoreUnavailableError():
                document = answer
            case [None | b"-", None]:  # keys.PUBLISHING
                document = StoreUnavailableError("the documents are not all published")
            case [_, None | bytes() as document]:
                pass
            case _:
                document = StoreUnavailableError(f"Redis refused to hand out {key}: {answer}")
        for reply in self._fetching.pop(key):
            reply(document)

    async def _serve(self, connection: Connection) -> None:
        self._lost.clear()
        self._listening.clear()
        self._hearing.begin()
        connection.subscribe(keys.CHANGES)
        try:
            async with asyncio.timeout(self._timeout_s * 4):
                await self._listening.wait()
        except TimeoutError as error:
            raise StoreUnavailableError(f"Redis does not confirm the subscription to {keys.CHANGES}") from error
        await self._look(connection)
        if not self._hearing.begun:
            raise StoreUnavailableError(f"Redis does not say how many announcements there were, in {keys.ANNOUNCED}")
        self._connection, self.connected = connection, True
        self._hearing.missed()
        self._first_try.set()
        try:
            await self._stay(connection)
        finally:
            self._connection, self.connected = None, False

    async def _stay(self, connection: Connection) -> None:
        """Return when the connection is lost; find out when it is silent, and whether all was heard."""
        while not connection.lost:
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._lost.wait()
                self._lost.clear()  # an earlier connection may have been meant
            except TimeoutError:
                await self._look(connection)

    async def _look(self, connection: Connection) -> None:
        """Ask for the number of the last announcement; returns when the answer was taken in, before what comes next."""
        answered = asyncio.Event()
        connection.send(_LOOK, self._looked, answered, self._time())
        try:
            async with asyncio.timeout(self._timeout_s * 4):
                await answered.wait()
        except TimeoutError as error:
            raise StoreUnavailableError(f"Redis does not answer a GET of {keys.ANNOUNCED}") from error

    def _looked(self, answered: asyncio.Event, asked_s: float, answer: object) -> None:
        """Compare at once: an announcement may follow in the same packet. What is no number confirms nothing."""
        answered.set()
        if answer is None:
            self._hearing.counted(0, asked_s)
        elif isinstance(answer, bytes) and answer.isdigit():
            self._hearing.counted(int(answer), asked_s)

    def _pushed(self, message: list[bytes]) -> None:
        kind = message[0]
        if kind == b"subscribe":
            self._listening.set()
        elif kind == b"message":
            self._hearing.announced(message[2].decode())
