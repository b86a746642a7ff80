"""Max and min: the largest and the smallest quantity of a single event."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from billing_core.aggregation.events import UsageEvent
from billing_core.money import Quotient


@dataclass(frozen=True, slots=True)
class Max:
    """The largest quantity."""

    name: ClassVar[str] = "max"


@dataclass(frozen=True, slots=True)
class Min:
    """The smallest quantity."""

    name: ClassVar[str] = "min"


@dataclass(frozen=True, slots=True)
class Extreme:
    """Of a part of the events: the largest or the smallest quantity; None of no events, which is not zero."""

    aggregation: Max | Min
    quantity: Decimal | None

    def merged(self, other: "Extreme") -> "Extreme":
        """Take the larger or the smaller."""
        assert self.aggregation == other.aggregation
        both = [quantity for quantity in (self.quantity, other.quantity) if quantity is not None]
        return Extreme(self.aggregation, _outermost(self.aggregation, both))

    def quantities(self) -> tuple[Quotient, ...]:
        """Say it, or zero of no events."""
        return (Quotient(self.quantity or Decimal(0)),)


def gather(aggregation: Max | Min, events: Iterable[UsageEvent]) -> Extreme:
    """Find the extreme of some events."""
    return Extreme(aggregation, _outermost(aggregation, [event.each for event in events]))


def _outermost(aggregation: Max | Min, quantities: list[Decimal]) -> Decimal | None:
    return (max if isinstance(aggregation, Max) else min)(quantities, default=None)
