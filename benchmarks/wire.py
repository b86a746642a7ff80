"""How a gRPC call looks on HTTP/2: requests as bytes made beforehand, and what comes back taken apart."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hpack import Decoder, HPACKError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 1, 2, 3, 4

WINDOW_DEFAULT: Final = 65_535
STREAM_WINDOW: Final = 1 << 22
CONNECTION_WINDOW: Final = 1 << 30
"""More than a block's replies together: the server never has to wait for us."""

HEADER_TABLE_DEFAULT: Final = 4096
HEADER_ENTRY_OVERHEAD: Final = 32
FIRST_DYNAMIC_INDEX: Final = 62
LITERAL_BYTES_MAX: Final = 127
FRAME_BYTES_MAX: Final = 16_384
RECEIVE_BYTES: Final = 1 << 18
STATIC_NAMES: Final = {":path": 4, ":authority": 1, "authorization": 23, "content-type": 31, "user-agent": 58}

_head: Final = struct.Struct(">IBI").unpack_from
_setting: Final = struct.Struct(">HI")


class WireError(Exception):
    """The server does what no gRPC server should: nothing that it answers can be counted."""


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Write one frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


@dataclass(frozen=True, slots=True)
class HeaderBlocks:
    """A call's headers as a gRPC client sends them: once in full, from then on by their place in the server's table."""

    first: bytes
    later: bytes
    table_bytes: int
    """How much of the server's header table they take."""

    @classmethod
    def of(cls, path: str, headers: Iterable[tuple[str, str]] = ()) -> HeaderBlocks:
        """Write the headers of a call to a method such as `/package.Service/Method`."""
        usual = ((":path", path), (":authority", "localhost"), ("te", "trailers"), ("content-type", "application/grpc"))
        fields = [*usual, ("user-agent", "tollkeeper-load/1"), *headers]
        pseudo = b"\x83\x86"  # :method POST, :scheme http
        first = b"".join(_literal(name, value.encode()) for name, value in fields)
        last = FIRST_DYNAMIC_INDEX + len(fields) - 1
        later = bytes(0x80 | (last - place) for place in range(len(fields)))
        size = sum(len(name) + len(value) + HEADER_ENTRY_OVERHEAD for name, value in fields)
        return cls(pseudo + first, pseudo + later, size)


def _literal(name: str, value: bytes) -> bytes:
    """Write a header that the server is to remember."""
    if (index := STATIC_NAMES.get(name)) is not None:
        return bytes((0x40 | index,)) + _text(value)
    return b"\x40" + _text(name.encode()) + _text(value)


def _text(text: bytes) -> bytes:
    if len(text) < LITERAL_BYTES_MAX:
        return bytes((len(text),)) + text
    length, written = len(text) - LITERAL_BYTES_MAX, bytearray((LITERAL_BYTES_MAX,))
    while length > LITERAL_BYTES_MAX:
        written.append(length & LITERAL_BYTES_MAX | 0x80)
        length >>= 7
    written.append(length)
    return bytes(written) + text


Body = tuple[bytes, bytes]
"""What stands between a request's two stream ids, and what stands behind the second one."""


def body_of(message: bytes, blocks: HeaderBlocks) -> Body:
    """Prepare a message to be sent many times."""
    payload = b"\0" + len(message).to_bytes(4, "big") + message
    assert len(payload) <= FRAME_BYTES_MAX, f"a message of {len(message)} bytes needs more than one frame"
    return blocks.later + len(payload).to_bytes(3, "big") + bytes((DATA, END_STREAM)), payload


Reply = tuple[int, bytes, str]
"""One call that ended: the number of its request, what came, and what its trailers said."""


