"""What was used, as a price sees it: a quantity, and for some models the single uses behind it."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from billing_core.errors import InvalidValueError
from billing_core.money import Quotient, exact_decimal, not_negative, price_amount
from billing_core.names import check_name
from billing_core.periods import EPOCH
from billing_core.quantities import check_events


@dataclass(frozen=True, slots=True)
class Usage:
    """A quantity used on a meter by `events` equal events; where known, its moment, its dimensions, its own price.

    It is negative only where its meter takes changes of a level.
    """

    meter: str
    quantity: Decimal
    at: datetime | None = None
    dimensions: Mapping[str, str] = field(default_factory=dict)
    events: int = 1
    amount: Decimal | None = None

    def __post_init__(self) -> None:
        check_name("meter", self.meter)
        object.__setattr__(self, "quantity", exact_decimal("quantity", self.quantity))
        if self.at is not None:
            check_moment("at", self.at)
        object.__setattr__(self, "dimensions", MappingProxyType(dict(self.dimensions)))
        check_events("events", self.events)
        if self.amount is not None:
            object.__setattr__(self, "amount", not_negative("amount", self.amount))


@dataclass(frozen=True, slots=True)
class Index:
    """A price that moves with the market: from each moment on, until the next one, that unit price."""

    points: tuple[tuple[datetime, Decimal], ...]

    def __post_init__(self) -> None:
        points = tuple(self.points)
        if not points:
            raise InvalidValueError("points", 0, "prices are given", "at least one moment and its price")
        for number, (at, _) in enumerate(points):
            check_moment(f"[{number}][0]", at)
            if number and at <= points[number - 1][0]:
                rule = f"a moment after {points[number - 1][0].isoformat()}"
                raise InvalidValueError(f"[{number}][0]", at.isoformat(), "does not come later", rule)
        priced = tuple((at, price_amount(f"[{number}][1]", price)) for number, (at, price) in enumerate(points))
        object.__setattr__(self, "points", priced)

    def price_at(self, moment: datetime) -> Decimal | None:
        """Return the price in force at a moment; None before the first."""
        number = bisect_right(self.points, moment, key=lambda point: point[0])
        return self.points[number - 1][1] if number else None


class Use(NamedTuple):
    """One usage entry: how much it is and how much of that is to be paid, both as dividends of its `Measured`."""

    usage: Usage
    quantity: Decimal
    paid: Decimal


@dataclass(frozen=True, slots=True)
class Measured:
    """What a price is applied to. Most models read `quantity` alone.

    A quantity is a quotient because units may be converted without rounding: 20 s are 20 ÷ 60 min, and that division is
    not carried out before the money's. The quantities of the single `uses` are dividends of the same divisor.
    """

    quantity: Quotient
    uses: tuple[Use, ...] = ()
    indexes: Mapping[str, Index] = field(default_factory=dict)
    meters: Mapping[str, Decimal] = field(default_factory=dict)


def in_order(usage: Iterable[Usage]) -> list[Usage]:
    """Put uses into the one order in which allowances are used up, however they arrived: time, then size."""
    return sorted(
        usage,
        key=lambda use: (
            use.at is None,
            use.at or EPOCH,
            use.quantity,
            use.events,
            sorted(use.dimensions.items()),
            use.amount or Decimal(0),
        ),
    )


def check_moment(name: str, value: object) -> None:
    """Refuse a moment that names no time zone."""
    if type(value) is not datetime or value.utcoffset() is None:
        raise InvalidValueError(name, value, "is not a moment", "a datetime with a time zone")
