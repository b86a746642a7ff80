"""Percentile: the quantity that so many percent of the events do not exceed, by nearest rank."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import ClassVar

from billing_core.aggregation.events import UsageEvent
from billing_core.errors import InvalidValueError
from billing_core.money import EXACT, Quotient, positive

PERCENT_MAX = 100


@dataclass(frozen=True, slots=True)
class Percentile:
    """The smallest quantity of an event that at least `percent` % of all events do not exceed.

    It is always a quantity that was measured: carriers bill the 95th percentile of bandwidth so, and PostgreSQL calls
    it `percentile_disc`. PostgreSQL's `percentile_cont`, ClickHouse's `quantile` and spreadsheets go between two.
    It has no parts: a percentile of percentiles is none, and what it would keep are all the events.
    """

    name: ClassVar[str] = "percentile"

    percent: Decimal

    def __post_init__(self) -> None:
        object.__setattr__(self, "percent", positive("percent", self.percent))
        if self.percent > PERCENT_MAX:
            raise InvalidValueError("percent", self.percent, "is more than all", f"at most {PERCENT_MAX}")


def quantity(aggregation: Percentile, events: Iterable[UsageEvent]) -> Quotient:
    """Take the event whose rank is that percentage of their number, rounded up."""
    quantities = sorted(event.quantity for event in events)
    if not quantities:
        return Quotient(Decimal(0))
    with localcontext(EXACT):
        full, rest = divmod(aggregation.percent * len(quantities), Decimal(PERCENT_MAX))
        return Quotient(quantities[int(full) - 1 if not rest else int(full)])
