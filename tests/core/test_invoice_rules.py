"""What invoices are made of is valid or not at all: each rule, broken once."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from billing_core.credit_notes import credit_unused
from billing_core.credits import Grant
from billing_core.discounts import AmountOff, Coupon, OnMeters, OnPlans, PercentOff, UnitsOff
from billing_core.errors import CurrencyMismatchError, InvalidValueError
from billing_core.invoice import Credited, Invoice, InvoiceRequest, build
from billing_core.invoice_document import loaded, stored
from billing_core.lines import InvoiceLine
from billing_core.money import Currency, Money
from billing_core.proration import Share
from billing_core.tax import TaxRate, TaxTerms

USD = Currency("USD")
EUR = Currency("EUR")
AT = datetime(2026, 2, 1, tzinfo=UTC)
LINE = InvoiceLine("Base", Money(10, USD))
REQUEST = InvoiceRequest(USD, AT, [LINE])


def test_bounds_are_part_of_what_is_taken() -> None:
    """The largest percentage, the largest discount and the most coupons are valid."""
    assert TaxRate("A", 1000).percent == 1000
    assert PercentOff(100).percent == 100
    assert len(replace(REQUEST, coupons=[Coupon(f"c{index}", PercentOff(5)) for index in range(50)]).coupons) == 50


def broken(**fields: object) -> Callable[[], Invoice]:
    """Store an invoice with other fields, and load it."""
    return lambda: loaded(stored(build(REQUEST)) | fields)


@pytest.mark.parametrize(
    ("build_it", "message"),
    [
        (
            lambda: replace(LINE, amount=Money("0.005", USD)),
            "amount: 0.005 has parts of a minor unit; expected at most 2",
        ),
        (lambda: replace(LINE, amount=5), "amount: 5 is not money; expected Money"),
        (lambda: replace(LINE, description=""), "description: '' is not a text"),
        (lambda: replace(LINE, quantity=-1), "quantity: -1 is negative"),
        (lambda: replace(LINE, meter="a b"), "meter: 'a b' is not a name"),
        (lambda: replace(LINE, plan=""), "plan: '' is not a name"),
        (lambda: replace(LINE, rates=["20"]), "rates[0]: '20' is not a tax rate; expected a TaxRate"),
        (lambda: replace(LINE, rates=[TaxRate("A", 1)] * 2), "rates[1]: 'A' is there already; expected each rate once"),
        (lambda: TaxRate("", 1), "name: '' is not a text"),
        (lambda: TaxRate("A", -1), "percent: -1 is negative"),
        (lambda: TaxRate("A", 1001), "percent: 1001 is out of range; expected at most 1000"),
        (lambda: TaxTerms("exclusive"), "mode: 'exclusive' has the wrong type; expected TaxMode"),
        (lambda: TaxTerms(rounding="line"), "rounding: 'line' has the wrong type"),
        (lambda: PercentOff(0), "percent: 0 is no discount; expected more than 0 and at most 100"),
        (lambda: PercentOff("100.1"), "percent: 100.1 is no discount"),
        (lambda: AmountOff(Money(0, USD)), "amount: 0 is not positive"),
        (lambda: AmountOff(Money("0.001", USD)), "amount: 0.001 has parts of a minor unit"),
        (lambda: UnitsOff(0), "units: 0 is not positive"),
        (lambda: OnMeters([]), "meters: 0 meters are named; expected at least one"),
        (lambda: OnPlans(["a b"]), "plans: 'a b' is not a name"),
        (lambda: Coupon("", PercentOff(5)), "id: '' is not a name"),
        (lambda: Coupon("c", 5), "value: 5 is nothing to take off; expected a PercentOff, AmountOff or UnitsOff"),
        (lambda: Coupon("c", PercentOff(5), "all"), "scope: 'all' is not a scope; expected an OnMeters, OnPlans or"),
        (lambda: Coupon("c", UnitsOff(5)), "scope: a value of type OnEverything has no units to take off; expected an"),
        (lambda: Credited("n", Money(-1, USD)), "amount: -1 is negative; expected at least 0"),
        (lambda: Credited("n", Money("0.001", USD)), "amount: 0.001 has parts of a minor unit"),
        (lambda: Credited("", Money(1, USD)), "name: '' is not a name"),
        (lambda: replace(REQUEST, at=None), "at: null is not a moment"),
        (lambda: replace(REQUEST, currency="USD"), "currency: 'USD' has the wrong type"),
        (lambda: replace(REQUEST, lines=[5]), "lines[0]: 5 has the wrong type; expected InvoiceLine"),
        (lambda: replace(REQUEST, wallet=5), "money: 5 is not money"),
        (lambda: replace(REQUEST, terms=None), "terms: null has the wrong type"),
        (lambda: replace(REQUEST, coupons=[Coupon("c", PercentOff(5))] * 2), "coupons[1].id: 'c' is there already"),
        (
            lambda: replace(REQUEST, coupons=[Coupon(f"c{index}", PercentOff(5)) for index in range(51)]),
            "coupons: 51 are too many; expected at most 50",
        ),
        (
            lambda: replace(REQUEST, grants=[Grant("g", 1, AT, AT)]),
            "grants[0].currency: null pays no invoice; expected",
        ),
        (
            lambda: replace(REQUEST, grants=[Grant("g", 1, AT, AT, currency=USD, cost_basis=1, meters=["a"])]),
            "grants[0].meters: 1 meters are named; expected a paid grant without meters: after tax, nothing belongs to",
        ),
        (lambda: credit_unused(build(REQUEST), {1: Share(1, 2)}), "unused: 1 is no line of the invoice; expected"),
        (lambda: credit_unused(build(REQUEST), {0: 3}), "unused[0]: 3 has the wrong type; expected Share"),
        (broken(lines=[5]), "lines[0]: 5 is not a mapping"),
        (broken(due=5), "due: 5 is not what was stored; expected str"),
        (broken(due="5 USD"), "due: '5 USD' is not an exact number"),
        (broken(currency="usd"), "currency: 'usd' is not a currency"),
        (
            broken(payments=[{"kind": "cash", "name": "n", "amount": "1"}]),
            "kind: 'cash' is not taken here; expected one",
        ),
        (broken(deductions=[{"kind": "coupon"}]), "name: null is not what was stored; expected str"),
        (broken(lines=[stored(build(REQUEST))["lines"][0] | {"tax": "1/0"}]), "tax: '1/0' is not a fraction; expected"),
    ],
)
def test_what_is_no_invoice_is_refused(build_it: Callable[[], object], message: str) -> None:
    """Each rule, broken once, names the field, the value and what was expected."""
    with pytest.raises(InvalidValueError, match=f"^{re.escape(message)}"):
        build_it()


@pytest.mark.parametrize(
    "fields",
    [
        {"wallet": Money(1, EUR)},
        {"lines": [InvoiceLine("Line", Money(1, EUR))]},
        {"credit_notes": [Credited("n", Money(1, EUR))]},
        {"progressive": [Credited("n", Money(1, EUR))]},
        {"coupons": [Coupon("c", AmountOff(Money(1, EUR)), OnMeters(["none"]))]},
        {"grants": [Grant("g", 1, AT, AT, currency=EUR)]},
    ],
)
def test_an_invoice_has_one_currency(fields: dict[str, Any]) -> None:
    """Also what would not be used at all is refused in another one."""
    with pytest.raises(CurrencyMismatchError, match="USD met EUR"):
        replace(REQUEST, **fields)
