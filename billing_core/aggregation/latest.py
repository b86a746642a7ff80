"""Latest: the quantity of the last event, for what is reported as a level; and levels as what they add."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import ClassVar

from billing_core.aggregation.events import UsageEvent
from billing_core.money import EXACT, Quotient, exact_decimal


@dataclass(frozen=True, slots=True)
class Latest:
    """The quantity of the event with the latest moment, and of several at that moment the largest.

    By their order two events of one moment would say something else each time they arrive. Lago takes the one that
    was written last, OpenMeter any of them.
    """

    name: ClassVar[str] = "latest"


@dataclass(frozen=True, slots=True)
class Last:
    """Of a part of the events: the latest moment, in UTC, and its quantity; None of no events."""

    aggregation: Latest
    event: tuple[datetime, Decimal] | None

    def merged(self, other: "Last") -> "Last":
        """Take the later."""
        assert self.aggregation == other.aggregation
        both = [event for event in (self.event, other.event) if event is not None]
        return Last(self.aggregation, max(both, default=None))

    def quantities(self) -> tuple[Quotient, ...]:
        """Say it, or zero of no events."""
        return (Quotient(self.event[1] if self.event else Decimal(0)),)


def gather(aggregation: Latest, events: Iterable[UsageEvent]) -> Last:
    """Find the last of some events."""
    moments = [(event.moment(aggregation.name).astimezone(UTC), event.each) for event in events]
    return Last(aggregation, max(moments, default=None))


def increments(levels: Sequence[Decimal], before: Decimal = Decimal(0)) -> tuple[Decimal, ...]:
    """Turn levels, in the order of their time, into what each added to the one before it: a sum of these is the last.

    For levels that fall as well as rise, which a maximum would overcharge.
    """
    exact = [exact_decimal(f"levels[{index}]", level) for index, level in enumerate(levels)]
    return tuple(EXACT.subtract(after, level) for level, after in pairwise([exact_decimal("before", before), *exact]))
