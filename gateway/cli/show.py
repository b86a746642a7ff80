"""How answers look: one JSON document for programs, tables for people; complaints and progress on standard error."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from billing_core.money import Currency, Money
from billing_core.statement import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from google.protobuf.message import Message
    from google.type.money_pb2 import Money as MoneyMessage

    from billing_core.statement import Statement
    from gateway.v1 import invoice_pb2

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

_AFTER_SUBTOTAL = (Kind.CREDIT, Kind.TAX)


def complain(message: str) -> None:
    """Say what went wrong, on standard error, as it is; several problems stand below each other."""
    first, *more = message.splitlines()
    if more and not more[0].startswith(" "):
        message = "\n  ".join(["", first, *more])
    err.print(f"tollkeeper: {message}", style="red", markup=False, soft_wrap=True)


def say(message: str) -> None:
    """Report progress, on standard error."""
    err.print(message, style="dim", markup=False, soft_wrap=True)


def emit(document: object) -> None:
    """Write one JSON document to standard output."""
    json.dump(document, sys.stdout, ensure_ascii=False)
    sys.stdout.write("\n")
    sys.stdout.flush()


def as_document(message: Message) -> dict[str, Any]:
    """Turn a message into JSON by its proto names: int64 as numbers, enums by name, what is absent as null."""
    document: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.is_repeated:
            document[field.name] = [as_document(one) if field.message_type else one for one in value]
        elif field.has_presence and not message.HasField(field.name):
            document[field.name] = None
        elif field.enum_type:
            known = field.enum_type.values_by_number.get(value)  # a newer gateway may have more
            document[field.name] = known.name if known else value
        else:
            document[field.name] = as_document(value) if field.message_type else value
    return document


def charges_document(invoice: invoice_pb2.Invoice) -> dict[str, Any]:
    """Turn a rated period into JSON; amounts are bare decimal strings."""
    return {
        "plan_version": invoice.plan_version,
        "period_start_ms": invoice.period_start_ms,
        "period_end_ms": invoice.period_end_ms,
        "lines": [
            {
                "meter": line.meter or None,
                "description": line.description,
                "quantity": line.quantity,
                "amount": amount(line.amount).text(),
            }
            for line in invoice.lines
        ],
        "total": amount(invoice.total).text(),
    }


def amount(message: MoneyMessage) -> Money:
    """Read an amount from the wire, exactly, to its currency's minor unit."""
    currency = Currency(message.currency_code)
    exact = Decimal(message.units) + Decimal(message.nanos).scaleb(-9)
    return Money(exact.quantize(Decimal(1).scaleb(-currency.minor_digits)), currency)


def heading(text: str) -> None:
    """Print what stands above a table; a table's own title would be broken to its width."""
    out.print(text, style="bold", markup=False, soft_wrap=True)


def table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]]) -> Table:
    """Lay out a table; each column is its heading and `left` or `right`."""
    laid = Table(header_style="bold", pad_edge=False, box=None)
    for heading, side in columns:
        laid.add_column(heading, justify="right" if side == "right" else "left", overflow="fold")
    for row in rows:
        laid.add_row(*map(Text, row))
    return laid


def fields_table(rows: Iterable[tuple[str, str]]) -> Table:
    """Lay out names and values."""
    laid = Table.grid(padding=(0, 2, 0, 0))
    for name, value in rows:
        laid.add_row(Text(name, "dim"), Text(value))
    return laid


def charges_table(lines: Sequence[tuple[str, str, str]], total: str, currency: str) -> Table:
    """Lay out (description, quantity, amount) lines and their total."""
    laid = Table(header_style="bold", show_footer=True)
    laid.add_column("Charge", footer="Total", overflow="fold")
    laid.add_column("Quantity", justify="right")
    laid.add_column(f"Amount ({currency})", justify="right", footer=total, footer_style="bold green")
    for description, quantity, value in lines:
        laid.add_row(Text(description), grouped(quantity), value)
    return laid


def statement_table(statement: Statement) -> Table:
    """Lay out what is charged, then the subtotal, and then credits and tax, where there are any."""
    laid = charges_table([], statement.total.text(), statement.total.currency.code)
    last = max((number for number, line in enumerate(statement.lines) if line.kind not in _AFTER_SUBTOTAL), default=-1)
    for number, line in enumerate(statement.lines):
        if number == last + 1:
            laid.add_section()
            laid.add_row(Text("Subtotal"), "", statement.subtotal.text(), style="bold", end_section=True)
        is_counted = line.kind is Kind.CHARGE or line.quantity != 1
        laid.add_row(Text(line.description), grouped(str(line.quantity)) if is_counted else "", line.amount.text())
    return laid


def grouped(number: str | int | None) -> str:
    """Write a whole or decimal number with thousands apart; nothing for None."""
    if number is None:
        return "-"
    whole, point, decimals = str(number).partition(".")
    return f"{int(whole):,}{point}{decimals}"
