"""The statement of a period: in which order usage, prices and all further terms become what is due."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing_core.invoice import Invoice, InvoiceRequest, build
from billing_core.lines import InvoiceLine
from billing_core.money import Currency, Money, allocate, total
from billing_core.names import TEXT_CHARACTERS_MAX
from billing_core.rating import Rating, RatingRequest, is_due, rate
from billing_core.statement.committed import settled
from billing_core.statement.lines import Kind, ScopedLine, StatementLine
from billing_core.statement.request import StatementRequest
from billing_core.statement.taken import deducted, paid, taxed, units_covered
from billing_core.statement.units import cover, last_moment
from billing_core.tax import TaxMode, TaxRate


@dataclass(frozen=True, slots=True)
class Statement:
    """Every line of a period, and its four sums.

    `subtotal` is what is charged: rated lines and commitments, less coupons. `tax` is all tax, on the subtotal less
    promotional credits; `credits` all that grants of money paid, before tax or after it; `total` what is due. With
    exclusive tax, total = subtotal + tax - credits; inclusive tax is in the subtotal already. Lago's subtotal is this
    one, Stripe's does not have the coupons off yet, and an `Invoice` has the promotional credits off as well. Its lines
    have what maximums take off them off.
    """

    lines: tuple[StatementLine, ...]
    invoice: Invoice
    subtotal: Money
    tax: Money
    credits: Money
    total: Money

    def __post_init__(self) -> None:
        currency = self.total.currency
        of_kind = {kind: total((one.amount for one in self.lines if one.kind is kind), currency) for kind in Kind}
        is_added = self.invoice.taxes.terms.mode is TaxMode.EXCLUSIVE
        added = self.tax if is_added else Money(Decimal(0), currency)
        assert self.subtotal == of_kind[Kind.CHARGE] + of_kind[Kind.COMMITMENT] + of_kind[Kind.COUPON]
        assert self.tax == self.invoice.taxes.total
        assert self.credits == -of_kind[Kind.CREDIT]
        assert self.total == self.subtotal + added - self.credits
        assert self.total == self.invoice.due
        assert self.total == total((one.amount for one in self.lines), currency)


def draw_up(request: StatementRequest) -> Statement:
    """Granted units → rated lines → commitments → coupons → promotional credits → tax → paid credits → total.

    In this order because units that are granted are no use to be priced; because a commitment is to what is used at its
    price, whoever pays that, so that coupons and credits fulfil it; and from there on for the reasons that
    `invoice.build` gives. Lago charges a commitment's true-up before coupons as well.
    """
    units = [grant for grant in request.grants if grant.currency is None]
    money = tuple(grant for grant in request.grants if grant.currency is not None)
    covered = cover(request.rating, units)
    rated = rate(covered.rating)
    charged = tuple(_rated_lines(rated, request.rating))
    added = settled(request, covered.rating, rated.lines)
    invoice = build(
        InvoiceRequest(
            request.rating.currency,
            last_moment(request.rating),
            tuple(_invoice_lines((*charged, *added), request)),
            coupons=request.coupons,
            grants=money,
            terms=request.tax,
        )
    )
    lines = (
        *(one.line for one in charged),
        *units_covered(covered.burned, request),
        *(one.line for one in added),
        *deducted(invoice, request),
        *taxed(invoice, request),
        *paid(invoice, request),
    )
    subtotal = _sum_of(lines, invoice.currency, Kind.CHARGE, Kind.COMMITMENT, Kind.COUPON)
    credited = -_sum_of(lines, invoice.currency, Kind.CREDIT)
    return Statement(lines, invoice, subtotal, invoice.taxes.total, credited, invoice.due)


def _rated_lines(rating: Rating, request: RatingRequest) -> Iterator[ScopedLine]:
    sources = [f"prices[{index}]" for index in range(len(request.prices))]
    sources += [f"fees[{index}]" for index, fee in enumerate(request.fees) if is_due(fee.charge_when, request)]
    sources += [f"seats[{index}]" for index in range(len(request.seats)) if request.final]
    for source, line in zip(sources, rating.lines, strict=True):
        stated = line.meter, line.description, line.quantity, line.amount, line.derivation
        meters = None if line.meter is None else frozenset([line.meter])
        yield ScopedLine(StatementLine(Kind.CHARGE, source, *stated), meters)


def _invoice_lines(lines: Sequence[ScopedLine], request: StatementRequest) -> Iterator[InvoiceLine]:
    """Take off the lines that it counts, pro rata, what a commitment takes off: coupons and tax see what is left."""
    open_lines: list[tuple[ScopedLine, Money]] = []
    for one in lines:
        amount, weights = one.line.amount, []
        if one.line.kind is Kind.COMMITMENT and amount.amount < 0:
            weights = [max(left.amount, Decimal(0)) * one.holds(other) for other, left in open_lines]
        if any(weights):
            off = allocate(-amount, weights)
            open_lines = [(other, left - part) for (other, left), part in zip(open_lines, off, strict=True)]
        else:
            open_lines.append((one, amount))
    for one, left in open_lines:
        line, rates = one.line, _rates_of(one, request)
        # A price may name more meters and values than an invoice prints on a line.
        yield InvoiceLine(line.description[:TEXT_CHARACTERS_MAX], left, line.quantity, line.meter, rates=rates)


def _rates_of(scoped: ScopedLine, request: StatementRequest) -> tuple[TaxRate, ...]:
    """Find the rates that name a line, or those for the rest; a group of meters has theirs where they agree."""
    rest = tuple(one.rate for one in request.rates if one.is_for_the_rest)
    if scoped.meters is not None:
        named = {tuple(one.rate for one in request.rates if meter in one.meters) for meter in scoped.meters}
        return (named.pop() if len(named) == 1 else rest) or rest
    if not scoped.line.source.startswith(("fees", "seats")):
        return rest
    return tuple(one.rate for one in request.rates if scoped.line.description in one.fees) or rest


def _sum_of(lines: Iterable[StatementLine], currency: Currency, *kinds: Kind) -> Money:
    return total((line.amount for line in lines if line.kind in kinds), currency)
