"""What a period costs: usage, prices and fees become lines that are rounded one by one, and add up to the total."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import NamedTuple

from billing_core.aggregation import Sum
from billing_core.catalog import Fee, MeterPrice
from billing_core.licences import SeatFee, seats_held
from billing_core.measurement import aggregation_of, quantities_of, single_uses, summed, uses_of
from billing_core.money import EXACT, Currency, Money, Quotient, RoundingPoint, line_rounding, money_of_line, rounded
from billing_core.prices.measured import Index, Measured, Usage, Use, in_order
from billing_core.prices.models import EventPrice, waits_for_the_end
from billing_core.prices.steps import Changed, Flat, Reason, Step, Units, exact_sum
from billing_core.prices.terms import ChargeWhen, priced
from billing_core.prices.tiers import ZERO
from billing_core.proration import prorate, share
from billing_core.quantities import rounded_quantity
from billing_core.rating_request import Billed, RatingRequest

__all__ = ["Billed", "Index", "Line", "Rating", "RatingRequest", "Usage", "rate"]


class Line(NamedTuple):
    """One row of a rating: what, how much of it, and its rounded amount; a fee has no meter.

    `source` is what the derivation comes from: the price alone where its curve made the amount, else the steps.
    """

    meter: str | None
    description: str
    quantity: Decimal
    charged: Decimal
    currency: Currency
    source: MeterPrice | tuple[Step, ...]

    def __hash__(self) -> int:
        return hash((self.meter, self.description, self.quantity, self.charged))  # a price has no hash, and needs none

    @property
    def amount(self) -> Money:
        """What was charged, as money."""
        return money_of_line(self.charged, self.currency)

    @property
    def derivation(self) -> tuple[Step, ...]:
        """How the amount came about: steps that add up to it, whoever made it."""
        with localcontext(EXACT):
            steps = self.source
            if isinstance(steps, MeterPrice):
                charged = priced(steps.price, steps.terms, [Measured(Quotient(self.quantity))], is_final=True)
                _, steps = _rounded(charged, self.currency)
            derived = exact_sum(steps)
            assert derived.dividend == self.charged * derived.divisor
        return steps


@dataclass(frozen=True, slots=True)
class Rating:
    """The lines of a period, all of one currency, and what they add up to."""

    lines: tuple[Line, ...]
    currency: Currency
    total: Money = field(init=False)

    def __post_init__(self) -> None:
        assert {line.currency.code for line in self.lines} <= {self.currency.code}
        with localcontext(EXACT):
            charged = sum([line.charged for line in self.lines], start=ZERO)
        object.__setattr__(self, "total", Money(charged, self.currency))


def rate(request: RatingRequest) -> Rating:
    """Measure → price → prorate → round → take off what was billed → add up.

    In this order because tiers price what a whole period used, and not single uses; because a line is rounded once,
    after all of its arithmetic, and what was billed is rounded already, so that a period costs the same in splits; and
    because an invoice must add up as it is printed: its total is the sum of rounded lines.

    Nearly every line is one sum on its price's curve, and its steps are worked out when somebody asks for them. Other
    lines are made of their steps.
    """
    apart = _apart(request)
    currency = request.currency
    round_on_line = line_rounding(currency)
    new_line = tuple.__new__  # a named tuple's own constructor does the same, and takes twice as long
    with localcontext(EXACT):
        sums, used = summed(request.usage), uses_of(apart, request.usage)
        lines = []
        for price in request.prices:
            curve, meter = price.curve, price.meter
            if curve is None or meter is None or meter in apart:
                lines.append(_stepped_line(price, request, used))
            else:
                quantity = sums.get(meter, ZERO)
                charged = round_on_line(curve.charge(quantity))
                lines.append(new_line(Line, (meter, price.description, quantity, charged, currency, price)))
        lines += [_fee_line(fee, request) for fee in request.fees if is_due(fee.charge_when, request)]
        lines += [_seats_line(seats, request) for seats in request.seats if request.final]
    return Rating(tuple(lines), currency)


def _apart(request: RatingRequest) -> set[str]:
    """Name the meters of which some line needs more than their sum, and a curve to charge it."""
    apart = {meter for price in request.prices if price.curve is None for meter in price.meters}
    apart.update(request.billed)
    apart.update(name for name, meter in request.meters.items() if not isinstance(meter.aggregation, Sum))
    if not request.final:
        apart.update(meter for price in request.prices if waits_for_the_end(price.price) for meter in price.meters)
    return apart


def _stepped_line(price: MeterPrice, request: RatingRequest, used: Mapping[str, list[Usage]]) -> Line:
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
    return _line(price.meter, price.description, quantity, request.currency, steps, None if waits else billed)


def _line(
    meter: str | None,
    description: str,
    quantity: Decimal,
    currency: Currency,
    steps: tuple[Step, ...],
    billed: Billed | None = None,
) -> Line:
    amount, steps = _rounded(steps, currency)
    if billed is not None:
        amount -= Money(billed.amount, currency)
        steps = (*steps, Changed(Reason.BILLED, Quotient(-billed.amount)))
    return Line(meter, description, quantity, amount.amount, currency, steps)


def _rounded(steps: tuple[Step, ...], currency: Currency) -> tuple[Money, tuple[Step, ...]]:
    """Round what steps add up to; what that changes, if anything, is one more step."""
    exact = exact_sum(steps)
    amount = rounded(exact, currency, RoundingPoint.LINE)
    rounding = amount.amount * exact.divisor - exact.dividend
    return amount, (*steps, Changed(Reason.ROUNDING, Quotient(rounding, exact.divisor))) if rounding else steps


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
