"""Commands that ask a running gateway: may this customer, how much was used, what does it cost."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

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

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DENIED = 3
INT64_MAX = 2**63 - 1

Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", show_default=False)]


def whole(text: str) -> int:
    """Read a whole number that a message can carry; which of them make a quantity is the gateway's to say."""
    if not re.fullmatch(r"-?[0-9]{1,19}", text) or abs(int(text)) > INT64_MAX:
        raise typer.BadParameter(f"{text[:40]!r} is not a whole number from 1 to 2^53-1")
    return int(text)


Quantity = Annotated[
    int | None,
    typer.Option(parser=whole, help="How much, in the meter's unit; 1 when not given.", metavar="N"),
]
Dimension = Annotated[
    list[str] | None,
    typer.Option(help="What the use is of, such as model=small; may be given more than once.", metavar="NAME=VALUE"),
]
Subject = Annotated[str, typer.Option(help="Who of the customer uses a named licence.", metavar="S")]


def dimensions_of(stated: Sequence[str] | None) -> dict[str, str]:
    """Read NAME=VALUE, each name once; which names and values there are is the gateway's to say."""
    dimensions: dict[str, str] = {}
    for one in stated or ():
        name, equals, value = one.partition("=")
        if not equals or name in dimensions:
            raise typer.BadParameter(f"{one[:40]!r} is not NAME=VALUE, with each NAME once", param_hint="--dimension")
        dimensions[name] = value
    return dimensions


def check(
    customer: Customer,
    feature: Annotated[str, typer.Argument(metavar="FEATURE", show_default=False)],
    quantity: Quantity = None,
    idempotency_key: Annotated[str, typer.Option(help="The same key counts once.", metavar="K")] = "",
    peek: Annotated[bool, typer.Option("--peek", help="Ask and count nothing.")] = False,
    dimension: Dimension = None,
    subject: Subject = "",
    target: Target = None,
    state: State = STATE,
    json: Json = False,
) -> None:
    """May this customer use this feature now? Exits with 0 when allowed, 3 when denied."""
    dimensions = dimensions_of(dimension)
    decision = ask(
        target,
        state,
        lambda gateway: gateway.check(
            *(customer, feature, quantity),
            idempotency_key=idempotency_key,
            peek=peek,
            dimensions=dimensions,
            subject=subject,
        ),
    )
    document = as_document(decision)
    if json:
        emit(document)
    else:
        show_decision(document)
    if not decision.allowed:
        raise typer.Exit(DENIED)


def show_decision(document: Mapping[str, Any], *more: tuple[str, Any]) -> None:
    """Print a decision for people, with what else was answered: what does not apply is left out."""
    style, word = ("bold green", "allowed") if document["allowed"] else ("bold red", "denied")
    out.print(f"[{style}]{word}[/] {document['reason']}")
    fields = [(name, value) for name, value in document.items() if name not in {"allowed", "reason", "limits"}]
    shown = [(name, value) for name, value in (*fields, *more) if not _is_nothing(value)]
    out.print(fields_table((name.removesuffix("_ms").replace("_", " "), _plain(name, value)) for name, value in shown))
    if document["limits"]:
        out.print()
        columns = [("Limit", "left"), ("Kind", "left"), ("Used", "right"), ("Of", "right"), ("Left", "right")]
        out.print(table([*columns, ("Begins anew", "left"), ("", "left")], map(_limit_row, document["limits"])))


def _is_nothing(value: object) -> bool:
    """Tell whether there is nothing to show; 0 is something."""
    return value is None or value is False or value in ("", [])


def _limit_row(limit: Mapping[str, Any]) -> tuple[str, ...]:
    resets_at_ms = limit["resets_at_ms"]
    return (
        *(limit["name"], limit["kind"].lower()),
        *(grouped(limit[name]) for name in ("used", "limit", "remaining")),
        "" if resets_at_ms is None else _plain("resets_at_ms", resets_at_ms),
        "" if limit["reason"] == "OK" else limit["reason"],
    )


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
