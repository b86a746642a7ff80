"""What a rating depends on, and which requests can be rated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from decimal import Decimal, localcontext
from types import MappingProxyType

from billing_core.aggregation import Count, Sum
from billing_core.catalog import Fee, Meter, MeterPrice, check_measurable, check_one_price_per_meter
from billing_core.errors import InvalidValueError
from billing_core.licences import SeatFee
from billing_core.measurement import aggregation_of, check_use
from billing_core.money import EXACT, Currency, exact_decimal, not_negative
from billing_core.names import check_type, one_of
from billing_core.periods import Period, in_zone
from billing_core.prices import Dynamic, Matrix
from billing_core.prices.measured import Index, Usage
from billing_core.proration import ProrationBasis
from billing_core.quantities import check_events


@dataclass(frozen=True, slots=True)
class Billed:
    """What earlier splits of the period charged on a meter, for which quantity, used in how many events.

    Where single uses matter and more is known of them than this, `quantity` is 0 and `usage` holds the whole period.
    """

    quantity: Decimal
    amount: Decimal
    events: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "quantity", not_negative("quantity", self.quantity))
        object.__setattr__(self, "amount", exact_decimal("amount", self.amount))
        check_events("events", self.events)


@dataclass(frozen=True, slots=True)
class RatingRequest:
    """All that a period's cost depends on; whoever asks leaves out the usage of meters that have no price.

    A period may be rated in splits: `billed` is what those before charged, `usage` what came since, and `final` the
    last of them. `zone` is where days begin. `active` is the part of the period in which the plan ran, by which
    recurring fees and seats are prorated, and nothing else is: usage tells by itself what was used.
    """

    currency: Currency
    period: Period
    prices: tuple[MeterPrice, ...] = ()
    fees: tuple[Fee, ...] = ()
    usage: tuple[Usage, ...] = ()
    meters: Mapping[str, Meter] = field(default_factory=dict)
    indexes: Mapping[str, Index] = field(default_factory=dict)
    billed: Mapping[str, Billed] = field(default_factory=dict)
    final: bool = True
    zone: tzinfo = UTC
    active: Period | None = None
    proration: ProrationBasis | None = ProrationBasis.SECOND
    seats: tuple[SeatFee, ...] = ()

    def __post_init__(self) -> None:
        for name in ("prices", "fees", "usage", "seats"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("meters", "indexes", "billed"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        check_type("final", self.final, bool)
        check_one_price_per_meter(self.prices)
        in_zone("period", self.period.start, self.zone)
        for number, price in enumerate(self.prices):
            check_measurable(f"prices[{number}].meter", price, self.meters)
            if isinstance(price.price, Dynamic) and price.price.index not in (None, *self.indexes):
                rule = one_of(self.indexes)
                raise InvalidValueError(f"prices[{number}].index", price.price.index, "is not an index", rule)
        self._check_active()
        self._check_usage()
        self._check_billed()

    def _check_active(self) -> None:
        if self.proration is not None:
            check_type("proration", self.proration, ProrationBasis)
        if self.active is None:
            return
        check_type("active", self.active, Period)
        too_early, too_late = self.active.start < self.period.start, self.active.end > self.period.end
        if too_early or too_late:
            index, moment = (0, self.active.start) if too_early else (1, self.active.end)
            rule = f"a part of {self.period.start.isoformat()} to {self.period.end.isoformat()}"
            raise InvalidValueError(f"active[{index}]", moment.isoformat(), "is outside the period", rule)

    def _check_usage(self) -> None:
        prices: dict[str, list[MeterPrice]] = {meter: [] for price in self.prices for meter in price.meters}
        for price in self.prices:
            if isinstance(price.price, Matrix | Dynamic):
                prices[price.meters[0]].append(price)
        for index, usage in enumerate(self.usage):
            if usage.meter not in prices:
                raise InvalidValueError(f"usage[{index}].meter", usage.meter, "has no price", one_of(prices))
            if usage.at is not None and not self.period.contains(usage.at):
                rule = f"a moment from {self.period.start.isoformat()} to before {self.period.end.isoformat()}"
                raise InvalidValueError(f"usage[{index}].at", usage.at.isoformat(), "is outside the period", rule)
            check_use(f"usage[{index}]", usage, aggregation_of(usage.meter, self.meters))
            for price in prices[usage.meter]:
                if price.terms.takes(usage.dimensions):
                    _check_priceable(f"usage[{index}]", usage, price, self.indexes)

    def _check_billed(self) -> None:
        prices: dict[str | None, list[MeterPrice]] = {}
        for price in self.prices:
            prices.setdefault(price.meter, []).append(price)
        for meter, billed in self.billed.items():
            found = prices.get(meter, [])
            if len(found) != 1:
                problem = "has several prices" if found else "has no price of its own"
                raise InvalidValueError(f"billed.{meter}", meter, problem, "a meter with one price")
            goes_by = found[0].price.model if isinstance(found[0].price, Matrix | Dynamic) else None
            if not isinstance(aggregation := aggregation_of(meter, self.meters), Sum | Count):
                goes_by = aggregation.name
            if goes_by is not None and billed.quantity:
                rule = f"0, and all of the period's usage, for {goes_by} goes by single uses"
                raise InvalidValueError(f"billed.{meter}.quantity", billed.quantity, "cannot be priced again", rule)
            with localcontext(EXACT):
                if billed.amount % Decimal(1).scaleb(-self.currency.minor_digits):
                    rule = f"at most {self.currency.minor_digits} decimals, as a line has"
                    raise InvalidValueError(f"billed.{meter}.amount", billed.amount, "is not rounded", rule)


def _check_priceable(path: str, usage: Usage, price: MeterPrice, indexes: Mapping[str, Index]) -> None:
    """Refuse a use that lacks what its price goes by: a known value of its dimensions, a moment, an amount."""
    match price.price:
        case Matrix() as matrix if matrix.unit_of(usage) is None:
            rule = f"values of {', '.join(matrix.dimensions)} that a cell has, or a default price"
            raise InvalidValueError(f"{path}.dimensions", usage.meter, "is used as nothing with a price", rule)
        case Dynamic(index=None) if usage.amount is None:
            raise InvalidValueError(f"{path}.amount", None, "is no price", "the event's own amount")
        case Dynamic(index=str(index)) if usage.at is None or indexes[index].price_at(usage.at) is None:
            rule = f"a moment from {indexes[index].points[0][0].isoformat()} on, where {index} begins"
            shown = None if usage.at is None else usage.at.isoformat()
            raise InvalidValueError(f"{path}.at", shown, "has no price in the index", rule)
        case _:
            pass
