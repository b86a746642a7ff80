"""When the published credentials are read again, and how long they may be believed without."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from gateway.counters import keys
from gateway.errors import StoreCorruptError
from gateway.telemetry import Event, Seldom

if TYPE_CHECKING:
    from gateway.counters.documents import Document, Documents
    from gateway.credentials import Credentials

FIRST_S_MAX: Final = 1.0
"""How long a start waits for what it may do without."""


class Keyring:
    """Reads the credentials at start, on each announcement, and every `fresh_for_s` in case one was lost."""

    def __init__(self, credentials: Credentials, *, fresh_for_s: float, usable_for_s: float) -> None:
        """They are believed `usable_for_s` after they were last read; then nobody is known until they are again."""
        self._credentials = credentials
        self._fresh_for_s = fresh_for_s
        self._usable_for_s = usable_for_s
        self._documents: Documents | None = None
        self._confirmed_s: float | None = None
        self._first_answer = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._log = Seldom()

    # start → read again → stop

    async def start(self, documents: Documents) -> None:
        """Read them; returns when that is done, or Redis has none to hand out."""
        self._documents = documents
        self._look_again()
        try:
            async with asyncio.timeout(FIRST_S_MAX):
                await self._first_answer.wait()
        except TimeoutError:
            return  # who calls meanwhile is told that they are not loaded

    def read_again(self) -> None:
        """Read what was announced, or may have been while nobody listened."""
        if self._documents is not None:
            self._documents.fetch(keys.CREDENTIALS, self._fetched)

    def stop(self) -> None:
        """Read no more."""
        self._documents = None
        if self._timer is not None:
            self._timer.cancel()

    def _look_again(self) -> None:
        if self._confirmed_s is not None and self._loop.time() - self._confirmed_s >= self._usable_for_s:
            self._confirmed_s = None
            self._credentials.forget()
        self.read_again()
        self._timer = self._loop.call_later(self._fresh_for_s, self._look_again)

    def _fetched(self, document: Document) -> None:
        """Take in what came; what is held stays when nothing did, when it cannot be read, and when it is older."""
        self._first_answer.set()
        if not isinstance(document, bytes):
            return
        try:
            if self._credentials.hold(document):
                self._confirmed_s = self._loop.time()
        except StoreCorruptError as error:
            self._log.warning(keys.CREDENTIALS, Event.DOCUMENT_REFUSED, key=keys.CREDENTIALS, error=str(error))
