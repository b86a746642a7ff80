"""What a part of a period's events keeps, so that parts can be merged instead of events kept."""

from typing import Protocol, Self

from billing_core.money import Quotient


class Part(Protocol):
    """A part of a period's events. Merging is associative and commutative, and no events at all change nothing."""

    def merged(self, other: Self) -> Self:
        """Join with a part of the same aggregation and period; no event may be in both."""

    def quantities(self) -> tuple[Quotient, ...]:
        """Say what the events so far come to, exactly."""
