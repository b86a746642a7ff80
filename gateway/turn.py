"""When what a turn of the loop brought about leaves: together, and at the end of the very turn that began it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Turn:
    """What is put off while something that arrived is taken in: a socket's bytes bring about one write on each other.

    Without it, a write that is put off by the loop's own means costs the loop one more look at all its sockets.
    """

    __slots__ = ("_loop", "_open", "_put_off")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._open = False
        self._put_off: list[Callable[[], None]] = []

    def begin(self) -> None:
        """Take it that `end` is called, whatever happens, before control goes back to the loop."""
        self._open = True

    def put_off(self, what: Callable[[], None]) -> None:
        """Do something at the end of this turn, soon when nobody has begun one."""
        if not self._open and not self._put_off:
            self._loop.call_soon(self.end)
        self._put_off.append(what)

    def end(self) -> None:
        """Do what was put off, and what that puts off in its turn."""
        try:
            while self._put_off:
                self._put_off.pop()()
        finally:
            self._open = False
            if self._put_off:
                self._loop.call_soon(self.end)
