"""What a period costs: usage, prices and fees become lines that are rounded one by one, and add up to the total."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from decimal import Decimal, localcontext
from types import MappingProxyType

from billing_core.aggregation import Count, Sum
from billing_core.catalog import Fee, Meter, MeterPrice, check_measurable, check_one_price_per_meter
from billing_core.errors import InvalidValueError
from billing_core.licences import SeatFee, seats_held
from billing_core.measurement import aggregation_of, check_use, quantities_of, single_uses
from billing_core.money import (
    EXACT,
    Currency,
    Money,
    Quotient,
    RoundingPoint,
    exact_decimal,
    not_negative,
    rounded,
    total,
)
from billing_core.names import check_type, one_of
from billing_core.periods import Period, in_zone
from billing_core.prices import Dynamic, Matrix
from billing_core.prices.measured import Index, Measured, Usage, Use, in_order
from billing_core.prices.models import EventPrice, waits_for_the_end
from billing_core.prices.steps import Changed, Flat, Reason, Step, Units, exact_sum
from billing_core.prices.terms import ChargeWhen, priced
from billing_core.proration import ProrationBasis, prorate, share
from billing_core.quantities import check_events, rounded_quantity

__all__ = ["Billed", "Index", "Line", "Rating", "RatingRequest", "Usage", "rate"]


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
        for meter, billed in self.billed.items():
            found = [price for price in self.prices if price.meter == meter]
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


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a rating: what, how much of it, its rounded amount, and how that came about; a fee has no meter."""

    meter: str | None
    description: str
    quantity: Decimal
    amount: Money
    derivation: tuple[Step, ...]

    def __post_init__(self) -> None:
        with localcontext(EXACT):
            derived = exact_sum(self.derivation)
            assert derived.dividend == self.amount.amount * derived.divisor


@dataclass(frozen=True, slots=True)
class Rating:
    """The lines of a period, and what they add up to."""

    lines: tuple[Line, ...]
    total: Money

    def __post_init__(self) -> None:
        assert self.total == total((line.amount for line in self.lines), self.total.currency)


def rate(request: RatingRequest) -> Rating:
    """Measure → price → prorate → round → take off what was billed → add up.

    In this order because tiers price what a whole period used, and not single uses; because a line is rounded once,
    after all of its arithmetic, and what was billed is rounded already, so that a period costs the same in splits; and
    because an invoice must add up as it is printed: its total is the sum of rounded lines.
    """
    used: dict[str, list[Usage]] = {meter: [] for price in request.prices for meter in price.meters}
    for usage in request.usage:
        used[usage.meter].append(usage)
    with localcontext(EXACT):
        lines = [_priced_line(price, request, used) for price in request.prices]
        lines += [_fee_line(fee, request) for fee in request.fees if is_due(fee.charge_when, request)]
        lines += [_seats_line(seats, request) for seats in request.seats if request.final]
    return Rating(tuple(lines), total((line.amount for line in lines), request.currency))


def _priced_line(price: MeterPrice, request: RatingRequest, used: Mapping[str, list[Usage]]) -> Line:
    terms, billed = price.terms, None
    if price.meter is None:
        quantity = Decimal(1)
        # A tier has one limit of each meter, so that none of them measures several quantities.
        meters = {meter: _quantities(meter, request, used[meter])[0] for meter in price.meters}
        measured = [Measured(Quotient(quantity), meters=meters)]
    else:
        taken = [usage for usage in used[price.meter] if terms.takes(usage.dimensions)]
        quantities, billed = _quantities(price.meter, request, taken), request.billed.get(price.meter)
        quantity = sum(quantities, start=Decimal(0))
        before = billed.quantity if billed else Decimal(0)
        uses: tuple[Use, ...] = ()
        if isinstance(price.price, EventPrice):
            earlier = [Usage(price.meter, before, events=billed.events)] if billed and before else []
            aggregation = aggregation_of(price.meter, request.meters)
            uses = (*single_uses(Sum(), earlier), *single_uses(aggregation, in_order(taken)))
        measured = [Measured(Quotient(before + quantity), uses, request.indexes) for quantity in quantities]
    steps = priced(price.price, terms, measured, is_final=request.final)
    # What waits for the period's end costs nothing before it, and takes back nothing either.
    waits = not request.final and waits_for_the_end(price.price)
    filters = "".join(f", {name} {'/'.join(terms.filter[name])}" for name in sorted(terms.filter))
    description = f"{', '.join(price.meters)} ({price.price.model}{filters})"
    return _line(price.meter, description, quantity, request.currency, steps, None if waits else billed)


def _line(
    meter: str | None,
    description: str,
    quantity: Decimal,
    currency: Currency,
    steps: tuple[Step, ...],
    billed: Billed | None = None,
) -> Line:
    exact = exact_sum(steps)
    amount = rounded(exact, currency, RoundingPoint.LINE)
    rounding = amount.amount * exact.divisor - exact.dividend
    if rounding:
        steps = (*steps, Changed(Reason.ROUNDING, Quotient(rounding, exact.divisor)))
    if billed is not None:
        amount -= Money(billed.amount, currency)
        steps = (*steps, Changed(Reason.BILLED, Quotient(-billed.amount)))
    return Line(meter, description, quantity, amount, steps)


def is_due(charge_when: ChargeWhen, request: RatingRequest) -> bool:
    """In advance falls into the first split of a period, before which nothing was billed; in arrears into the last."""
    return not request.billed if charge_when is ChargeWhen.ADVANCE else request.final


def _fee_line(fee: Fee, request: RatingRequest) -> Line:
    """Charge a fee, and take off what falls outside the part of the period in which the plan ran; once is once."""
    steps: tuple[Step, ...] = (Flat(fee.amount),)
    if fee.every is not None and fee.prorated and request.active is not None and request.proration is not None:
        part = share(request.period, request.active.start, request.active.end, request.proration, request.zone)
        off = prorate(fee.amount, part) - Quotient(fee.amount)
        steps += (Changed(Reason.PRORATION, off),) if off.dividend else ()
    return _line(None, fee.name, Decimal(1), request.currency, steps)


def _seats_line(seats: SeatFee, request: RatingRequest) -> Line:
    held = seats_held(seats, request.period, request.active, request.proration, request.zone)
    steps = (Units(held.dividend, seats.unit, held.divisor),)
    return _line(None, seats.name, rounded_quantity(held), request.currency, steps)


def _quantities(meter: str, request: RatingRequest, uses: list[Usage]) -> tuple[Decimal, ...]:
    aggregation = aggregation_of(meter, request.meters)
    return quantities_of(meter, aggregation, uses, request.period, request.zone)
