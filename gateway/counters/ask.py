"""A call of the script on its way: the claims that it counts, who waits for them, and how it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from gateway.counters import consume
from gateway.counters.consume import PEEK, UNAVAILABLE, Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.counters.connection import Connection
    from gateway.counters.footing import Footing
    from gateway.counters.order import Order


_UNAVAILABLE: Final = Answer(UNAVAILABLE)


class Asker(Protocol):
    """Whoever waits for an answer."""

    deadline_s: float
    """On the loop's clock: from then on nothing is sent, and the answer is UNAVAILABLE."""
    wanted: bool
    """False when nobody waits any more: what was not sent is not sent, nor sent again; what was sent may count."""


class Ask(msgspec.Struct, eq=False):
    """Claims of one bucket, counted in their order; whoever asks says in `told` what becomes of the answers."""

    orders: Sequence[Order]
    asker: Asker
    atomic: bool = False
    """All claims or none."""
    number: int = 0
    """Of the first claim; each that follows has the next."""
    footing: Footing | None = None
    """On which it was sent."""
    sent_on: Connection | None = None
    """The connection that carries it."""
    first_sent_s: float = 0.0
    sent_s: float = 0.0

    def told(self, answers: Sequence[Answer]) -> None:
        """Hear the answer to each claim: once, and at the latest at the deadline."""
        raise NotImplementedError

    @property
    def bucket(self) -> int:
        """Where it counts."""
        return self.orders[0].bucket

    def command(self, footing: Footing) -> bytes:
        """Pack it."""
        orders, number = self.orders, self.number
        if len(orders) == 1:
            return consume.command(footing, orders[0], PEEK if orders[0].peek else number)
        numbers = [PEEK if order.peek else of_order for of_order, order in enumerate(orders, number)]
        return consume.command_of_many(footing, orders, numbers, atomic=self.atomic)

    def read(self, reply: object) -> Sequence[Answer]:
        """Take the reply apart."""
        orders = self.orders
        return [consume.read(reply, orders[0])] if len(orders) == 1 else consume.read_many(reply, orders)

    def load(self) -> bytes:
        """Pack what brings its script back."""
        return consume.LOAD

    def unavailable(self) -> Sequence[Answer]:
        """Say of each claim that it could not be counted, or that nobody knows."""
        return [_UNAVAILABLE] * len(self.orders)

    def named(self, place: int) -> bytes:
        """Name a claim's event after the client's key, else after the gateway and the claim's number."""
        key = self.orders[place].key
        if key is not None:
            return key.event_id.encode()
        assert self.footing is not None
        return b"%b-%d" % (self.footing.packed_gateway, self.number + place)

    def apart(self) -> list[Ask]:
        """Take it for as many calls of one claim each; it is told when all of them were."""
        answers: list[Answer | None] = [None] * len(self.orders)
        return [
            _Part(
                (order,),
                self.asker,
                number=self.number + place,
                footing=self.footing,
                sent_on=self.sent_on,
                first_sent_s=self.first_sent_s,
                sent_s=self.sent_s,
                whole=self,
                place=place,
                answers=answers,
            )
            for place, order in enumerate(self.orders)
        ]


class _Part(Ask, kw_only=True, eq=False):
    """One claim of several, from when they no longer go the same way."""

    whole: Ask
    place: int
    answers: list[Answer | None]

    def told(self, answers: Sequence[Answer]) -> None:
        """Put the answer where it belongs."""
        (self.answers[self.place],) = answers
        if None not in self.answers:
            self.whole.told(self.answers)  # type: ignore[arg-type] # it has no None
