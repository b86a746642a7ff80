"""Invoices add up, however they are built, stored and read."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from billing_core.credit_notes import credit_unused
from billing_core.credits import Grant
from billing_core.discounts import (
    AmountOff,
    Coupon,
    Deduction,
    DeductionKind,
    OnEverything,
    OnMeters,
    OnPlans,
    PercentOff,
    UnitsOff,
    in_coupon_order,
)
from billing_core.invoice import Credited, InvoiceRequest, PaymentKind, build
from billing_core.invoice_document import loaded, stored
from billing_core.lines import InvoiceLine
from billing_core.money import Currency, Money, Quotient, RoundingPoint, rounded, total
from billing_core.proration import Share
from billing_core.tax import Taxed, TaxMode, TaxRate, TaxRounding, TaxTerms, taxes

USD = Currency("USD")
AT = datetime(2026, 2, 1, tzinfo=UTC)
REQUEST = InvoiceRequest(USD, AT, [InvoiceLine("Base", Money(10, USD))])


def dollars(least: int, most: int) -> st.SearchStrategy[Money]:
    """Make amounts in whole cents."""
    return st.integers(least, most).map(lambda cents: Money(Decimal(cents).scaleb(-2), USD))


meters, plans = st.sampled_from(["a", "b"]), st.sampled_from(["p", "q"])
rates = st.builds(TaxRate, st.sampled_from(["VAT", "City"]), st.sampled_from(["0", "7.5", "19", "20"]))
lines = st.builds(
    InvoiceLine,
    st.just("Line"),
    st.one_of(dollars(0, 10**6), dollars(-(10**5), 0)),
    st.integers(0, 100),
    st.none() | meters,
    st.none() | plans,
    st.lists(rates, max_size=2, unique=True),
)
scopes = st.one_of(
    st.just(OnEverything()),
    st.builds(OnPlans, st.frozensets(plans, min_size=1)),
    st.builds(OnMeters, st.frozensets(meters, min_size=1)),
)
values = st.one_of(
    st.builds(AmountOff, dollars(1, 10**6)), st.builds(PercentOff, st.sampled_from(["10", "33.3", "100"]))
)
terms = st.builds(TaxTerms, st.sampled_from(TaxMode), st.sampled_from(TaxRounding))


@st.composite
def requests(draw: st.DrawFn) -> InvoiceRequest:
    """Make a request with a few of everything."""
    coupons = [Coupon(f"c{index}", draw(values), draw(scopes)) for index in range(draw(st.integers(0, 3)))]
    if draw(st.booleans()):
        coupons.append(Coupon("units", UnitsOff(draw(st.integers(1, 50))), OnMeters(["a"])))
    amounts = draw(st.lists(dollars(1, 10**5), max_size=2))
    grants = [
        Grant(f"g{index}", one.amount, AT, AT, currency=USD, meters=draw(st.sampled_from([None, ["a"]])))
        for index, one in enumerate(amounts)
    ]
    return InvoiceRequest(
        USD,
        AT,
        draw(st.lists(lines, max_size=5)),
        draw(st.lists(st.builds(Credited, st.just("progressive"), dollars(0, 10**5)), max_size=1)),
        coupons,
        grants,
        draw(terms),
        draw(st.lists(st.builds(Credited, st.just("note"), dollars(0, 10**5)), max_size=2)),
        draw(st.none() | dollars(0, 10**6)),
    )


@given(requests())
def test_the_total_is_the_sum_of_its_parts(request: InvoiceRequest) -> None:
    """What is charged, less deductions, with tax, less payments, is due; exactly, by line and in all."""
    invoice = build(request)
    charged = sum(Fraction(line.amount.amount) for line in request.lines)
    taken = sum(Fraction(one.amount.amount) for one in invoice.deductions)
    nets = [invoice.net(index) for index in range(len(request.lines))]
    assert sum(nets) == charged - taken == Fraction(invoice.subtotal.amount)
    assert Fraction(total(invoice.deducted, USD).amount) == taken
    added = Fraction(invoice.taxes.total.amount) if request.terms.mode is TaxMode.EXCLUSIVE else 0
    paid = sum(Fraction(one.amount.amount) for one in invoice.payments)
    assert Fraction(invoice.due.amount) == charged - taken + added - paid


@given(requests())
def test_nothing_is_taken_that_is_not_there(request: InvoiceRequest) -> None:
    """No deduction exceeds what it is worth, a positive line stays so, also as printed, and payments stay within."""
    invoice = build(request)
    assert all(one.amount <= one.asked for one in invoice.deductions)
    for index, line in enumerate(request.lines):
        printed = line.amount - invoice.deducted[index]
        assert min(line.amount.amount, 0) <= invoice.net(index) <= line.amount.amount
        assert min(line.amount.amount, 0) <= printed.amount <= line.amount.amount
    if sum(line.amount.amount for line in request.lines) >= 0:
        assert invoice.subtotal.amount >= 0
    offered = sum((note.amount.amount for note in request.credit_notes), Decimal(0))
    notes = [one.amount.amount for one in invoice.payments if one.kind is PaymentKind.CREDIT_NOTE]
    assert sum(notes, Decimal(0)) <= offered
    assert invoice.due.amount >= 0 or not invoice.payments


@given(requests())
def test_building_again_and_reading_back_gives_the_same(request: InvoiceRequest) -> None:
    """An invoice has no memory, and what is stored as JSON is the invoice."""
    invoice = build(request)
    assert build(request) == invoice
    assert loaded(json.loads(json.dumps(stored(invoice)))) == invoice


@given(requests(), st.data())
def test_a_stored_sum_that_was_changed_is_found(request: InvoiceRequest, data: st.DataObject) -> None:
    """Any amount that is one cent off fails when it is loaded, whichever it is."""
    document = json.loads(json.dumps(stored(build(request))))
    amounts = list(places(document))
    holder, name = data.draw(st.sampled_from(amounts))
    holder[name] = str(Decimal(holder[name]) + Decimal("0.01"))
    with pytest.raises(AssertionError):
        loaded(document)


def places(document: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Find every amount of a document that is a sum or part of one."""
    found = [(document, name) for name in ("subtotal", "total", "due")] + [(document["taxes"], "total")]
    found += [(line, name) for line in document["lines"] for name in ("amount", "deducted")]
    found += [(one, "amount") for part in ("deductions", "payments") for one in document[part]]
    return found + [(one, "amount") for one in document["taxes"]["rates"]]


