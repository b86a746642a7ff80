"""How the model asks a real Redis: many commands at a time, and scripts whose one look at the clock is steered.

A decision's time is Redis's. To be anywhere in time, the driver loads each script with its one `redis.call('TIME')`
put off to a key that it sets itself; a test shows that nothing else differs.
"""

from __future__ import annotations

import hashlib
import socket
from typing import TYPE_CHECKING, Self

import hiredis

from gateway.counters.connection import Address

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TIME = "redis.call('TIME')"
STEERED = "redis.call('HMGET', 'clock', 's', 'us')"
Argument = str | bytes | int
SILENCE_S_MAX = 30
_MORE = object()


def steered(text: str) -> str:
    """Let a script read the driver's clock instead of Redis's."""
    assert text.count(TIME) == 1, f"a script looks at the clock {text.count(TIME)} times; expected once"
    return text.replace(TIME, STEERED)


def sha(text: str) -> bytes:
    """Name a script as EVALSHA does."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest().encode()


class Wire:
    """One blocking connection on which whole batches of commands are sent."""

    def __init__(self, url: str) -> None:
        address = Address.parse(url)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(SILENCE_S_MAX)
        self._socket.connect(address.path)
        self._reader = hiredis.Reader(notEnoughData=_MORE)
        self._names: dict[bytes, bytes] = {}
        self.call("SELECT", address.database)

    @classmethod
    def steering(cls, url: str, texts: Iterable[str]) -> Self:
        """Connect, and bring steered scripts, which are then run wherever the deployed ones are named."""
        wire = cls(url)
        for text in texts:
            wire._names[sha(text)] = sha(steered(text))
            wire.call("SCRIPT", "LOAD", steered(text))
        return wire

    def call(self, *command: Argument) -> object:
        """Send one command and wait for its reply."""
        return self.ask([pack(*command)])[0]

    def ask(self, commands: Sequence[bytes]) -> list[object]:
        """Send packed commands at once and wait for all replies; errors are among them."""
        self._socket.sendall(b"".join(map(self._steered, commands)))
        replies: list[object] = []
        while len(replies) < len(commands):
            reply = self._reader.gets()
            if reply is _MORE:
                received = self._socket.recv(1 << 20)
                assert received, "Redis closed the connection"
                self._reader.feed(received)
            else:
                replies.append(reply)
        return replies

    def close(self) -> None:
        """Disconnect."""
        self._socket.close()

    def _steered(self, command: bytes) -> bytes:
        for deployed, ours in self._names.items():
            if deployed in command[:80]:
                return command.replace(deployed, ours, 1)
        return command


def pack(*command: Argument) -> bytes:
    """Write a command in Redis's protocol."""
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type] # its stub knows tuples of one
    return packed


def clock(now_us: int) -> bytes:
    """Set the clock that steered scripts read."""
    return pack("HSET", "clock", "s", now_us // 1_000_000, "us", now_us % 1_000_000)
