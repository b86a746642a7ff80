"""Tax: how much of an amount, or on top of it, each rate takes, and where that is rounded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import assert_never

from billing_core.errors import InvalidValueError
from billing_core.money import Currency, Money, Quotient, RoundingPoint, price_amount, rounded, rounded_parts, total
from billing_core.names import check_text, check_type

PERCENT_MAX = 1000


@dataclass(frozen=True, slots=True)
class TaxRate:
    """A tax by its name, in percent of the net amount."""

    name: str
    percent: Decimal

    def __post_init__(self) -> None:
        check_text("name", self.name)
        object.__setattr__(self, "percent", price_amount("percent", self.percent))
        if self.percent > PERCENT_MAX:
            raise InvalidValueError("percent", self.percent, "is out of range", f"at most {PERCENT_MAX}")


class TaxMode(Enum):
    """Whether tax comes on top of the amounts, or is in them already."""

    EXCLUSIVE = "exclusive"
    INCLUSIVE = "inclusive"


class TaxRounding(Enum):
    """Whether tax is rounded once for the whole invoice, or on each line for itself."""

    INVOICE = "invoice"
    LINE = "line"


@dataclass(frozen=True, slots=True)
class TaxTerms:
    """How a customer's invoices are taxed."""

    mode: TaxMode = TaxMode.EXCLUSIVE
    rounding: TaxRounding = TaxRounding.INVOICE

    def __post_init__(self) -> None:
        check_type("mode", self.mode, TaxMode)
        check_type("rounding", self.rounding, TaxRounding)


USUAL_TERMS = TaxTerms()


@dataclass(frozen=True, slots=True)
class Taxed:
    """What is left of a line after all deductions, not rounded, and the rates that apply to it together."""

    amount: Fraction
    rates: tuple[TaxRate, ...]


@dataclass(frozen=True, slots=True)
class RateTax:
    """What one rate takes: of which net amount, how much exactly, and how much of it is charged."""

    rate: TaxRate
    taxable: Fraction
    exact: Fraction
    amount: Money


@dataclass(frozen=True, slots=True)
class Taxes:
    """The taxes of an invoice by rate, exactly by line, and together."""

    terms: TaxTerms
    of_rates: tuple[RateTax, ...]
    of_lines: tuple[Fraction, ...]
    total: Money

    def __post_init__(self) -> None:
        assert self.total == total((one.amount for one in self.of_rates), self.total.currency)
        assert sum(self.of_lines, Fraction(0)) == sum((one.exact for one in self.of_rates), Fraction(0))


def taxes(lines: Sequence[Taxed], terms: TaxTerms, currency: Currency) -> Taxes:
    """Tax the unrounded amounts, and round once for the invoice or on each line, as the terms say.

    Once for the invoice by default, as Lago does: a cent on each line adds up to what nobody owes. The rates' amounts
    then add up to the rounded sum, by the tie rule of `money.rounded_parts`.
    """
    of_lines = [_of_line(line, terms.mode) for line in lines]
    rates = sorted({rate for line in lines for rate in line.rates}, key=lambda rate: (rate.name, rate.percent))
    taxable = [
        _added(line_tax.taxable for line in of_lines for line_tax in line if line_tax.rate == rate) for rate in rates
    ]
    exact = [
        _added(line_tax.exact for line in of_lines for line_tax in line if line_tax.rate == rate) for rate in rates
    ]
    match terms.rounding:
        case TaxRounding.INVOICE:
            amounts = rounded_parts(exact, currency, RoundingPoint.TAX)
        case TaxRounding.LINE:
            amounts = tuple(_rounded_by_line(of_lines, rate, currency) for rate in rates)
        case _:
            assert_never(terms.rounding)
    of_rates = tuple(map(RateTax, rates, taxable, exact, amounts))
    by_line = tuple(_added(line_tax.exact for line_tax in line) for line in of_lines)
    return Taxes(terms, of_rates, by_line, total(amounts, currency))


@dataclass(frozen=True, slots=True)
class _LineTax:
    rate: TaxRate
    taxable: Fraction
    exact: Fraction


def _of_line(line: Taxed, mode: TaxMode) -> list[_LineTax]:
    together = _added(Fraction(rate.percent) for rate in line.rates)
    match mode:
        case TaxMode.EXCLUSIVE:
            net = line.amount
        case TaxMode.INCLUSIVE:
            net = Fraction(line.amount * 100, 100 + together)
        case _:
            assert_never(mode)
    return [_LineTax(rate, net, Fraction(net * Fraction(rate.percent), 100)) for rate in line.rates]


def _rounded_by_line(of_lines: Iterable[Iterable[_LineTax]], rate: TaxRate, currency: Currency) -> Money:
    of_rate = (line_tax.exact for line in of_lines for line_tax in line if line_tax.rate == rate)
    return total((rounded(Quotient.of(exact), currency, RoundingPoint.TAX) for exact in of_rate), currency)


def _added(parts: Iterable[Fraction]) -> Fraction:
    return sum(parts, start=Fraction(0))
