"""Invoices: from the lines of a period to what is due, with every step kept as data."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from fractions import Fraction

from billing_core.credits import Grant, check_moment, in_burn_order
from billing_core.discounts import (
    COUPONS_MAX,
    AmountOff,
    Coupon,
    Deduction,
    DeductionKind,
    Remainder,
    in_coupon_order,
)
from billing_core.errors import InvalidValueError
from billing_core.lines import InvoiceLine
from billing_core.money import Currency, Money, RoundingPoint, check_payable, rounded_parts, total
from billing_core.names import check_name, check_type
from billing_core.tax import USUAL_TERMS, Taxed, Taxes, TaxMode, TaxTerms, taxes
from billing_core.wallets import payable

GRANTS_MAX = 100


@dataclass(frozen=True, slots=True)
class Credited:
    """An amount that counts for the customer, by the name of the invoice or credit note that it comes from."""

    name: str
    amount: Money

    def __post_init__(self) -> None:
        check_name("name", self.name)
        check_payable("amount", self.amount)
        if self.amount.amount < 0:
            raise InvalidValueError("amount", self.amount.amount, "is negative", "at least 0")


@dataclass(frozen=True, slots=True)
class InvoiceRequest:
    """All that an invoice depends on.

    `progressive` is what invoices within the period have charged of its usage, before tax; `grants` are money, each
    with what is left of it, and one that was paid for is a wallet of its own; `credit_notes` are used in the order
    given; `wallet` is a balance.
    """

    currency: Currency
    at: datetime
    lines: tuple[InvoiceLine, ...]
    progressive: tuple[Credited, ...] = ()
    coupons: tuple[Coupon, ...] = ()
    grants: tuple[Grant, ...] = ()
    terms: TaxTerms = USUAL_TERMS
    credit_notes: tuple[Credited, ...] = ()
    wallet: Money | None = None

    def __post_init__(self) -> None:
        check_type("currency", self.currency, Currency)
        check_moment("at", self.at)
        _check_all(self, "lines", InvoiceLine)
        _check_all(self, "progressive", Credited)
        _check_all(self, "coupons", Coupon)
        _check_all(self, "grants", Grant)
        _check_all(self, "credit_notes", Credited)
        check_type("terms", self.terms, TaxTerms)
        for name, names, limit in (("coupons", self.coupons, COUPONS_MAX), ("grants", self.grants, GRANTS_MAX)):
            if len(names) > limit:
                raise InvalidValueError(name, len(names), "are too many", f"at most {limit}")
            _check_once(name, [one.id for one in names])
        for index, grant in enumerate(self.grants):
            if grant.currency is None:
                raise InvalidValueError(f"grants[{index}].currency", None, "pays no invoice", "a grant of money")
            if not grant.is_promotional and grant.meters is not None:
                rule = "a paid grant without meters: after tax, nothing belongs to one line"
                raise InvalidValueError(f"grants[{index}].meters", len(grant.meters), "meters are named", rule)
        self._check_currencies()

    def _check_currencies(self) -> None:
        # Also where none would meet another one: a coupon that covers no line, a wallet when nothing is due.
        amounts = [Money(grant.amount, grant.currency) for grant in self.grants if grant.currency is not None]
        amounts += [coupon.value.amount for coupon in self.coupons if isinstance(coupon.value, AmountOff)]
        amounts += [line.amount for line in self.lines]
        amounts += [one.amount for one in (*self.progressive, *self.credit_notes)]
        if self.wallet is not None:
            amounts.append(self.wallet)
        total(amounts, self.currency)


class PaymentKind(Enum):
    """What pays an invoice before the customer does."""

    CREDIT_NOTE = "credit_note"
    WALLET = "wallet"


@dataclass(frozen=True, slots=True)
class Payment:
    """What a credit note or the wallet paid."""

    kind: PaymentKind
    name: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Invoice:
    """Lines, what was deducted from them, tax, what was paid already, and what is due; every sum adds up.

    `deducted` is what all deductions took off each line, as it is printed; exact shares stand in the deductions.
    """

    currency: Currency
    lines: tuple[InvoiceLine, ...]
    deductions: tuple[Deduction, ...]
    deducted: tuple[Money, ...]
    subtotal: Money
    taxes: Taxes
    total: Money
    payments: tuple[Payment, ...]
    due: Money

    def __post_init__(self) -> None:
        charged = total((line.amount for line in self.lines), self.currency)
        taken = total((deduction.amount for deduction in self.deductions), self.currency)
        added = self.taxes.total if self.taxes.terms.mode is TaxMode.EXCLUSIVE else Money(Decimal(0), self.currency)
        paid = total((payment.amount for payment in self.payments), self.currency)
        assert self.subtotal == charged - taken
        assert total(self.deducted, self.currency) == taken
        assert self.total == self.subtotal + added
        assert self.due == self.total - paid
        assert all(len(deduction.shares) == len(self.lines) for deduction in self.deductions)
        assert len(self.deducted) == len(self.taxes.of_lines) == len(self.lines)
        assert self.taxes == taxes(_taxed(self.lines, self.deductions), self.taxes.terms, self.currency)
        assert self.deducted == _deducted(self.lines, self.deductions, self.currency)
        assert all(payment.amount.amount > 0 for payment in self.payments)
        assert self.due.amount >= 0 or self.due == self.total

    def net(self, index: int) -> Fraction:
        """Return what is left of a line, exactly."""
        return _taxed(self.lines, self.deductions)[index].amount


def build(request: InvoiceRequest) -> Invoice:
    """Lines → progressive credit → coupons → promotional credits → tax → credit notes → paid credits → wallet → due.

    In this order because tax is owed on what the customer really pays for: what was charged before, and what is given
    for nothing, comes off before tax, by coupon and then by credit, so that a percentage is one of what was used.
    What has been paid with money is money: it comes off after tax, and a credit note, which can pay nothing else,
    before paid credits and the wallet, which can. Lago orders the same; OpenMeter applies all credits before tax, Orb a
    customer's balance after it. Coupons have their own order in `discounts.in_coupon_order`, grants in
    `credits.in_burn_order`.
    """
    left = Remainder(request.lines, request.currency)
    metered = [line.meter is not None for line in request.lines]
    deductions = [left.deduct(DeductionKind.PROGRESSIVE, one.name, one.amount, metered) for one in request.progressive]
    deductions += [left.redeem(coupon) for coupon in in_coupon_order(request.coupons)]
    deductions += [left.burn(grant) for grant in _burning(request) if grant.is_promotional]

    charged = total((line.amount for line in request.lines), request.currency)
    subtotal = charged - total((deduction.amount for deduction in deductions), request.currency)
    taxed = taxes(_taxed(request.lines, deductions), request.terms, request.currency)
    whole = subtotal + taxed.total if request.terms.mode is TaxMode.EXCLUSIVE else subtotal

    payments = []
    due = whole
    for kind, name, offered in _means(request):
        amount = min(offered, due)
        if amount.amount > 0:
            payments.append(Payment(kind, name, amount))
            due -= amount
    deducted = _deducted(request.lines, deductions, request.currency)
    return Invoice(
        *(request.currency, request.lines, tuple(deductions), deducted, subtotal, taxed, whole, tuple(payments), due)
    )


def _burning(request: InvoiceRequest) -> list[Grant]:
    return [grant for grant in in_burn_order(request.grants) if grant.is_active(request.at)]


def _means(request: InvoiceRequest) -> Iterable[tuple[PaymentKind, str, Money]]:
    for note in request.credit_notes:
        yield PaymentKind.CREDIT_NOTE, note.name, note.amount
    for grant in _burning(request):
        if not grant.is_promotional:
            yield PaymentKind.WALLET, grant.id, payable(Money(grant.amount, request.currency))
    if request.wallet is not None:
        yield PaymentKind.WALLET, "wallet", payable(request.wallet)


def _taxed(lines: Iterable[InvoiceLine], deductions: Iterable[Deduction]) -> list[Taxed]:
    left = [Fraction(line.amount.amount) for line in lines]
    for deduction in deductions:
        left = [amount - share for amount, share in zip(left, deduction.shares, strict=True)]
    return [Taxed(amount, line.rates) for amount, line in zip(left, lines, strict=True)]


def _deducted(lines: Iterable[InvoiceLine], deductions: Iterable[Deduction], currency: Currency) -> tuple[Money, ...]:
    taken = [Fraction(0) for _ in lines]
    for deduction in deductions:
        taken = [before + share for before, share in zip(taken, deduction.shares, strict=True)]
    return rounded_parts(taken, currency, RoundingPoint.DEDUCTION)


def _check_all(request: InvoiceRequest, name: str, wanted: type) -> None:
    object.__setattr__(request, name, tuple(getattr(request, name)))
    for index, one in enumerate(getattr(request, name)):
        check_type(f"{name}[{index}]", one, wanted)


def _check_once(field: str, ids: list[str]) -> None:
    for index, name in enumerate(ids):
        if name in ids[:index]:
            raise InvalidValueError(f"{field}[{index}].id", name, "is there already", "each id once")
