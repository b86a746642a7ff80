"""Windowed max: the largest quantity of each hour, day or other window, each priced by itself."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal
from types import MappingProxyType
from typing import ClassVar

from billing_core.aggregation.events import UsageEvent
from billing_core.money import Quotient
from billing_core.names import check_name, check_type
from billing_core.periods import Interval, calendar_period


@dataclass(frozen=True, slots=True)
class WindowedMax:
    """The maximum of each calendar window, and within it of each value of the dimension `by` where one is named.

    Flexprice calls it a bucketed maximum. Tiers apply to every window and group anew, not to their sum.
    """

    name: ClassVar[str] = "windowed_max"

    window: Interval
    by: str | None = None

    def __post_init__(self) -> None:
        check_type("window", self.window, Interval)
        if self.by is not None:
            check_name("by", self.by)


@dataclass(frozen=True, slots=True)
class Peaks:
    """Of a part of the events: the maximum of each window, by its start, and group that was used."""

    aggregation: WindowedMax
    of_window: Mapping[tuple[datetime, str], Decimal]

    def __post_init__(self) -> None:
        object.__setattr__(self, "of_window", MappingProxyType(dict(sorted(self.of_window.items()))))

    def merged(self, other: "Peaks") -> "Peaks":
        """Take the larger of each window and group."""
        assert self.aggregation == other.aggregation
        joined = dict(self.of_window)
        for key, quantity in other.of_window.items():
            joined[key] = max(joined.get(key, quantity), quantity)
        return Peaks(self.aggregation, joined)

    def quantities(self) -> tuple[Quotient, ...]:
        """List them by window and group; a window in which nothing was used has none."""
        return tuple(Quotient(quantity) for quantity in self.of_window.values())


def gather(aggregation: WindowedMax, events: Iterable[UsageEvent], zone: tzinfo) -> Peaks:
    """Find the maxima of some events."""
    peaks: dict[tuple[datetime, str], Decimal] = {}
    for event in events:
        window = calendar_period(aggregation.window, event.moment(aggregation.name), zone)
        group = "" if aggregation.by is None else event.dimension(aggregation.by, aggregation.name)
        quantity = event.each
        peaks[window.start, group] = max(peaks.get((window.start, group), quantity), quantity)
    return Peaks(aggregation, peaks)
