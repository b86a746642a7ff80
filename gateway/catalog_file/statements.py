"""A statement as JSON: its sums, its lines, and how each line came about, as data that a program can add up.

Amounts of lines and sums have the currency's minor digits. A step's `amount` is exact: a decimal where one can be
written, and else a fraction such as `500/51`. The steps of a line add up to its amount, or, where a line takes off, to
what it takes off. `source` is where in the document the line comes from, and `rounding` where it was rounded.
"""

from decimal import Context, Decimal, Inexact, localcontext
from fractions import Fraction
from typing import assert_never

from billing_core.invoice_document import fraction_text
from billing_core.money import Quotient, plain_text
from billing_core.prices.steps import Changed, Converted, Flat, Included, Pieces, Share, Step, Units
from billing_core.statement import Statement, StatementLine
from billing_core.statement.lines import exact_sum
from gateway.catalog_file.models import Written

_DIGITS_MAX = 100
"""An exact number of more digits is written as a fraction."""


def write_statement(statement: Statement) -> dict[str, Written]:
    """Give the lines and the sums with bare decimal strings."""
    return {
        "lines": [_line(line) for line in statement.lines],
        "subtotal": statement.subtotal.text(),
        "tax": statement.tax.text(),
        "credits": statement.credits.text(),
        "total": statement.total.text(),
    }


def write_step(step: Step) -> dict[str, Written]:
    """Give a step, what it goes by, and the exact amount that it adds."""
    return _step(step) | {"amount": _exact(exact_sum((step,)))}


def _line(line: StatementLine) -> dict[str, Written]:
    return {
        "meter": line.meter,
        "description": line.description,
        "quantity": plain_text(line.quantity),
        "amount": line.amount.text(),
        "kind": line.kind.value,
        "source": line.source,
        "derivation": [write_step(step) for step in line.derivation],
        "rounding": line.rounding.value,
    }


def _step(step: Step) -> dict[str, Written]:
    """Name a step and what it goes by; the tier, where there is one, is counted from 1."""
    written: dict[str, Written]
    match step:
        case Units():
            written = {name: plain_text(getattr(step, name)) for name in ("quantity", "per", "unit")}
            written |= {"step": "units", "tier": step.tier}
        case Pieces():
            size = None if step.size is None else plain_text(step.size)
            written = {"step": "pieces", "count": plain_text(step.count), "size": size, "each": plain_text(step.amount)}
            written |= {"tier": step.tier}
        case Share():
            of = _exact(Quotient(step.quantity, step.per).fraction)
            written = {"step": "share", "of": of, "percent": plain_text(step.rate), "tier": step.tier}
        case Flat():
            written = {"step": "flat", "tier": step.tier}
        case Converted():
            written = {"step": "converted", "from": plain_text(step.measured), "to": _exact(step.priced.fraction)}
        case Included():
            written = {"step": "included", "quantity": _exact(step.quantity.fraction)}
        case Changed():
            written = {"step": step.reason.value.replace(" ", "_")}
        case _:
            assert_never(step)
    return written


def _exact(number: Fraction) -> str:
    with localcontext(Context(prec=_DIGITS_MAX, traps=[Inexact])):
        try:
            return plain_text(Decimal(number.numerator) / Decimal(number.denominator))
        except Inexact:
            return fraction_text(number)
