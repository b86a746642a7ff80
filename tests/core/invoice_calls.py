"""How a case writes lines, coupons and balances, and how it reads an invoice."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from billing_core.credit_notes import credit_unused
from billing_core.credits import Grant
from billing_core.discounts import EVERYTHING, AmountOff, Coupon, OnMeters, OnPlans, PercentOff, Scope, UnitsOff
from billing_core.invoice import Credited, Invoice, InvoiceRequest, build
from billing_core.lines import InvoiceLine
from billing_core.money import Currency, Money, Quotient, RoundingPoint, rounded, total
from billing_core.proration import Share
from billing_core.tax import TaxMode, TaxRate, TaxRounding, TaxTerms

Arguments = dict[str, Any]
AT = datetime(2026, 2, 1, tzinfo=UTC)
USD = Currency("USD")


def line(written: Arguments) -> InvoiceLine:
    """Read a line; `tax` is a rate in percent, or several by name."""
    tax = written.get("tax", {})
    rates = tax if isinstance(tax, dict) else {"VAT": tax}
    meter, plan = written.get("meter"), written.get("plan")
    rows = [TaxRate(name, percent) for name, percent in rates.items()]
    return InvoiceLine(meter or "Fee", Money(written["amount"], USD), written.get("quantity", 1), meter, plan, rows)


def coupon(index: int, written: Arguments) -> Coupon:
    """Read a coupon: an amount, a percentage or units, on meters, on plans or on everything."""
    scope: Scope = EVERYTHING
    if "meters" in written:
        scope = OnMeters(written["meters"])
    elif "plans" in written:
        scope = OnPlans(written["plans"])
    if "percent" in written:
        return Coupon(f"coupon-{index}", PercentOff(written["percent"]), scope)
    if "units" in written:
        return Coupon(f"coupon-{index}", UnitsOff(written["units"]), scope)
    return Coupon(f"coupon-{index}", AmountOff(Money(written["amount"], USD)), scope)


def credited(kind: str, amounts: list[str]) -> list[Credited]:
    """Read amounts that count for the customer."""
    return [Credited(f"{kind}-{index}", Money(amount, USD)) for index, amount in enumerate(amounts)]


def request(given: Arguments) -> InvoiceRequest:
    """Read a whole request."""
    grants = [
        Grant(f"grant-{index}", one["amount"], one.get("effective_at", AT), AT, meters=one.get("meters"), currency=USD)
        for index, one in enumerate(given.get("credits", []))
    ]
    return InvoiceRequest(
        USD,
        AT,
        [line(one) for one in given["lines"]],
        credited("progressive", given.get("progressive", [])),
        [coupon(index, one) for index, one in enumerate(given.get("coupons", []))],
        grants,
        TaxTerms(TaxMode(given.get("mode", "exclusive")), TaxRounding(given.get("rounding", "invoice"))),
        credited("note", given.get("credit_notes", [])),
        Money(given["wallet"], USD) if "wallet" in given else None,
    )


def shown(invoice: Invoice, given: Arguments) -> Arguments:
    """Write all that a case may expect of an invoice."""
    texts = {name: getattr(invoice, name).text() for name in ("subtotal", "total", "due")}
    paid = total([one.amount for one in invoice.payments], USD)
    from_wallet = total([one.amount for one in invoice.payments if one.name == "wallet"], USD)
    return texts | {
        "charged": total([one.amount for one in invoice.lines], USD).text(),
        "asked": [one.asked.text() for one in invoice.deductions],
        "taken": [[one.name, one.amount.text()] for one in invoice.deductions],
        "deducted": [one.text() for one in invoice.deducted],
        "shares": [share_of(invoice, index) for index, _ in enumerate(invoice.lines)],
        "tax": invoice.taxes.total.text(),
        "tax_by_rate": {f"{one.rate.name} {one.rate.percent}": one.amount.text() for one in invoice.taxes.of_rates},
        "tax_by_line": [rounded(Quotient.of(one), USD, RoundingPoint.TAX).text() for one in invoice.taxes.of_lines],
        "paid": paid.text(),
        "payments": [[one.name, one.amount.text()] for one in invoice.payments],
        "wallet_left": (Money(given.get("wallet", 0), USD) - from_wallet).text(),
    }


def built(given: Arguments) -> Arguments:
    """Build an invoice and write it."""
    return shown(build(request(given)), given)


def credit_note(given: Arguments) -> Arguments:
    """Build an invoice, and give back the unused days of its lines."""
    unused = {index: Share(*days) for index, days in enumerate(given["unused"]) if days}
    note = credit_unused(build(request(given)), unused)
    return {"subtotal": note.subtotal.text(), "tax": note.taxes.total.text(), "total": note.total.text()}


def share_of(invoice: Invoice, index: int) -> str:
    """Write what deductions took off a line, each to seven decimals: Lago keeps five decimals of a cent."""
    shares = [one.shares[index] for one in invoice.deductions]
    decimals = [Decimal(share.numerator) / Decimal(share.denominator) for share in shares]
    places = Decimal("1E-7")
    return f"{sum((one.quantize(places, ROUND_HALF_UP) for one in decimals), Decimal(0)):.7f}"


CALLS = {
    "invoice.build": built,
    "credit_notes.credit_unused": credit_note,
}
