"""The script called bare: what the gateway asks Redis, over the same kind of socket, with nothing in front of it."""

from __future__ import annotations

import itertools
import socket
from collections import deque
from typing import TYPE_CHECKING, Final

import hiredis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.claims import Claims
    from benchmarks.wire import Reply

RECEIVE_BYTES: Final = 1 << 18
WRONG_MAX: Final = 5
_INCOMPLETE: Final = object()


class Script:
    """Claims of the customers that are drawn, each in a call of its own; the load generator asks them like checks."""

    decisions: Final = 1

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._numbers = itertools.count(1)

    def connect(self, target: str) -> Pipe:
        """Connect to Redis, which listens at a path."""
        return Pipe(target, lambda drawn: self._claims.call(drawn, next(self._numbers)))

    def mistakes(self, replies: Iterable[Reply]) -> list[str]:
        """Name the calls that did not count their claim."""
        wrong = (f"call {number}: {answer!r}" for number, answer, _ in replies if not self._claims.counted(answer))
        return [mistake for mistake, _ in zip(wrong, range(WRONG_MAX), strict=False)]


class Pipe:
    """One connection; replies come in the order of the calls."""

    ready: Final = True

    def __init__(self, path: str, packed: Callable[[int], bytes]) -> None:
        """Connect; `packed` makes the call of a number."""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.replies: list[Reply] = []
        self.unsent = bytearray()
        self._packed = packed
        self._numbers: deque[int] = deque()
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)

    def ask(self, numbers: Iterable[int]) -> None:
        """Call the script for the claims of these numbers, in one write."""
        asked = list(numbers)
        self._numbers.extend(asked)
        self.socket.sendall(b"".join(map(self._packed, asked)))

    def receive(self) -> None:
        """Read what is there."""
        self._reader.feed(self.socket.recv(RECEIVE_BYTES))
        while (answer := self._reader.gets()) is not _INCOMPLETE:
            self.replies.append((self._numbers.popleft(), answer, ""))

    def flush(self) -> None:
        """Nothing is ever left to write: `ask` waits until Redis has taken all."""

    def close(self) -> None:
        """Hang up."""
        self.socket.close()
