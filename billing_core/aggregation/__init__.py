"""Aggregation: how the uses of a period become the quantities that are priced.

It owns the aggregations, one small module for each kind, and what a part of the events keeps so that parts can be
merged. It does not own prices, nor which meter is aggregated how (`catalog.Meter`). `measurement` calls `measure`.

Nothing here depends on the order of events. A period without events measures zero, also as a maximum or an average.
All of it is exact; only what a division makes endless is rounded, once and at the end, to twelve decimals, unless
others are asked for. A quantity may be negative: a correction is an event, and whoever prices decides what it means.
"""

from collections.abc import Iterable
from datetime import UTC, tzinfo
from decimal import Decimal
from typing import assert_never

from billing_core.aggregation import extremes, latest, percentile, totals, unique, weighted, windowed
from billing_core.aggregation.events import UsageEvent, checked_events
from billing_core.aggregation.extremes import Max, Min
from billing_core.aggregation.latest import Latest, increments
from billing_core.aggregation.parts import Part
from billing_core.aggregation.percentile import Percentile
from billing_core.aggregation.totals import Average, Count, Sum
from billing_core.aggregation.unique import UniqueCount
from billing_core.aggregation.weighted import ProratedSum, WeightedSum
from billing_core.aggregation.windowed import WindowedMax
from billing_core.money import Quotient
from billing_core.periods import Period
from billing_core.quantities import Rounding, rounded_quantity

__all__ = [
    "Aggregation",
    "Average",
    "Count",
    "Falling",
    "Latest",
    "Max",
    "Mergeable",
    "Min",
    "Part",
    "Percentile",
    "ProratedSum",
    "Sum",
    "UniqueCount",
    "UsageEvent",
    "WeightedSum",
    "WindowedMax",
    "gather",
    "increments",
    "measure",
]

Mergeable = Sum | Count | Average | UniqueCount | Max | Min | Latest | WeightedSum | ProratedSum | WindowedMax
"""What can be kept in parts, for instance one per hour, and merged in any order."""

Aggregation = Mergeable | Percentile

Falling = WeightedSum | ProratedSum
"""What takes changes of a level, so that an event may take away what another brought."""


def measure(
    aggregation: Aggregation,
    events: Iterable[UsageEvent],
    period: Period,
    zone: tzinfo = UTC,
    decimals: int | None = None,
    rounding: Rounding = Rounding.HALF_UP,
) -> tuple[Decimal, ...]:
    """Aggregate the events of a period to quantities that are priced each by itself.

    It is one quantity, except of a `WindowedMax`, which has one for each window and group that was used. `decimals`
    and `rounding` round every quantity; without them only a division is rounded.
    """
    if isinstance(aggregation, Percentile):
        exact: tuple[Quotient, ...] = (percentile.quantity(aggregation, checked_events(events, period)),)
    else:
        exact = gather(aggregation, events, period, zone).quantities()
    return tuple(_settled(quantity, decimals, rounding) for quantity in exact)


def gather(aggregation: Mergeable, events: Iterable[UsageEvent], period: Period, zone: tzinfo = UTC) -> Part:
    """Keep of some of a period's events what is needed to merge them with the others."""
    checked = checked_events(events, period)
    match aggregation:
        case Sum() | Count() | Average():
            return totals.gather(aggregation, checked)
        case UniqueCount():
            return unique.gather(aggregation, checked)
        case Max() | Min():
            return extremes.gather(aggregation, checked)
        case Latest():
            return latest.gather(aggregation, checked)
        case WeightedSum() | ProratedSum():
            return weighted.gather(aggregation, checked, period, zone)
        case WindowedMax():
            return windowed.gather(aggregation, checked, zone)
        case _:
            assert_never(aggregation)


def _settled(exact: Quotient, decimals: int | None, rounding: Rounding) -> Decimal:
    if decimals is not None:
        return rounded_quantity(exact, decimals, rounding)
    return exact.dividend if exact.divisor == 1 else rounded_quantity(exact)
