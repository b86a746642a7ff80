"""Sum, count and average: what is added up, and how often."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import ClassVar, assert_never

from billing_core.aggregation.events import UsageEvent
from billing_core.money import EXACT, Quotient


@dataclass(frozen=True, slots=True)
class Sum:
    """All quantities together."""

    name: ClassVar[str] = "sum"


@dataclass(frozen=True, slots=True)
class Count:
    """The number of events, whatever their quantity."""

    name: ClassVar[str] = "count"


@dataclass(frozen=True, slots=True)
class Average:
    """The sum divided by the number of events, and not by time: for that there is the weighted sum."""

    name: ClassVar[str] = "average"


@dataclass(frozen=True, slots=True)
class Totals:
    """Of a part of the events: their sum and their number. Averages merge by these, never by themselves."""

    aggregation: Sum | Count | Average
    total: Decimal
    count: int

    def merged(self, other: "Totals") -> "Totals":
        """Add up."""
        assert self.aggregation == other.aggregation
        return Totals(self.aggregation, EXACT.add(self.total, other.total), self.count + other.count)

    def quantities(self) -> tuple[Quotient, ...]:
        """Say the sum, the number or the one divided by the other."""
        match self.aggregation:
            case Sum():
                return (Quotient(self.total),)
            case Count():
                return (Quotient(Decimal(self.count)),)
            case Average():
                return (Quotient(self.total, Decimal(max(self.count, 1))),)
            case _:
                assert_never(self.aggregation)


def gather(aggregation: Sum | Count | Average, events: Iterable[UsageEvent]) -> Totals:
    """Add up and count some events."""
    total, count = Decimal(0), 0
    with localcontext(EXACT):
        for event in events:
            total += event.quantity
            count += event.events
    return Totals(aggregation, total, count)
