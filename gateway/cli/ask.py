"""Commands that ask a running gateway: may this customer, how much was used, what does it cost."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

import typer

from gateway.cli.options import STATE, Json, State, Target
from gateway.cli.reach import ask
from gateway.cli.show import (
    as_document,
    charges_document,
    charges_table,
    emit,
    fields_table,
    grouped,
    heading,
    out,
    table,
)

DENIED = 3
INT64_MAX = 2**63 - 1

Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", show_default=False)]


def whole(text: str) -> int:
    """Read a whole number that a message can carry; which of them make a quantity is the gateway's to say."""
    if not re.fullmatch(r"-?[0-9]{1,19}", text) or abs(int(text)) > INT64_MAX:
        raise typer.BadParameter(f"{text[:40]!r} is not a whole number from 1 to 2^53-1")
    return int(text)


def check(
    customer: Customer,
    feature: Annotated[str, typer.Argument(metavar="FEATURE", show_default=False)],
    quantity: Annotated[
        int | None, typer.Option(parser=whole, help="How much, in the meter's unit; 1 when not given.", metavar="N")
    ] = None,
    idempotency_key: Annotated[str, typer.Option(help="The same key counts once.", metavar="K")] = "",
    peek: Annotated[bool, typer.Option("--peek", help="Ask and count nothing.")] = False,
    target: Target = None,
    state: State = STATE,
    json: Json = False,
) -> None:
    """May this customer use this feature now? Exits with 0 when allowed, 3 when denied."""
    decision = ask(
        target,
        state,
        lambda gateway: gateway.check(customer, feature, quantity, idempotency_key=idempotency_key, peek=peek),
    )
    document = as_document(decision)
    if json:
        emit(document)
    else:
        style = "bold green" if decision.allowed else "bold red"
        out.print(f"[{style}]{'allowed' if decision.allowed else 'denied'}[/] {document['reason']}")
        out.print(
            fields_table(
                (name.removesuffix("_ms").replace("_", " "), _plain(name, value))
                for name, value in document.items()
                if name not in {"allowed", "reason"}
                and value is not None
                and value is not False
                and value not in ("", [])
            )
        )
    if not decision.allowed:
        raise typer.Exit(DENIED)


def usage(customer: Customer, target: Target = None, state: State = STATE, json: Json = False) -> None:
    """What a customer used of each meter in its running billing period, as written down."""
    answered = ask(target, state, lambda gateway: gateway.usage(customer))
    if json:
        emit({one.meter: one.quantity for one in answered.usage})
        return
    rows = [(one.meter, grouped(one.quantity)) for one in answered.usage]
    heading(f"Usage of {customer}, {_period(answered.period_start_ms, answered.period_end_ms)}")
    out.print(table([("Meter", "left"), ("Quantity", "right")], rows))


def charges(customer: Customer, target: Target = None, state: State = STATE, json: Json = False) -> None:
    """What a customer's running billing period costs so far."""
    invoice = ask(target, state, lambda gateway: gateway.charges(customer))
    document = charges_document(invoice)
    if json:
        emit(document)
        return
    lines = [(line["description"], line["quantity"], line["amount"]) for line in document["lines"]]
    heading(f"Charges of {customer}, {_period(invoice.period_start_ms, invoice.period_end_ms)}")
    out.print(charges_table(lines, document["total"], invoice.total.currency_code))


def _period(start_ms: int, end_ms: int) -> str:
    from billing_core.periods import moment_of

    return f"{moment_of(start_ms):%Y-%m-%d} to {moment_of(end_ms):%Y-%m-%d} (UTC, end excluded)"


def _plain(name: str, value: object) -> str:
    """Write a field's value for people: moments and spans as such, thousands apart, lists with commas."""
    from billing_core.periods import moment_of

    match value:
        case bool():
            return "yes" if value else "no"
        case int() if name.endswith("_at_ms"):
            return f"{moment_of(value):%Y-%m-%d %H:%M:%S} UTC"
        case int() if name.endswith("_ms"):
            return f"{timedelta(milliseconds=value)}".removesuffix("000")
        case int():
            return grouped(value)
        case list():
            return ", ".join(map(str, value))
        case _:
            return str(value)
