"""What a claim on its way carries with it, and what its event is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from gateway.counters.connection import Connection
    from gateway.counters.consume import Answer
    from gateway.counters.footing import Footing
    from gateway.counters.order import Order


class Ask(msgspec.Struct, eq=False):
    """A claim on its way; whoever asks says in `told` what becomes of the answer."""

    order: Order
    deadline_s: float
    """On the loop's clock: from then on it is not sent, and the answer is UNAVAILABLE."""
    wanted: bool = True
    """False when the caller has gone: what was not sent is not sent, nor sent again; what was sent may count."""
    event_id: str = ""
    """Of the event that was counted."""
    number: int = 0
    footing: Footing | None = None
    """On which it was sent."""
    sent_on: Connection | None = None
    """The connection that carries it."""
    first_sent_s: float = 0.0
    sent_s: float = 0.0

    def told(self, answer: Answer) -> None:
        """Hear the answer: once, and at the latest at the deadline."""
        raise NotImplementedError

    def named(self) -> str:
        """Name the event after the client's key, else after the gateway and its number."""
        if self.order.key is not None:
            return self.order.key.event_id
        assert self.footing is not None
        return f"{self.footing.gateway}-{self.number}"
