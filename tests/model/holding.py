"""What becomes of what a reservation holds: committed, released, given back when it is due, or committed too late."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from tests.model.stored import MAX, Count, Move, Slot, Stored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

END, LATE = 2, 3
QUANTITY_AT, KIND_AT = 4, -1


class Drawn(NamedTuple):
    """What one limit gave to a reservation, in burn order; what exceeds it goes on `moves[base]`."""

    moves: tuple[Move, ...]
    base: int

    @property
    def is_slot(self) -> bool:
        """Tell a concurrency slot, which is free again whatever was used meanwhile."""
        return self.moves[self.base].counter.endswith("#")

    def kept(self, quantity: int) -> tuple[int, ...]:
        """Tell how much of each move stays for a quantity that was really used: what was drawn on first."""
        if self.is_slot:
            return tuple(0 for _ in self.moves)
        amounts, missing = [], quantity
        for move in self.moves:
            amounts.append(min(move.amount, missing))
            missing -= amounts[-1]
        amounts[self.base] += missing
        return tuple(amounts)


class Held(NamedTuple):
    """An open reservation: until when, how much, of which counters, and the event it began with."""

    due_ms: int
    quantity: int
    drawn: tuple[Drawn, ...]
    event: bytes | None


def settled(held: Held, quantity: int) -> tuple[Move, ...]:
    """Tell by how much each counter changes when a reservation ends with so much used; 0 gives everything back."""
    return tuple(
        move._replace(amount=amount - move.amount)
        for drawn in held.drawn
        for move, amount in zip(drawn.moves, drawn.kept(quantity), strict=True)
        if amount != move.amount
    )


def late(held: Held, quantity: int) -> tuple[Move, ...]:
    """Tell what is counted of a reservation that was given back before it was committed: all of it, on the base."""
    bases = [drawn.moves[drawn.base] for drawn in held.drawn if not drawn.is_slot]
    return tuple(base._replace(amount=quantity) for base in bases if quantity)


def moved(stored: Mapping[str, Stored], moves: Sequence[Move]) -> dict[str, Stored]:
    """Apply moves to the windows that are still open; on others they do nothing."""
    after = dict(stored)
    for counter, start_ms, amount in moves:
        found = after.get(counter)
        is_open = isinstance(found, Count) and found.start_ms == start_ms
        if is_open or (isinstance(found, Slot) and found.ordinal == start_ms):
            after[counter] = found._replace(used=min(MAX, max(0, found.used + amount)))  # type: ignore[union-attr]
    return after


def standing(stored: Mapping[str, Stored], held: Held) -> tuple[tuple[str, int, int], ...]:
    """Tell how each counter stands that a reservation was held on: used, and the start of its window."""
    shown = []
    for move in (move for drawn in held.drawn for move in drawn.moves):
        found = stored.get(move.counter)
        assert found is None or isinstance(found, Count | Slot)
        start = 0 if found is None else found.ordinal if isinstance(found, Slot) else found.start_ms
        shown.append((move.counter, found.used if found else 0, start or 0))
    return tuple(shown)


def ended_claim(event: bytes, quantity: int, kind: int) -> bytes:
    """Write the claim of the event that ends a reservation: another quantity, another kind."""
    claim = json.loads(event)
    claim[QUANTITY_AT], claim[KIND_AT] = quantity, kind
    return json.dumps(claim, separators=(",", ":")).encode()
