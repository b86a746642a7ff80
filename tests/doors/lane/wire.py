"""The other side of the lane in single frames, by libraries that are not ours: hyperframe and hpack."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from struct import pack
from typing import TYPE_CHECKING, Any

import hpack
from hyperframe import frame as hyper

from gateway import errors
from gateway.lane.call import Call, Method
from gateway.lane.lane import Lane
from gateway.lane.server import LaneDoor
from gateway.listening import listen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.lane.limits import Limits

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, HAS_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
NO_ERROR, PROTOCOL, INTERNAL, FLOW, TIMEOUT, CLOSED, SIZE, REFUSED, CANCEL, COMPRESSION = range(10)
CALM = 11
PATIENCE_S = 10

Fields = list[tuple[str, str]]


def fields_of(path: str = "/test/Echo", *more: tuple[str, str], without: str = "", **other: str) -> Fields:
    """Write the fields of a call; `other` replaces pseudo-fields by their names."""
    fields = [
        (":method", other.get("method", "POST")),
        (":scheme", other.get("scheme", "http")),
        (":path", path),
        (":authority", "test"),
        ("te", "trailers"),
        ("content-type", other.get("content_type", "application/grpc")),
    ]
    return [(name, value) for name, value in fields if name != without] + list(more)


def raw(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """Write any frame, a wrong one too."""
    return pack(">IBI", len(payload) << 8 | kind, flags, stream_id) + payload


def settings(**values: int) -> bytes:
    """Write SETTINGS; a name such as s4 is the number of the setting."""
    return raw(SETTINGS, 0, 0, b"".join(pack(">HI", int(name[1:]), value) for name, value in values.items()))


def window(stream_id: int, more: int) -> bytes:
    """Write WINDOW_UPDATE."""
    return raw(WINDOW, 0, stream_id, pack(">I", more))


def reset(stream_id: int, code: int = CANCEL) -> bytes:
    """Write RST_STREAM."""
    return raw(RST, 0, stream_id, pack(">I", code))


def message(text: bytes, compressed: int = 0) -> bytes:
    """Put gRPC's five bytes before a message."""
    return pack(">BI", compressed, len(text)) + text


@dataclass
class Answer:
    """What came for one stream."""

    fields: dict[str, str] = field(default_factory=dict)
    trailers: dict[str, str] = field(default_factory=dict)
    data: bytes = b""
    sizes: list[int] = field(default_factory=list)
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int | None:
        """The gRPC status."""
        told = self.trailers.get("grpc-status", self.fields.get("grpc-status"))
        return None if told is None else int(told)

    @property
    def message(self) -> bytes:
        """The message of a successful answer."""
        assert self.status == 0, self
        assert self.data[:5] == pack(">BI", 0, len(self.data) - 5)
        return self.data[5:]


class Peer:
    """A client of single frames; what it hears is collected by stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = hpack.Decoder()
        self.encoder = hpack.Encoder()
        self.answers: dict[int, Answer] = {}
        self.heard: list[hyper.Frame] = []
        self.gone: int | None = None
        self.last_id = 0
        self.closed = False

    def send(self, *frames: bytes) -> None:
        """Send frames at once."""
        self._writer.write(b"".join(frames))

    def opening(self, stream_id: int, fields: Fields | None = None, *, flags: int = END_HEADERS) -> bytes:
        """Write HEADERS."""
        return raw(HEADERS, flags, stream_id, self.encoder.encode(fields or fields_of()))

    def request(self, stream_id: int, text: bytes = b"hello", fields: Fields | None = None) -> bytes:
        """Write a whole call."""
        return self.opening(stream_id, fields) + raw(DATA, END_STREAM, stream_id, message(text))

    async def hear(self) -> hyper.Frame | None:
        """Return the next frame, None at the end of the connection."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                head = await self._reader.readexactly(9)
                found, length = hyper.Frame.parse_frame_header(memoryview(head))
                found.parse_body(memoryview(await self._reader.readexactly(length)))
            except (asyncio.IncompleteReadError, ConnectionError):
                self.closed = True
                return None
        self._note(found)
        self.heard.append(found)
        return found

    def _note(self, found: hyper.Frame) -> None:
        if isinstance(found, hyper.GoAwayFrame):
            self.gone, self.last_id = found.error_code, found.last_stream_id
        if not found.stream_id:
            return
        answer = self.answers.setdefault(found.stream_id, Answer())
        if isinstance(found, hyper.HeadersFrame):
            fields = dict(self._decoder.decode(found.data))
            if answer.fields:
                answer.trailers = fields
            else:
                answer.fields = fields
        if isinstance(found, hyper.DataFrame):
            answer.data += found.data
            answer.sizes.append(len(found.data))
        if isinstance(found, hyper.RstStreamFrame):
            answer.reset = found.error_code
        answer.ended = answer.ended or "END_STREAM" in found.flags

    async def answer(self, stream_id: int) -> Answer:
        """Wait for the end of a stream."""
        while True:
            told = self.answers.setdefault(stream_id, Answer())
            if told.ended or told.reset is not None:
                return told
            assert await self.hear() is not None, f"the connection ended with {self.gone} before stream {stream_id}"

    async def reset_of(self, stream_id: int) -> int:
        """Wait until a stream is reset, and say how."""
        while (code := self.answers.setdefault(stream_id, Answer()).reset) is None:
            assert await self.hear() is not None, f"the connection ended with {self.gone}"
        return code

    async def end(self) -> int | None:
        """Wait until the connection is closed; returns what GOAWAY said."""
        while await self.hear() is not None:
            pass
        return self.gone

    async def echoes(self, stream_id: int) -> None:
        """See that the connection still works."""
        self.send(self.request(stream_id, b"still here"))
        assert (await self.answer(stream_id)).message == b"still here"

    async def silence(self) -> None:
        """Hear everything that was sent so far: the answer to a PING comes after it."""
        self.send(raw(PING, 0, 0, b"anybody?"))
        while not (isinstance(found := await self.hear(), hyper.PingFrame) and found.opaque_data == b"anybody?"):
            assert found is not None, f"the connection ended with {self.gone}"

    def close(self) -> None:
        """Hang up."""
        self._writer.transport.abort()