@given(st.lists(lines, max_size=5), terms)
def test_tax_is_within_half_a_cent_of_what_is_owed(charged: list[InvoiceLine], agreed: TaxTerms) -> None:
    """Once for the invoice, or once for each line and rate; and the rates add up to it."""
    taxed = [Taxed(Fraction(line.amount.amount), line.rates) for line in charged]
    done = taxes(taxed, agreed, USD)
    owed = sum(one.exact for one in done.of_rates)
    by_hand = Fraction(0)
    for line in taxed:
        together = sum(Fraction(rate.percent) for rate in line.rates)
        whole = 100 if agreed.mode is TaxMode.EXCLUSIVE else 100 + together
        by_hand += line.amount * together / whole
    assert owed == by_hand
    roundings = 1 if agreed.rounding is TaxRounding.INVOICE else sum(len(line.rates) for line in charged)
    assert abs(Fraction(done.total.amount) - by_hand) <= Fraction(roundings, 200)
    assert done.total == total([one.amount for one in done.of_rates], USD)


@given(dollars(-(10**6), 10**6), st.sampled_from(["0", "5", "7.7", "19", "20", "24"]))
def test_inclusive_tax_is_the_inverse_of_exclusive(net: Money, percent: str) -> None:
    """Adding tax to an amount and finding it in the sum again differ by less than a cent: by rounding alone."""
    rate = (TaxRate("VAT", percent),)
    added = taxes([Taxed(Fraction(net.amount), rate)], TaxTerms(TaxMode.EXCLUSIVE), USD).total
    found = taxes([Taxed(Fraction((net + added).amount), rate)], TaxTerms(TaxMode.INCLUSIVE), USD).total
    assert abs(added.amount - found.amount) <= Decimal("0.01")
    exact = Fraction(net.amount) * (100 + Fraction(percent)) / 100
    (same,) = taxes([Taxed(exact, rate)], TaxTerms(TaxMode.INCLUSIVE), USD).of_rates
    assert same.taxable == Fraction(net.amount)


