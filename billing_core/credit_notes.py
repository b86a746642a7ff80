"""Credit notes: what an invoice gives back, with its tax, when what it charged is not delivered."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from billing_core.errors import InvalidValueError
from billing_core.invoice import Invoice
from billing_core.money import Money, RoundingPoint, rounded_parts, total
from billing_core.names import check_type
from billing_core.proration import Share
from billing_core.tax import Taxed, Taxes, TaxMode, taxes


@dataclass(frozen=True, slots=True)
class CreditNote:
    """What is given back of each line of an invoice, the tax on it, and both together."""

    exact: tuple[Fraction, ...]
    amounts: tuple[Money, ...]
    subtotal: Money
    taxes: Taxes
    total: Money

    def __post_init__(self) -> None:
        assert self.subtotal == total(self.amounts, self.subtotal.currency)
        is_added = self.taxes.terms.mode is TaxMode.EXCLUSIVE
        assert self.total == (self.subtotal + self.taxes.total if is_added else self.subtotal)


def credit_unused(invoice: Invoice, unused: Mapping[int, Share]) -> CreditNote:
    """Give back the unused part of some lines, by their index: of what they cost after all deductions.

    Amounts and tax are computed from exact parts and rounded once each, as the invoice's were.
    """
    for index, part in unused.items():
        check_type("unused", index, int)
        if not 0 <= index < len(invoice.lines):
            rule = f"the index of a line, from 0 to {len(invoice.lines) - 1}"
            raise InvalidValueError("unused", index, "is no line of the invoice", rule)
        check_type(f"unused[{index}]", part, Share)
    exact = tuple(
        unused[index].of(max(invoice.net(index), Fraction(0))) if index in unused else Fraction(0)
        for index in range(len(invoice.lines))
    )
    taxed = [Taxed(part, line.rates) for part, line in zip(exact, invoice.lines, strict=True)]
    of_taxes = taxes(taxed, invoice.taxes.terms, invoice.currency)
    amounts = rounded_parts(exact, invoice.currency, RoundingPoint.LINE)
    subtotal = total(amounts, invoice.currency)
    whole = subtotal + of_taxes.total if invoice.taxes.terms.mode is TaxMode.EXCLUSIVE else subtotal
    return CreditNote(exact, amounts, subtotal, of_taxes, whole)
