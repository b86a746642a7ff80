"""What an aggregation sees of a use: how much, when, and by which dimensions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType

from billing_core.errors import InvalidValueError
from billing_core.money import Quotient, exact_decimal
from billing_core.periods import Period
from billing_core.quantities import check_events, rounded_quantity


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """A quantity, which a correction makes negative, with its moment and its dimensions such as user or region.

    It may stand for several equal events that share its quantity.
    """

    quantity: Decimal
    at: datetime | None = None
    dimensions: Mapping[str, str] = field(default_factory=dict)
    events: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "quantity", exact_decimal("quantity", self.quantity))
        if self.at is not None and (type(self.at) is not datetime or self.at.utcoffset() is None):
            raise InvalidValueError("at", self.at, "is not a moment", "a datetime with a time zone")
        object.__setattr__(self, "dimensions", MappingProxyType(dict(self.dimensions)))
        check_events("events", self.events)

    @property
    def each(self) -> Decimal:
        """The quantity of one of its events; where the division has no end, to twelve decimals."""
        return self.quantity if self.events == 1 else rounded_quantity(Quotient(self.quantity, Decimal(self.events)))

    def moment(self, wanted_by: str) -> datetime:
        """Return its moment, or refuse an event that has none where time decides."""
        if self.at is None:
            raise InvalidValueError("at", None, "says no time", f"a moment, because {wanted_by} goes by time")
        return self.at

    def dimension(self, name: str, wanted_by: str) -> str:
        """Return its value of a dimension, or refuse an event that has none where it is counted by."""
        if name not in self.dimensions:
            rule = f"a value of {name}, because {wanted_by} goes by it"
            raise InvalidValueError(f"dimensions.{name}", None, "says nothing", rule)
        return self.dimensions[name]


def checked_events(events: Iterable[UsageEvent], period: Period) -> tuple[UsageEvent, ...]:
    """Take events of the period; a level that was there before it is written as an event at its start."""
    checked = tuple(events)
    for index, event in enumerate(checked):
        if type(event) is not UsageEvent:
            raise InvalidValueError(f"events[{index}]", event, "is not an event", "a UsageEvent")
        if event.at is not None and not period.contains(event.at):
            rule = f"a moment from {period.start.isoformat()} to before {period.end.isoformat()}"
            raise InvalidValueError(f"events[{index}].at", event.at.isoformat(), "is outside the period", rule)
    return checked
