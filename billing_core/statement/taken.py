"""What an invoice takes off lines, and what tax it adds, as lines of a statement with their derivations."""

from collections.abc import Iterator, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import assert_never

from billing_core.burning import BurnDown
from billing_core.discounts import AmountOff, Coupon, Deduction, DeductionKind, PercentOff, UnitsOff
from billing_core.invoice import Invoice, PaymentKind
from billing_core.money import Currency, Money, Quotient, RoundingPoint, plain_text
from billing_core.prices.steps import Flat, Included, Reason, Share, Step, Units
from billing_core.statement.lines import WIDE, Kind, StatementLine, adjusted, exact_sum
from billing_core.statement.request import StatementRequest
from billing_core.tax import TaxMode
from billing_core.wallets import payable

ONE = Decimal(1)


def units_covered(burned: BurnDown, request: StatementRequest) -> Iterator[StatementLine]:
    """Say what each grant of units gave; what it covered was not priced, so that it takes off no money."""
    nothing = Money(Decimal(0), request.rating.currency)
    for balance in burned.balances:
        if balance.burned:
            description = f"{balance.grant.id} (granted units)"
            steps = (Included(Quotient(balance.burned)),)
            source = _source_of_grant(balance.grant.id, request)
            yield StatementLine(Kind.CREDIT, source, None, description, balance.burned, nothing, steps)


def deducted(invoice: Invoice, request: StatementRequest) -> Iterator[StatementLine]:
    """Say what coupons and promotional credits took off, in their order, and what they did so of."""
    coupons = {coupon.id: (f"coupons[{index}]", coupon) for index, coupon in enumerate(request.coupons)}
    left = [Fraction(line.amount.amount) for line in invoice.lines]
    for one in invoice.deductions:
        match one.kind:
            case DeductionKind.COUPON:
                source, coupon = coupons[one.name]
                open_lines = [
                    (line.quantity, part)
                    for line, part in zip(invoice.lines, left, strict=True)
                    if coupon.covers(line) and part > 0
                ]
                worth = _worth(coupon, open_lines)
                assert abs(exact_sum(worth) - Fraction(one.asked.amount)) < _minor_unit(invoice.currency)
                steps = adjusted(worth, Reason.ROUNDING, one.asked)
                yield _taken(Kind.COUPON, source, f"{one.name} (coupon)", steps, one)
            case DeductionKind.CREDIT:
                steps = adjusted((Flat(_granted(one.name, request)),), Reason.ROUNDING, one.asked)
                yield _taken(Kind.CREDIT, _source_of_grant(one.name, request), f"{one.name} (credit)", steps, one)
            case DeductionKind.PROGRESSIVE:
                raise AssertionError(one)  # a statement asks for none
            case _:
                assert_never(one.kind)
        left = [part - share for part, share in zip(left, one.shares, strict=True)]


def taxed(invoice: Invoice, request: StatementRequest) -> Iterator[StatementLine]:
    """Say what each rate takes of which amount; inclusive tax is in the lines already and adds nothing to them."""
    sources = {one.rate: f"tax.rates[{index}]" for index, one in enumerate(request.rates)}
    is_added = invoice.taxes.terms.mode is TaxMode.EXCLUSIVE
    for one in invoice.taxes.of_rates:
        taxable = Quotient.of(one.taxable)
        steps: tuple[Step, ...] = (Share(taxable.dividend, one.rate.percent, taxable.divisor),)
        steps = adjusted(steps, Reason.ROUNDING, one.amount)
        description = f"{one.rate.name} {plain_text(one.rate.percent)} %"
        amount = one.amount
        if not is_added:
            description += f" (included: {amount.text()})"
            amount = Money(Decimal(0), invoice.currency)
            steps = adjusted(steps, Reason.CONTAINED, amount)
        yield StatementLine(Kind.TAX, sources[one.rate], None, description, ONE, amount, steps, RoundingPoint.TAX)


def paid(invoice: Invoice, request: StatementRequest) -> Iterator[StatementLine]:
    """Say what paid credits paid of what was due with tax."""
    for one in invoice.payments:
        assert one.kind is PaymentKind.WALLET, "a statement has no credit notes"
        steps: tuple[Step, ...] = (Flat(_granted(one.name, request)),)
        payable_now = payable(Money(_granted(one.name, request), invoice.currency))
        steps = adjusted(adjusted(steps, Reason.ROUNDING, payable_now), Reason.LEFT, one.amount)
        source = _source_of_grant(one.name, request)
        description = f"{one.name} (paid credit)"
        yield StatementLine(Kind.CREDIT, source, None, description, ONE, -one.amount, steps, RoundingPoint.PAY_OUT)


def _worth(coupon: Coupon, open_lines: Sequence[tuple[Decimal, Fraction]]) -> tuple[Step, ...]:
    """Say what a coupon asks for, of lines with their quantities and what is left of them."""
    together = Quotient.of(sum((left for _, left in open_lines), start=Fraction(0)))
    match coupon.value:
        case PercentOff(percent):
            return (Share(together.dividend, percent, together.divisor),)
        case AmountOff(amount):
            return (Flat(amount.amount),)
        case UnitsOff(units):
            with localcontext(WIDE):
                used = sum((quantity for quantity, _ in open_lines), start=Decimal(0))
                return (Units(min(units, used), together.dividend, used * together.divisor),) if used else ()
        case _:
            assert_never(coupon.value)


def _taken(kind: Kind, source: str, description: str, asked: tuple[Step, ...], one: Deduction) -> StatementLine:
    point = RoundingPoint.LINE if kind is Kind.COUPON else RoundingPoint.DEDUCTION
    steps = adjusted(asked, Reason.LEFT, one.amount)
    return StatementLine(kind, source, None, description, ONE, -one.amount, steps, point)


def _minor_unit(currency: Currency) -> Fraction:
    return Fraction(1, 10**currency.minor_digits)


def _granted(name: str, request: StatementRequest) -> Decimal:
    return next(grant.amount for grant in request.grants if grant.id == name)


def _source_of_grant(name: str, request: StatementRequest) -> str:
    return next(f"grants[{index}]" for index, grant in enumerate(request.grants) if grant.id == name)