class Client:
    """One connection with many calls in flight; its caller polls the socket, and reads `replies` as they come."""

    def __init__(self, target: str, blocks: HeaderBlocks, body: Callable[[int], Body]) -> None:
        """Connect to `unix:/path` or `host:port`; `body` gives the request of a number."""
        self.socket = _connected(target)
        self.replies: list[Reply] = []
        self.unsent = bytearray()
        self.ready = False
        self._blocks = blocks
        self._body = body
        self._headers_head = len(blocks.later).to_bytes(3, "big") + bytes((HEADERS, END_HEADERS))
        self._numbers: list[int] = []
        self._held: deque[int] = deque()
        self._payloads: dict[int, bytes] = {}
        self._buffer = b""
        self._window = WINDOW_DEFAULT
        self._in_flight = 0
        self._streams_max = 1 << 31
        self._decoder = Decoder()
        self._known: dict[bytes, str] = {}
        settings = _setting.pack(ENABLE_PUSH, 0) + _setting.pack(INITIAL_WINDOW_SIZE, STREAM_WINDOW)
        more = (CONNECTION_WINDOW - WINDOW_DEFAULT).to_bytes(4, "big")
        self._write(PREFACE + frame(SETTINGS, 0, 0, settings) + frame(WINDOW_UPDATE, 0, 0, more))

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def ask(self, numbers: Iterable[int]) -> None:
        """Send these requests in one write; what the server's limits do not let through waits."""
        self._held.extend(numbers)
        written: list[bytes] = []
        while self._held and self.ready and self._in_flight < self._streams_max:
            middle, payload = self._body(self._held[0])
            if self._window < len(payload):
                break
            number = self._held.popleft()
            self._window -= len(payload)
            self._in_flight += 1
            stream = (2 * len(self._numbers) + 1).to_bytes(4, "big")
            if self._numbers:
                written.append(b"%b%b%b%b%b" % (self._headers_head, stream, middle, stream, payload))
            else:
                first = frame(HEADERS, END_HEADERS, 1, self._blocks.first)
                written.append(first + middle[len(self._blocks.later) :] + stream + payload)
            self._numbers.append(number)
        if written:
            self._write(b"".join(written))

    def receive(self) -> None:
        """Read what is there; calls that ended are appended to `replies`."""
        data = self.socket.recv(RECEIVE_BYTES)
        if not data:
            raise WireError(f"the server hung up after {len(self.replies)} replies")
        buffer = self._buffer + data if self._buffer else data
        position, end = 0, len(buffer)
        while end - position >= 9:  # noqa: PLR2004 - a frame's head
            word, flags, stream = _head(buffer, position)
            start = position + 9
            stop = start + (word >> 8)
            if stop > end:
                break
            position = stop
            kind = word & 255
            if kind == DATA and not flags & (PADDED | END_STREAM):
                payload = buffer[start:stop]
                held = self._payloads.get(stream)
                self._payloads[stream] = payload if held is None else held + payload
            elif kind == HEADERS and flags & (PADDED | END_HEADERS) == END_HEADERS:
                block = buffer[start:stop]
                status = self._known.get(block)
                if status is None:
                    status = self._decoded(block)
                if flags & END_STREAM:
                    self._ended(stream, status)
            else:
                self._control(kind, flags, stream, buffer[start:stop])
        self._buffer = buffer[position:]

    def flush(self) -> None:
        """Go on writing what the socket did not take."""
        with contextlib.suppress(BlockingIOError):
            del self.unsent[: self.socket.send(self.unsent)]

    def _write(self, data: bytes) -> None:
        waits = bool(self.unsent)
        self.unsent += data
        if not waits:
            self.flush()

    def _ended(self, stream: int, status: str) -> None:
        self._in_flight -= 1
        self.replies.append((self._numbers[stream >> 1], self._payloads.pop(stream, b""), status))
        if self._held:
            self.ask(())

    def _decoded(self, block: bytes) -> str:
        """Decode a header block and say how the call went: `0`, a gRPC status with its message, or an HTTP status.

        A block that leaves the table as it was is remembered until one changes it.
        """
        table = self._decoder.header_table.dynamic_entries
        before = len(table), table[0] if table else None
        try:
            fields = {str(name): str(value) for name, value in self._decoder.decode(block)}
        except HPACKError as error:
            raise WireError(f"a header block that cannot be decoded: {error}") from error
        status = fields.get("grpc-status", "no grpc-status")
        if fields.get(":status", "200") != "200":
            status = f"HTTP status {fields[':status']}"
        elif status != "0" and (message := fields.get("grpc-message")):
            status += f" {message}"
        if before == (len(table), table[0] if table else None):
            self._known[block] = status
        else:
            self._known.clear()
        return status

    def _control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """Take every frame that is no plain part of an answer."""
        if kind == WINDOW_UPDATE:
            if stream == 0:
                self._window += int.from_bytes(payload, "big")
                self.ask(())
        elif kind == PING and not flags & ACK:
            self._write(frame(PING, ACK, 0, payload))
        elif kind == SETTINGS and not flags & ACK:
            self._take_settings(payload)
        elif kind == RST_STREAM:
            self._ended(stream, f"the stream was reset with error {int.from_bytes(payload, 'big')}")
        elif kind not in (PING, SETTINGS):
            raise WireError(f"frame {kind} with flags {flags:#x} on stream {stream}: {payload[:100]!r}")

    def _take_settings(self, payload: bytes) -> None:
        said = dict(_setting.iter_unpack(payload))
        self._streams_max = said.get(MAX_CONCURRENT_STREAMS, self._streams_max)
        if said.get(HEADER_TABLE_SIZE, HEADER_TABLE_DEFAULT) < self._blocks.table_bytes:
            raise WireError(f"the server's header table holds no {self._blocks.table_bytes} bytes")
        self._write(frame(SETTINGS, ACK, 0, b""))
        self.ready = True
        self.ask(())


def _connected(target: str) -> socket.socket:
    if target.startswith("unix:"):
        made = socket.socket(socket.AF_UNIX)
        made.connect(target.removeprefix("unix:"))
    else:
        host, _, port = target.rpartition(":")
        made = socket.create_connection((host.strip("[]"), int(port)))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setblocking(False)
    return made
