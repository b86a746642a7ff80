"""One socket to Redis with many commands in flight on it: replies come back in order, by callback.

All commands of a turn leave in one write. Nothing here retries: what to do about an unanswered command is
decided by who sent it. A connection is used from one event loop and never reopened; a new one takes its place.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self, cast
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis

from gateway.errors import StoreUnavailableError
from gateway.telemetry import Event, log
from gateway.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Callable

ReplyError = hiredis.ReplyError
"""What Redis answers instead of a reply: `OOM …`, `NOSCRIPT …`; handed to the callback like any reply."""

Argument = str | bytes | int
CONNECT_TIMEOUT_S: Final = 2.0
SILENCE_S_MAX: Final = 5.0
"""A connection that owes replies and brings nothing for so long is given up."""
_INCOMPLETE: Final = object()


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Redis listens and as whom we speak to it."""

    path: str = ""
    host: str = "127.0.0.1"
    port: int = 6379
    tls: bool = False
    username: str = ""
    password: str = field(default="", repr=False)
    database: int = 0

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `redis://`, `rediss://` (TLS) or `unix://` with optional `user:password@` and database."""
        parts = urlsplit(url)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if parts.scheme == "unix":
            database = int(parse_qs(parts.query).get("db", ["0"])[0])
            return cls(path=unquote(parts.path), username=user, password=password, database=database)
        return cls(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or 6379,
            tls=parts.scheme == "rediss",
            username=user,
            password=password,
            database=int(parts.path.strip("/") or 0),
        )


class Connection(asyncio.Protocol):
    """A pipelined connection; `send` for the check path, `call` where waiting is fine."""

    def __init__(
        self, on_lost: Callable[[], None], on_push: Callable[[list[bytes]], None] | None, turn: Turn | None
    ) -> None:
        self._on_lost = on_lost
        self._on_push = on_push
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        self._waiting: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._turn = turn or Turn(self._loop)
        self._heard_s = self._loop.time()
        self.lost = False

    @classmethod
    async def open(
        cls,
        address: Address,
        on_lost: Callable[[], None] = lambda: None,
        on_push: Callable[[list[bytes]], None] | None = None,
        turn: Turn | None = None,
    ) -> Self:
        """Connect and say hello in RESP3.

        `on_lost` is called once when the connection is gone, after each unanswered callback got a
        StoreUnavailableError; `on_push` gets each message of a subscribed channel. What is sent leaves at the end of
        `turn`, which is shared with whoever is asked and answers.
        """
        where = address.path or f"{address.host}:{address.port}"
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                made = await cls._connect(address, lambda: cls(on_lost, on_push, turn))
                try:
                    await made._greet(address)  # noqa: SLF001 - our own, made a line above
                except BaseException:
                    made.close()
                    raise
        except (OSError, TimeoutError) as error:
            raise StoreUnavailableError(f"Redis at {where} does not answer ({str(error) or 'timeout'})") from error
        return made

    @classmethod
    async def _connect(cls, address: Address, make: Callable[[], Self]) -> Self:
        loop = asyncio.get_running_loop()
        if address.path:
            return (await loop.create_unix_connection(make, address.path))[1]
        context = ssl.create_default_context() if address.tls else None
        made = await loop.create_connection(make, address.host, address.port, ssl=context)
        return made[1]

    async def _greet(self, address: Address) -> None:
        login = ("AUTH", address.username or "default", address.password) if address.password else ()
        await self.call("HELLO", 3, *login)
        if address.database:
            await self.call("SELECT", address.database)

    def send(self, command: bytes, reply: Callable[..., None], *about: Any) -> None:
        """Send one packed command with this turn's write.

        `reply` gets what it is about, if anything, and what Redis answers: a ReplyError too, or a StoreUnavailableError
        when the connection is lost.
        """
        if self.lost:
            reply(*about, StoreUnavailableError("the connection to Redis is lost"))
            return
        if not self._waiting:
            self._heard_s = self._loop.time()
        self._waiting.append((reply, about))
        self._put(command)

    def call(self, *command: Argument) -> asyncio.Future[object]:
        """Send a command from outside the check path; awaits its reply, raises StoreUnavailableError on an error."""
        future: asyncio.Future[object] = self._loop.create_future()

        def reply(answer: object) -> None:
            if future.done():
                return
            if isinstance(answer, ReplyError):
                future.set_exception(StoreUnavailableError(f"Redis refused {command[0]!r}: {answer}"))
            elif isinstance(answer, StoreUnavailableError):
                future.set_exception(answer)
            else:
                future.set_result(answer)

        self.send(pack(*command), reply)
        return future

    def subscribe(self, channel: str) -> None:
        """Ask for a channel's messages; what comes, the confirmation first, goes to `on_push`."""
        self._put(pack("SUBSCRIBE", channel))

    def close(self) -> None:
        """Drop the connection at once; unanswered callbacks are told."""
        if self._transport is not None and not self.lost:
            self._transport.abort()

    def _put(self, command: bytes) -> None:
        if not self._unsent:
            self._turn.put_off(self._flush)
        self._unsent.append(command)

    def _flush(self) -> None:
        commands, self._unsent = self._unsent, []
        if self._transport is not None and not self.lost:
            self._transport.write(b"".join(commands))

    def _watch(self) -> None:
        """Look once a second whether replies that are owed still come."""
        if self.lost:
            return
        if self._waiting and self._loop.time() - self._heard_s > SILENCE_S_MAX:
            self.close()
        else:
            self._loop.call_later(1, self._watch)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Hand every complete reply to the callback whose turn it is."""
        self._heard_s = self._loop.time()
        next_answer, waiting = self._reader.gets, self._waiting
        self._turn.begin()
        try:
            self._reader.feed(data)
            while (answer := next_answer()) is not _INCOMPLETE:
                if isinstance(answer, hiredis.PushNotification):
                    if self._on_push is not None:
                        self._on_push(list(answer))
                elif waiting:
                    self._tell(*waiting.popleft(), answer)
                else:  # nobody asked: who is answered what can no longer be told
                    self.close()
        except hiredis.ProtocolError:  # not a Redis: nothing behind this byte can be told apart
            self.close()
        finally:
            self._turn.end()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whoever still waits, then whoever opened."""
        self.lost = True
        unanswered, self._waiting = self._waiting, deque()
        gone = StoreUnavailableError(f"the connection to Redis is lost ({error or 'closed'})")
        for reply, about in unanswered:
            self._tell(reply, about, gone)
        self._on_lost()

    def _tell(self, reply: Callable[..., None], about: tuple[Any, ...], answer: object) -> None:
        """Hand over one answer; a bug in who asked is shown, and costs nobody else's answers."""
        try:
            reply(*about, answer)
        except Exception as error:  # noqa: BLE001 - as above
            log.error(Event.UNEXPECTED, exc_info=error)


def pack(*command: Argument) -> bytes:
    """Write a command in Redis's protocol."""
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type] # its stub knows tuples of one
    return packed


def word(text: bytes) -> bytes:
    """Write one word of a command in Redis's protocol."""
    return b"$%d\r\n%b\r\n" % (len(text), text)
