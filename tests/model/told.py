"""What gateways tell the scripts, and what they are answered, in the model's terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.counters.order import Order
    from tests.model.stored import Move, State


class Event(NamedTuple):
    """A usage event as the stream holds it; `moves` where its claim does not say them."""

    id: str
    at_ms: int
    claim: bytes
    moves: tuple[Move, ...] | None


class Said(NamedTuple):
    """The answer to one claim: its kind, the limit that refused it, what each limit shows, and its event."""

    kind: str
    now_ms: int = 0
    decided: int = 0
    states: tuple[State, ...] = ()
    event_id: str = ""
    refrained: tuple[State, ...] = ()
    """What is shown when it is kept from being counted by others of its call."""


class Settled(NamedTuple):
    """The answer about a reservation: how it ended, what was used, when, and how its counters stand."""

    kind: str
    now_ms: int = 0
    how: str = "u"
    quantity: int = 0
    at_ms: int = 0
    counters: tuple[tuple[str, int, int], ...] = ()
    event_id: str = ""


class Call(NamedTuple):
    """What a gateway sends: claims of one bucket with their numbers, counted each for itself or all or none."""

    line: str
    gateway: str
    orders: Sequence[Order]
    numbers: Sequence[int]
    atomic: bool = False


class Settling(NamedTuple):
    """What a gateway sends to end a reservation or to keep it: commit a quantity, release, or extend by a time."""

    line: str
    gateway: str
    customer: str
    reservation: str
    action: str
    amount: int
    number: int
