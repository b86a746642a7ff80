"""Commands that hold a quantity or a slot, and say what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.ask import DENIED, Customer, Dimension, Quantity, Subject, dimensions_of, show_decision, whole
from gateway.cli.options import STATE, Json, State, Target
from gateway.cli.reach import ask
from gateway.cli.show import as_document, emit, fields_table, grouped, out

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.client import Gateway
    from gateway.v1 import entitlement_pb2

MS = 1000

Reservation = Annotated[str, typer.Argument(metavar="RESERVATION", show_default=False)]


def reserve(
    customer: Customer,
    feature: Annotated[str, typer.Argument(metavar="FEATURE", show_default=False)],
    quantity: Quantity = None,
    ttl: Annotated[
        int | None,
        typer.Option(help="How many seconds it is held at most; the feature's own time when not given.", metavar="S"),
    ] = None,
    idempotency_key: Annotated[str, typer.Option(help="The same key holds once.", metavar="K")] = "",
    dimension: Dimension = None,
    subject: Subject = "",
    target: Target = None,
    state: State = STATE,
    json: Json = False,
) -> None:
    """Hold a quantity, or a slot, until it is committed or released. Exits with 0 when it is held, 3 when denied."""
    from gateway.client import Asked

    asked = Asked(customer, feature, quantity, idempotency_key, dimensions_of(dimension), subject)
    ttl_ms = None if ttl is None else ttl * MS
    answered = ask(target, state, lambda gateway: gateway.reserve(asked.message(), ttl_ms))
    document = as_document(answered)
    if json:
        emit(document)
    else:
        held = [(name, document[name]) for name in ("reservation", "expires_at_ms") if answered.reservation]
        show_decision(document["decision"], *held)
    if not answered.decision.allowed:
        raise typer.Exit(DENIED)


def extend(
    customer: Customer,
    reservation: Reservation,
    ttl: Annotated[int, typer.Option(help="How many seconds from now on.", metavar="S")],
    target: Target = None,
    state: State = STATE,
    json: Json = False,
) -> None:
    """Keep a reservation for longer."""
    _settle(target, state, lambda gateway: gateway.extend(customer, reservation, ttl * MS), json=json)


def commit(
    customer: Customer,
    reservation: Reservation,
    quantity: Annotated[int, typer.Argument(parser=whole, metavar="QUANTITY", show_default=False)],
    target: Target = None,
    state: State = STATE,
    json: Json = False,
) -> None:
    """Say what was really used, and give the rest back."""
    _settle(target, state, lambda gateway: gateway.commit(customer, reservation, quantity), json=json)


def release(
    customer: Customer, reservation: Reservation, target: Target = None, state: State = STATE, json: Json = False
) -> None:
    """Give back all that a reservation holds."""
    _settle(target, state, lambda gateway: gateway.release(customer, reservation), json=json)


def _settle(
    target: str | None,
    state: Any,
    question: Callable[[Gateway], Awaitable[entitlement_pb2.ReservationResponse]],
    *,
    json: bool,
) -> None:
    document = as_document(ask(target, state, question))
    if json:
        emit(document)
        return
    again = " (as before)" if document["replayed"] else ""
    out.print(f"[bold green]{document['state'].lower().replace('_', ' ')}[/]{again}")
    out.print(fields_table([("quantity", grouped(document["quantity"]))]))