class Everybody:
    """Credentials that let everybody in, and count how often they were asked."""

    customers = None

    def __init__(self) -> None:
        self.generation = 0
        self.asked: list[str | None] = []

    def caller_of(self, authorization: str | None, _: Any) -> Everybody:
        """Let in; a key that says so is nobody's."""
        self.asked.append(authorization)
        if authorization == "Bearer nobody":
            raise errors.NotFoundError("nobody")
        return self

    def may(self, role: object) -> None:
        """Allow everything."""

    def check_customer(self, customer: str) -> None:
        """Allow everybody."""


@dataclass
class Served:
    """A lane of small methods, and where it listens."""

    lane: Lane
    door: LaneDoor
    address: str
    credentials: Everybody
    held: list[Call]

    @asynccontextmanager
    async def peer(self, *first: bytes, greeting: bytes | None = None) -> AsyncIterator[Peer]:
        """Connect; says the preface and `first`, or the settings without any."""
        path = self.address.removeprefix("unix:")
        reader, writer = await asyncio.open_unix_connection(path)
        peer = Peer(reader, writer)
        peer.send(PREFACE if greeting is None else greeting, *(first or (settings(),)))
        try:
            yield peer
        finally:
            peer.close()


ERRORS = {
    "reused": errors.IdempotencyKeyReusedError("'k' of customer acme: 100 % é"),
    "invalid": errors.InvalidRequestError(errors.Violation("customer", "is empty")),
    "unavailable": errors.StoreUnavailableError("x"),
    "bug": ValueError("a secret"),
}


@asynccontextmanager
async def serving(
    folder: Path,
    limits: Limits | None = None,
    *,
    deadline_ms: int = 5000,
) -> AsyncIterator[Served]:
    """Serve methods that echo, hold, fail and answer much."""
    held: list[Call] = []
    credentials = Everybody()

    def fail(call: Call) -> None:
        call.fail(ERRORS[call.message.decode()])

    def blow_up(call: Call) -> None:
        raise ERRORS[call.message.decode()]

    table = {
        b"/test/Echo": Method(lambda call: call.answer(call.message), "caller"),
        b"/test/Hold": Method(held.append, "caller"),
        b"/test/Promise": Method(held.append, "caller", punctual=True),
        b"/test/Much": Method(lambda call: call.answer(b"m" * int(call.message)), "caller"),
        b"/test/Fail": Method(fail, "caller"),
        b"/test/BlowUp": Method(blow_up, "caller"),
        b"/test/Open": Method(lambda call: call.answer(b"for all")),
    }
    loop = asyncio.get_running_loop()
    lane = Lane(loop, table, credentials, deadline_ms=deadline_ms, limits=limits)
    door = LaneDoor(lane, grace_s=1)
    address = await door.serve(listen(f"unix:{folder / 'lane.sock'}")[0], lambda _: None)
    try:
        yield Served(lane, door, address, credentials, held)
    finally:
        await door.stop()
