"""Commands that ask a running gateway: may this customer, how much was used, what does it cost."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.options import STATE, Json, State, Target
from gateway.cli.reach import ask
from gateway.cli.show import as_document, charges_document, charges_table, emit, grouped, out, table

DENIED = 3

Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", show_default=False)]


def check(
    customer: Customer,
    feature: Annotated[str, typer.Argument(metavar="FEATURE", show_default=False)],
    quantity: Annotated[int | None, typer.Option(help="How much, in the meter's unit; 1 when not given.")] = None,
    idempotency_key: Annotated[str, typer.Option(help="The same key counts once.", metavar="K")] = "",
    peek: Annotated[bool, typer.Option("--peek", help="Ask and count nothing.")] = False,
    target: Target = None,
    state: State = STATE,
    json: Json = False,
) -> None:
    """May this customer use this feature now? Exits with 0 when allowed, 3 when denied."""
    decision = ask(target, state, lambda gateway: gateway.check(customer, feature, quantity, idempotency_key=idempotency_key, peek=peek))
    document = as_document(decision)
    if json:
        emit(document)
    else:
        style = "bold green" if decision.allowed else "bold red"
        out.print(f"[{style}]{'allowed' if decision.allowed else 'denied'}[/] {document['reason']}")
        shown = [
            (name, grouped(value) if isinstance(value, int) and not name.endswith("_ms") else _plain(value))
            for name, value in document.items()
            if name not in ("allowed", "reason") and value not in (None, "", [], False)
        ]
        out.print(table("", [("", "left"), ("", "left")], shown))
    if not decision.allowed:
        raise typer.Exit(DENIED)


def usage(customer: Customer, target: Target = None, state: State = STATE, json: Json = False) -> None:
    """What a customer used of each meter in its running billing period, as written down."""
    answered = ask(target, state, lambda gateway: gateway.usage(customer))
    if json:
        emit({one.meter: one.quantity for one in answered.usage})
        return
    rows = [(one.meter, grouped(one.quantity)) for one in answered.usage]
    period = _period(answered.period_start_ms, answered.period_end_ms)
    out.print(table(f"Usage of {customer}, {period}", [("Meter", "left"), ("Quantity", "right")], rows))


def charges(customer: Customer, target: Target = None, state: State = STATE, json: Json = False) -> None:
    """What a customer's running billing period costs so far."""
    invoice = ask(target, state, lambda gateway: gateway.charges(customer))
    document = charges_document(invoice)
    if json:
        emit(document)
        return
    lines = [(line["description"], line["quantity"], line["amount"]) for line in document["lines"]]
    title = f"Charges of {customer}, {_period(invoice.period_start_ms, invoice.period_end_ms)}"
    out.print(charges_table(title, lines, document["total"], invoice.total.currency_code))


def _period(start_ms: int, end_ms: int) -> str:
    from billing_core.periods import moment_of

    return f"{moment_of(start_ms):%Y-%m-%d} to {moment_of(end_ms):%Y-%m-%d} (UTC, end excluded)"


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
