"""The border between the model and the scripts: what it tells them, and what they answer in its words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.counters import consume, settle
from gateway.counters.footing import Footing
from tests.model.situation import BUCKET
from tests.model.told import Settled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.model.stored import State
    from tests.model.told import Call, Said, Settling

SCRIPTS = (consume.SCRIPT, settle.SCRIPT)
SHOWING = ("C", "A", "P", "R", "H")
"""The kinds of answer that show where the limits stand."""


@dataclass(frozen=True)
class Heard:
    """One answer of a real script."""

    kind: str
    now_ms: int
    decided: int
    states: tuple[State, ...]
    stream_id: bytes

    def differs(self, said: Said) -> str:
        """Say in what it differs from the oracle's; nothing when they agree."""
        if self.kind != said.kind:
            return f"{self.kind}, expected {said}, in {self}"
        if self.now_ms != said.now_ms:
            return f"the time is {self.now_ms}, expected {said.now_ms}"
        if said.kind in SHOWING and self.states != said.states:
            return f"{self.kind} shows {self.states}, expected {said.states}"
        if said.kind == "R" and self.decided != said.decided:
            return f"limit {self.decided} refuses, expected {said.decided}, in {self}"
        if bool(self.stream_id) != bool(said.event_id):
            return f"{self.kind} has the stream id {self.stream_id!r}, expected one of {said.event_id!r}"
        return ""


def consume_command(call: Call) -> bytes:
    """Pack a call of consume.lua."""
    footing = Footing.of(call.line, call.gateway)
    if len(call.orders) == 1 and not call.atomic:
        return consume.command(footing, call.orders[0], call.numbers[0])
    return consume.command_of_many(footing, call.orders, call.numbers, atomic=call.atomic)


def read_answers(reply: object, call: Call) -> Sequence[Heard]:
    """Read what consume.lua answers."""
    alone = len(call.orders) == 1
    answers = [consume.read(reply, call.orders[0])] if alone else consume.read_many(reply, call.orders)
    return [
        Heard(answer.kind.decode(), answer.now_ms, answer.decided, answer.states, answer.stream_id)
        for answer in answers
    ]


@dataclass(frozen=True)
class Ended:
    """One answer of settle.lua."""

    said: Settled
    stream_id: bytes = b""

    def differs(self, expected: Settled) -> str:
        """Say in what it differs from the oracle's; nothing when they agree."""
        if bool(self.stream_id) != bool(expected.event_id):
            return f"the stream id is {self.stream_id!r}, expected one of {expected.event_id!r}"
        ours = expected._replace(event_id="")
        return "" if self.said == ours else f"{self.said}, expected {ours}"


def settle_command(told: Settling) -> bytes:
    """Pack a call of settle.lua that ends a reservation or keeps it."""
    actions = {"commit": settle.Commit(told.amount), "release": settle.Release(), "extend": settle.Extend(told.amount)}
    footing = Footing.of(told.line, told.gateway)
    return settle.command(footing, BUCKET, told.customer, told.reservation, actions[told.action], told.number)


def read_settled(reply: object) -> Sequence[Ended]:
    """Read what settle.lua answers."""
    found = settle.read(reply)
    if found.kind in (consume.FENCED, consume.UNREGISTERED):
        return [Ended(Settled(found.kind.decode()))]
    counters = tuple((held.counter, held.used, held.start_ms) for held in found.held)
    said = Settled(found.kind.decode(), found.now_ms, found.how.decode(), found.quantity, found.at_ms, counters)
    return [Ended(said, found.stream_id)]


def sweep_command(line: str, gateway: str, customer: str, most: int) -> bytes:
    """Pack a call of settle.lua that ends what is due of a customer."""
    return settle.sweep(Footing.of(line, gateway), BUCKET, customer, most, 1)


def read_swept(reply: object, now_ms: int) -> Sequence[Ended]:
    """Read how many reservations a sweep has ended."""
    ended = settle.read_sweep(reply)
    assert ended is not None, "a sweep is never barred here"
    return [Ended(Settled("swept", now_ms, quantity=ended))]
