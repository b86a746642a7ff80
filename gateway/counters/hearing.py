"""Whether everything that was announced was heard: announcements are numbered, and each must be the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.telemetry import Event, Seldom

if TYPE_CHECKING:
    from collections.abc import Callable


class Hearing:
    """Follows the numbers on one subscription at a time; what it is given must come in the order Redis sent it."""

    def __init__(
        self,
        *,
        on_change: Callable[[str], None],
        on_missed: Callable[[], None],
        on_confirmed: Callable[[float], None],
    ) -> None:
        """`on_change` gets each name that is announced; `on_missed` says that others may not have been heard.

        `on_confirmed` gets a moment: every change up to then was heard.
        """
        self._on_change = on_change
        self._on_missed = on_missed
        self._on_confirmed = on_confirmed
        self._last: int | None = None
        self._log = Seldom()

    @property
    def begun(self) -> bool:
        """Whether it is known from which number on this subscription hears."""
        return self._last is not None

    def begin(self) -> None:
        """Follow a new subscription, from the first number that is read on it."""
        self._last = None

    def announced(self, message: str) -> None:
        """Take in `<number> <name>`. Who announces without a number may go unheard another time: that is a miss."""
        text, _, name = message.partition(" ")
        if not (name and text.isascii() and text.isdigit()):
            self._on_change(message)
            self._miss(None, message)
            return
        self._on_change(name)
        last, number = self._last, int(text)
        if last is not None:
            self._last = number
            if number != last + 1:
                self._miss(last, message)

    def counted(self, number: int, asked_s: float) -> None:
        """Take in how many the counter says there were, as asked at `asked_s`; the first is where hearing begins."""
        last, self._last = self._last, number
        if last == number:
            self._on_confirmed(asked_s)
        elif last is not None:
            self._miss(last, str(number))

    def missed(self) -> None:
        """Say that announcements may not have been heard."""
        self._on_missed()

    def _miss(self, last: int | None, heard: str) -> None:
        """The very first announcement follows on nothing, which is no news."""
        if last != 0:
            self._log.warning("missed", Event.ANNOUNCEMENTS_MISSED, last=last, heard=heard)
        self.missed()
