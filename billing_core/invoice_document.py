"""Invoices as stored documents: what an invoice is written as, and how one is read, which adds up or is refused."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import TypeVar

from billing_core.discounts import Deduction, DeductionKind
from billing_core.errors import InvalidValueError
from billing_core.invoice import Invoice, Payment, PaymentKind
from billing_core.lines import InvoiceLine
from billing_core.money import Currency, Money, exact_decimal, plain_text
from billing_core.names import one_of
from billing_core.tax import RateTax, Taxes, TaxMode, TaxRate, TaxRounding, TaxTerms

Written = Mapping[str, object]
Kind = TypeVar("Kind")
Choice = TypeVar("Choice", bound=Enum)

_FRACTION = re.compile(r"-?[0-9]+(/[1-9][0-9]*)?")


def stored(invoice: Invoice) -> dict[str, object]:
    """Write an invoice as texts, lists and mappings: amounts as `13.40`, exact shares as `500/51`."""
    return {
        "currency": invoice.currency.code,
        "lines": [
            {
                "description": line.description,
                "meter": line.meter,
                "plan": line.plan,
                "quantity": plain_text(line.quantity),
                "amount": line.amount.text(),
                "deducted": deducted.text(),
                "rates": [_rate(rate) for rate in line.rates],
                "tax": fraction_text(tax),
            }
            for line, deducted, tax in zip(invoice.lines, invoice.deducted, invoice.taxes.of_lines, strict=True)
        ],
        "deductions": [
            {
                "kind": one.kind.value,
                "name": one.name,
                "asked": one.asked.text(),
                "amount": one.amount.text(),
                "shares": [fraction_text(share) for share in one.shares],
            }
            for one in invoice.deductions
        ],
        "subtotal": invoice.subtotal.text(),
        "taxes": {
            "mode": invoice.taxes.terms.mode.value,
            "rounding": invoice.taxes.terms.rounding.value,
            "rates": [
                _rate(one.rate)
                | {
                    "taxable": fraction_text(one.taxable),
                    "exact": fraction_text(one.exact),
                    "amount": one.amount.text(),
                }
                for one in invoice.taxes.of_rates
            ],
            "total": invoice.taxes.total.text(),
        },
        "total": invoice.total.text(),
        "payments": [
            {"kind": one.kind.value, "name": one.name, "amount": one.amount.text()} for one in invoice.payments
        ],
        "due": invoice.due.text(),
    }


def loaded(document: Written) -> Invoice:
    """Read a stored invoice; a sum that is not that of its parts is a bug, and fails as one."""
    currency = Currency(_field(document, "currency", str))
    lines = _mappings(document, "lines")
    return Invoice(
        currency,
        tuple(_line(one, currency) for one in lines),
        tuple(_deduction(one, currency) for one in _mappings(document, "deductions")),
        tuple(_money(one, "deducted", currency) for one in lines),
        _money(document, "subtotal", currency),
        _taxes(_field(document, "taxes", dict), [_fraction("tax", one.get("tax")) for one in lines], currency),
        _money(document, "total", currency),
        tuple(
            Payment(_member(one, "kind", PaymentKind), _field(one, "name", str), _money(one, "amount", currency))
            for one in _mappings(document, "payments")
        ),
        _money(document, "due", currency),
    )


def _line(written: Written, currency: Currency) -> InvoiceLine:
    return InvoiceLine(
        _field(written, "description", str),
        _money(written, "amount", currency),
        _decimal(written, "quantity"),
        None if written.get("meter") is None else _field(written, "meter", str),
        None if written.get("plan") is None else _field(written, "plan", str),
        tuple(_tax_rate(one) for one in _mappings(written, "rates")),
    )


def _deduction(written: Written, currency: Currency) -> Deduction:
    return Deduction(
        _member(written, "kind", DeductionKind),
        _field(written, "name", str),
        _money(written, "asked", currency),
        _money(written, "amount", currency),
        tuple(_fraction("shares", share) for share in _field(written, "shares", list)),
    )


def _taxes(written: Written, of_lines: Sequence[Fraction], currency: Currency) -> Taxes:
    of_rates = tuple(
        RateTax(
            _tax_rate(one),
            _fraction("taxable", one.get("taxable")),
            _fraction("exact", one.get("exact")),
            _money(one, "amount", currency),
        )
        for one in _mappings(written, "rates")
    )
    terms = TaxTerms(_member(written, "mode", TaxMode), _member(written, "rounding", TaxRounding))
    return Taxes(terms, of_rates, tuple(of_lines), _money(written, "total", currency))


def _rate(rate: TaxRate) -> dict[str, object]:
    return {"name": rate.name, "percent": plain_text(rate.percent)}


def _tax_rate(written: Written) -> TaxRate:
    return TaxRate(_field(written, "name", str), _decimal(written, "percent"))


def _money(written: Written, name: str, currency: Currency) -> Money:
    return Money(_decimal(written, name), currency)


def _decimal(written: Written, name: str) -> Decimal:
    return exact_decimal(name, _field(written, name, str))


def fraction_text(exact: Fraction) -> str:
    """Write a fraction, however long it is."""
    # Python writes no whole number of more than 4300 digits, and reads none; a Decimal has no such bound.
    parts = [exact.numerator] if exact.denominator == 1 else [exact.numerator, exact.denominator]
    return "/".join(f"{Decimal(part):f}" for part in parts)


def _fraction(name: str, value: object) -> Fraction:
    if type(value) is not str or not _FRACTION.fullmatch(value):
        raise InvalidValueError(name, value, "is not a fraction", "text such as 500/51")
    return Fraction(*(Fraction(Decimal(part)) for part in value.split("/")))


def _member(written: Written, name: str, wanted: type[Choice]) -> Choice:
    value = written.get(name)
    for member in wanted:
        if member.value == value:
            return member
    raise InvalidValueError(name, value, "is not taken here", one_of(str(member.value) for member in wanted))


def _mappings(written: Written, name: str) -> list[Written]:
    listed = _field(written, name, list)
    for index, one in enumerate(listed):
        if not isinstance(one, Mapping):
            raise InvalidValueError(f"{name}[{index}]", one, "is not a mapping", "a mapping")
    return listed


def _field(written: Written, name: str, wanted: type[Kind]) -> Kind:
    value = written.get(name)
    if not isinstance(value, wanted):
        raise InvalidValueError(name, value, "is not what was stored", wanted.__name__)
    return value
