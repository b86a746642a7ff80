"""A reservation's ending, or its keeping, on its way to settle.lua: asked again as a claim is, and never done twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.counters import settle
from gateway.counters.ask import Ask
from gateway.counters.consume import UNAVAILABLE
from gateway.counters.settle import Settled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.counters.footing import Footing
    from gateway.counters.settle import Action

_UNAVAILABLE: Final = Settled(UNAVAILABLE)


class Settling(Ask, kw_only=True, eq=False):
    """What is to become of a reservation; `reply` gets the asker and what the script said, once."""

    in_bucket: int
    customer: str
    reservation: str
    action: Action
    reply: Callable[[Any, Settled], None]

    @property
    def bucket(self) -> int:
        """Where it is held."""
        return self.in_bucket

    def command(self, footing: Footing) -> bytes:
        """Pack it."""
        return settle.command(footing, self.in_bucket, self.customer, self.reservation, self.action, self.number)

    def read(self, reply: object) -> Sequence[Settled]:  # type: ignore[override] # it is told as it is read
        """Take the reply apart."""
        return [settle.read(reply)]

    def load(self) -> bytes:
        """Pack what brings the script back."""
        return settle.LOAD

    def unavailable(self) -> Sequence[Settled]:  # type: ignore[override] # as above
        """Say that nobody knows."""
        return [_UNAVAILABLE]

    def told(self, answers: Sequence[Settled]) -> None:  # type: ignore[override] # as above
        """Pass it on."""
        self.reply(self.asker, answers[0])
