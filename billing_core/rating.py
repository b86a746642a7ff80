"""What a period costs: usage, prices and fees become lines that are rounded one by one, and add up to the total."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType

from billing_core.catalog import Fee, MeterPrice, check_one_price_per_meter
from billing_core.errors import InvalidValueError
from billing_core.money import EXACT, Currency, Money, Quotient, RoundingPoint, not_negative, rounded, total
from billing_core.names import check_name, one_of
from billing_core.periods import Period
from billing_core.prices import charge


@dataclass(frozen=True, slots=True)
class Usage:
    """A quantity used on a meter, where known with its moment and its dimensions such as model or region."""

    meter: str
    quantity: Decimal
    at: datetime | None = None
    dimensions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name("meter", self.meter)
        object.__setattr__(self, "quantity", not_negative("quantity", self.quantity))
        if self.at is not None and (type(self.at) is not datetime or self.at.utcoffset() is None):
            raise InvalidValueError("at", self.at, "is not a moment", "a datetime with a time zone")
        object.__setattr__(self, "dimensions", MappingProxyType(dict(self.dimensions)))


@dataclass(frozen=True, slots=True)
class RatingRequest:
    """All that a period's cost depends on; whoever asks leaves out the usage of meters that have no price."""

    currency: Currency
    period: Period
    prices: tuple[MeterPrice, ...] = ()
    fees: tuple[Fee, ...] = ()
    usage: tuple[Usage, ...] = ()

    def __post_init__(self) -> None:
        for name in ("prices", "fees", "usage"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        check_one_price_per_meter(self.prices)
        priced = {price.meter for price in self.prices}
        for index, usage in enumerate(self.usage):
            if usage.meter not in priced:
                raise InvalidValueError(f"usage[{index}].meter", usage.meter, "has no price", one_of(priced))
            if usage.at is not None and not self.period.contains(usage.at):
                rule = f"a moment from {self.period.start.isoformat()} to before {self.period.end.isoformat()}"
                raise InvalidValueError(f"usage[{index}].at", usage.at.isoformat(), "is outside the period", rule)


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a rating: what, how much of it, and its rounded amount; a fee has no meter."""

    meter: str | None
    description: str
    quantity: Decimal
    amount: Money


@dataclass(frozen=True, slots=True)
class Rating:
    """The lines of a period, and what they add up to."""

    lines: tuple[Line, ...]
    total: Money

    def __post_init__(self) -> None:
        assert self.total == total((line.amount for line in self.lines), self.total.currency)


def rate(request: RatingRequest) -> Rating:
    """Measure → price → round → add up.

    In this order because tiers price what a whole period used, and not single uses; because a line is rounded once,
    after all of its arithmetic; and because an invoice must add up as it is printed: its total is the sum of rounded
    lines.
    """
    measured = {price.meter: Decimal(0) for price in request.prices}
    for usage in request.usage:
        measured[usage.meter] = EXACT.add(measured[usage.meter], usage.quantity)

    lines = []
    for price in request.prices:
        quantity = measured[price.meter]
        amount = rounded(charge(price.price, quantity), request.currency, RoundingPoint.LINE)
        lines.append(Line(price.meter, f"{price.meter} ({price.price.model})", quantity, amount))
    for fee in request.fees:
        amount = rounded(Quotient(fee.amount), request.currency, RoundingPoint.LINE)
        lines.append(Line(None, fee.name, Decimal(1), amount))

    return Rating(tuple(lines), total((line.amount for line in lines), request.currency))
