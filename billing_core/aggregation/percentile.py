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
    """Take the first event, by quantity, up to which there are that percentage of their number."""
    ordered = sorted((event.each, event.events) for event in events)
    count = 0
    with localcontext(EXACT):
        rank = aggregation.percent * sum(number for _, number in ordered)
        for each, number in ordered:
            count += number
            if count * PERCENT_MAX >= rank:
                return Quotient(each)
    return Quotient(Decimal(0))