@given(requests(), st.integers(0, 28))
def test_credit_notes_give_back_no_more_than_was_charged(request: InvoiceRequest, unused: int) -> None:
    """All days unused give back every line that cost something, with its tax; none give back nothing."""
    invoice = build(request)
    days = {index: Share(unused, 28) for index in range(len(request.lines))}
    note = credit_unused(invoice, days)
    whole = sum((max(invoice.net(index), Fraction(0)) for index in range(len(request.lines))), Fraction(0))
    assert note.subtotal == rounded(Quotient.of(whole * unused / 28), USD, RoundingPoint.LINE)
    assert note.total.amount >= 0
    if unused == 28 and all(line.amount.amount >= 0 for line in request.lines):
        assert (note.subtotal, note.total) == (invoice.subtotal, invoice.total)


@given(requests(), st.randoms())
def test_coupons_of_one_kind_keep_their_order(request: InvoiceRequest, random: st.randoms) -> None:
    """Limited to meters, then to plans, then the others; a stable sort does the rest."""
    order = in_coupon_order(request.coupons)
    kinds = [type(coupon.scope) for coupon in order]
    assert kinds == sorted(kinds, key=[OnMeters, OnPlans, OnEverything].index)
    assert in_coupon_order(order) == order
    shuffled = list(request.coupons)
    random.shuffle(shuffled)
    for kind in set(kinds):
        of_kind = [coupon for coupon in shuffled if type(coupon.scope) is kind]
        assert [coupon for coupon in in_coupon_order(shuffled) if type(coupon.scope) is kind] == of_kind


@given(requests())
def test_order_of_lines_changes_no_total(request: InvoiceRequest) -> None:
    """Lines that come the other way round are deducted and taxed the same."""
    assume(len(request.lines) > 1)
    one, other = build(request), build(replace(request, lines=request.lines[::-1]))
    assert (one.subtotal, one.taxes.total, one.total, one.due) == (
        *(other.subtotal, other.taxes.total, other.total, other.due),
    )


def test_many_coupons_on_long_amounts_stay_exact() -> None:
    """What fifty coupons of overlapping scopes leave is a fraction of thousands of digits: it still adds up."""
    vat = [TaxRate("VAT", "7.7")]
    long_lines = [
        InvoiceLine("Line", Money(10**96 // 7**index, USD), meter=meter, rates=vat) for index, meter in enumerate("abc")
    ]
    overlapping = [OnMeters(["a", "b"]), OnMeters(["b", "c"]), OnMeters(["a", "c"])]
    coupons = [
        Coupon(f"c{index}", AmountOff(Money(10**92 // (index + 3), USD)), overlapping[index % 3]) for index in range(50)
    ]
    invoice = build(InvoiceRequest(USD, AT, long_lines, coupons=coupons))
    document = stored(invoice)
    assert max(len(line["tax"]) for line in document["lines"]) > 4300
    assert loaded(document) == invoice


def test_an_invoice_that_does_not_add_up_cannot_be_built() -> None:
    """Each sum is asserted where it is made, whoever makes it."""
    invoice = build(REQUEST)
    for name in ("subtotal", "total", "due"):
        with pytest.raises(AssertionError):
            replace(invoice, **{name: Money(11, USD)})
    with pytest.raises(AssertionError):
        replace(invoice, deducted=())
    with pytest.raises(AssertionError):
        Deduction(DeductionKind.COUPON, "c", Money(1, USD), Money(2, USD), (Fraction(2),))
    with pytest.raises(AssertionError):
        Deduction(DeductionKind.COUPON, "c", Money(2, USD), Money(2, USD), (Fraction(1),))
