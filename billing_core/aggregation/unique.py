"""Unique count: how many different values of a dimension were seen, such as users or devices."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from billing_core.aggregation.events import UsageEvent
from billing_core.money import Quotient
from billing_core.names import check_name


@dataclass(frozen=True, slots=True)
class UniqueCount:
    """The number of different values of the dimension `by`; an event without a value is refused, not passed over."""

    name: ClassVar[str] = "unique_count"

    by: str

    def __post_init__(self) -> None:
        check_name("by", self.by)


@dataclass(frozen=True, slots=True)
class Seen:
    """Of a part of the events: the values seen. It merges, but it keeps every value once."""

    aggregation: UniqueCount
    values: frozenset[str]

    def merged(self, other: "Seen") -> "Seen":
        """Join both; what both have seen is one."""
        assert self.aggregation == other.aggregation
        return Seen(self.aggregation, self.values | other.values)

    def quantities(self) -> tuple[Quotient, ...]:
        """Count the values."""
        return (Quotient(Decimal(len(self.values))),)


def gather(aggregation: UniqueCount, events: Iterable[UsageEvent]) -> Seen:
    """Collect the values of some events."""
    return Seen(aggregation, frozenset(event.dimension(aggregation.by, aggregation.name) for event in events))
