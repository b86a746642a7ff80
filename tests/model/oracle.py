"""What the counters of a bucket come to: the contract of the scripts in plain Python, with dictionaries for Redis."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from gateway.counters.order import Order, Seats
from tests.model.holding import END, LATE, Drawn, Held, ended_claim, late, moved, settled, standing
from tests.model.rulings import rule
from tests.model.stored import Move, Ruling, Stored
from tests.model.told import Call, Event, Said, Settled, Settling

if TYPE_CHECKING:
    from collections.abc import Sequence

HOLDS_MAX = 1000
RECLAIMED_MAX = 4
REMEMBERED_MS = 86_400_000 - 60_000
"""At least so long is the end of a reservation remembered, though TIME may step back meanwhile."""

PEEK = 0
ADMITTED = ("C", "A", "P")


class Outcome(NamedTuple):
    """How a reservation ended: c committed, r released, x it was due, l due and committed late."""

    how: str
    by: str
    said: Settled
    held: Held


@dataclass
class Customer:
    """All that is known of one customer."""

    version: int | None = None
    stored: dict[str, Stored] = field(default_factory=dict)
    holds: dict[str, Held] = field(default_factory=dict)
    seats: dict[str, dict[str, int]] = field(default_factory=dict)
    needed_until_ms: int = 0
    """Before that, what is stored of it must not be forgotten."""


@dataclass
class Oracle:
    """One bucket."""

    line: str
    last: dict[str, int] = field(default_factory=dict)
    outbox: int = 0
    customers: dict[str, Customer] = field(default_factory=dict)
    known: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], Outcome] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def consume(self, call: Call, now_us: int) -> list[Said]:
        """Answer each claim of a call; one answer for all when it may not count."""
        barred = self.barred(call.line, call.gateway)
        if barred:
            return [Said(barred)] * len(call.orders)
        for name in dict.fromkeys(order.customer for order in call.orders):
            self.end_due(name, now_us // 1000, RECLAIMED_MAX)
        before = deepcopy(self) if call.atomic else self
        said = [
            self.claim(call.gateway, number, order, now_us)
            for number, order in zip(call.numbers, call.orders, strict=True)
        ]
        if call.atomic and any(each.kind not in ADMITTED for each in said):
            vars(self).update(vars(before))
            return [
                each._replace(kind="P", states=each.refrained, event_id="") if each.refrained else each for each in said
            ]
        return said

    def barred(self, line: str, gateway: str) -> str:
        """Say why a gateway may not count here; nothing when it may."""
        if line != self.line:
            return "FENCED"
        return "" if gateway in self.last else "UNREGISTERED"

    def claim(self, gateway: str, number: int, order: Order, now_us: int) -> Said:
        """Answer one claim by the first rule that applies; only what is counted changes anything."""
        customer = self.customers.setdefault(order.customer, Customer())
        rulings = [
            rule(limit, customer.stored, seats_of(customer, limit), order.quantity, now_us) for limit in order.limits
        ]
        said = Said("", now_us // 1000, states=tuple(ruling.before for ruling in rulings))
        by = f"{gateway}-{number}"
        event_id = order.key.event_id if order.key else by
        refusing = next((at for at, ruling in enumerate(rulings) if not ruling.fits), None)
        known = self.known_as(order, number, by)
        rules = (
            (known, known),
            ("S", number != PEEK and number <= self.last[gateway]),
            ("V", customer.version is not None and customer.version > order.version),
            ("W", any(ruling.outside for ruling in rulings)),
            ("R", refusing is not None),
            ("H", order.hold and len(customer.holds) >= HOLDS_MAX),
            ("P", number == PEEK),
            ("C", True),
        )
        said = said._replace(kind=next(kind for kind, applies in rules if applies))
        if said.kind == "R":
            return said._replace(decided=refusing or 0)
        if said.kind != "C" or known:
            return said
        self.count(customer, order, rulings, event_id, now_us // 1000)
        self.last[gateway] = number
        if order.key:
            self.known[order.customer, event_id] = (order.key.fingerprint, by)
        states = tuple(ruling.after for ruling in rulings)
        told = event_id if order.event is not None else ""
        return said._replace(states=states, event_id=told, refrained=said.states)

    def known_as(self, order: Order, number: int, by: str) -> str:
        """Say what a key is known for: this very call, the same request before, or another; nothing when it is new."""
        if not order.key or number == PEEK or (order.customer, order.key.event_id) not in self.known:
            return ""
        fingerprint, first = self.known[order.customer, order.key.event_id]
        if fingerprint != order.key.fingerprint:
            return "K"
        return "C" if first == by else "A"

    def count(self, customer: Customer, order: Order, rulings: Sequence[Ruling], event_id: str, now_ms: int) -> None:
        """Write what an admitted claim changes."""
        for ruling in rulings:
            customer.stored |= ruling.writes
            customer.needed_until_ms = max(customer.needed_until_ms, ruling.needed_until_ms)
            if ruling.subject:
                key, subject, at_ms, since_ms = ruling.subject
                active = customer.seats.get(key, {})
                active = active | {subject: max(at_ms, active.get(subject, 0))}
                customer.seats[key] = {name: last_ms for name, last_ms in active.items() if last_ms >= since_ms}
        customer.version = order.version
        moves = tuple(move for ruling in rulings for move in ruling.moves if move.amount)
        if order.hold:
            drawn = tuple(Drawn(ruling.moves, ruling.base_at) for ruling in rulings if ruling.moves)
            due_ms = now_ms + order.hold.ttl_ms
            customer.holds[event_id] = Held(due_ms, order.quantity, drawn, order.event)
            customer.needed_until_ms = max(customer.needed_until_ms, due_ms)
        if order.event is not None:
            plain = (Move(rulings[0].base, rulings[0].window_ms, order.quantity),)
            self.events.append(
                Event(event_id, now_ms, order.event, None if moves == plain and not order.hold else moves)
            )

    def end_due(self, name: str, now_ms: int, most: int) -> int:
        """End reservations of a customer that are due, the earliest first, up to so many."""
        holds = self.customers.setdefault(name, Customer()).holds
        due = sorted((held.due_ms, identity) for identity, held in holds.items() if held.due_ms <= now_ms)[:most]
        for _, identity in due:
            self.end(name, identity, "x", 0, now_ms)
        return len(due)

    def end(self, name: str, identity: str, how: str, quantity: int, now_ms: int, by: str = "") -> Settled:
        """End a reservation with what was used of it: of one that was due, nothing."""
        customer = self.customers[name]
        held = customer.holds.pop(identity)
        said = self.move(customer, held, settled(held, quantity), f"{identity}.end", quantity, now_ms)
        said = said._replace(kind="E", how=how)
        self.outcomes[name, identity] = Outcome(how, by, said, held)
        return said

    def move(
        self, customer: Customer, held: Held, moves: tuple[Move, ...], event_id: str, quantity: int, now_ms: int
    ) -> Settled:
        """Apply what a reservation's end moves, with its event, and show how its counters stand."""
        customer.stored = moved(customer.stored, moves)
        if held.event is not None:
            kind = END if event_id.endswith(".end") else LATE
            self.events.append(Event(event_id, now_ms, ended_claim(held.event, quantity, kind), moves))
        told = event_id if held.event is not None else ""
        return Settled("", now_ms, "", quantity, now_ms, standing(customer.stored, held), told)

    def settle(self, told: Settling, now_us: int) -> Settled:
        """Commit, release or extend a reservation; what has ended before is answered as then."""
        barred = self.barred(told.line, told.gateway)
        if barred:
            return Settled(barred)
        now_ms, name, identity = now_us // 1000, told.customer, told.reservation
        by = f"{told.gateway}-{told.number}"
        self.end_due(name, now_ms, RECLAIMED_MAX)
        holds = self.customers[name].holds
        if identity in holds and holds[identity].due_ms <= now_ms:
            self.end(name, identity, "x", 0, now_ms)
        ended = self.outcomes.get((name, identity))
        if identity in holds and told.action == "extend":
            return self.extend(name, identity, now_ms + told.amount, now_ms)
        if identity in holds:
            quantity = told.amount if told.action == "commit" else 0
            return self.end(name, identity, told.action[0], quantity, now_ms, by)
        if ended is None:
            return Settled("U", now_ms)
        if ended.how == "x" and told.action == "commit":
            moves = late(ended.held, told.amount)
            said = self.move(self.customers[name], ended.held, moves, f"{identity}.late", told.amount, now_ms)
            said = said._replace(kind="L", how="l")
            self.outcomes[name, identity] = Outcome("l", by, said, ended.held)
            return said
        return ended.said._replace(kind=ended.said.kind if ended.by == by else "B", event_id="")

    def extend(self, name: str, identity: str, due_ms: int, now_ms: int) -> Settled:
        """Let a reservation be due no sooner than that."""
        customer = self.customers[name]
        held = customer.holds[identity]
        customer.holds[identity] = held = held._replace(due_ms=max(held.due_ms, due_ms))
        customer.needed_until_ms = max(customer.needed_until_ms, held.due_ms)
        return Settled("X", now_ms, "o", 0, held.due_ms, standing(customer.stored, held))

    def remembered(self, now_us: int) -> list[tuple[str, str]]:
        """Name the reservations whose end is remembered for certain; of older ones nobody knows."""
        since_ms = now_us // 1000 - REMEMBERED_MS
        return [name for name, ended in self.outcomes.items() if ended.said.at_ms > since_ms]

    def sweep(self, line: str, gateway: str, name: str, most: int, now_us: int) -> Settled:
        """End what is due of a customer, up to so many."""
        barred = self.barred(line, gateway)
        ended = 0 if barred else self.end_due(name, now_us // 1000, most)
        return Settled(barred) if barred else Settled("swept", now_us // 1000, quantity=ended)

    def record(self, line: str, customer: str, number: int, moves: Sequence[Move]) -> str:
        """Apply an outbox row to the windows that are live, once, in order; never deny."""
        if line != self.line:
            return "FENCED"
        if number <= self.outbox:
            return "SEEN"
        self.outbox = number
        known = self.customers.setdefault(customer, Customer())
        known.stored = moved(known.stored, tuple(moves))
        return "RECORDED"


def seats_of(customer: Customer, limit: object) -> dict[str, int]:
    """Find the subjects that a limit counts."""
    return customer.seats.get(limit.key, {}) if isinstance(limit, Seats) else {}
