"""Weighted and prorated sums: what was there, for as much of the period as it was there."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal, localcontext
from typing import ClassVar

from billing_core.aggregation.events import UsageEvent
from billing_core.money import EXACT, Quotient
from billing_core.periods import Period
from billing_core.proration import ProrationBasis, share


@dataclass(frozen=True, slots=True)
class WeightedSum:
    """The average level over the period's time, of which each event is a change: 10 GB for 3 of 30 days are 1."""

    name: ClassVar[str] = "weighted_sum"


@dataclass(frozen=True, slots=True)
class ProratedSum:
    """The same by days: what is added counts from its day on, that day included, to the end of the period."""

    name: ClassVar[str] = "prorated_sum"


@dataclass(frozen=True, slots=True)
class Weighted:
    """Of a part of the events: quantities times how long they stay, and how long the whole period is."""

    aggregation: WeightedSum | ProratedSum
    weight: Decimal
    whole: Decimal

    def merged(self, other: "Weighted") -> "Weighted":
        """Add up, for each change weighs what it weighs whatever the others do."""
        assert (self.aggregation, self.whole) == (other.aggregation, other.whole)
        return Weighted(self.aggregation, EXACT.add(self.weight, other.weight), self.whole)

    def quantities(self) -> tuple[Quotient, ...]:
        """Divide by the length of the period."""
        return (Quotient(self.weight, self.whole),)


def gather(
    aggregation: WeightedSum | ProratedSum, events: Iterable[UsageEvent], period: Period, zone: tzinfo
) -> Weighted:
    """Weigh some events by what is left of the period at their moments."""
    basis = ProrationBasis.DAY_INCLUSIVE if isinstance(aggregation, ProratedSum) else ProrationBasis.SECOND
    weight = Decimal(0)
    with localcontext(EXACT):
        for event in events:
            weight += event.quantity * share(period, event.moment(aggregation.name), None, basis, zone).part
    return Weighted(aggregation, weight, share(period, None, None, basis, zone).whole)
