"""Commands that say how a customer's subscription stands: add-ons, licences, its trial, its status, its time zone."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from gateway.cli.moments import HELP, METAVAR, moment, shown, told
from gateway.cli.options import STATE, Customer, Feature, Json, State
from gateway.cli.reach import with_records
from gateway.cli.show import emit, grouped, out
from gateway.errors import InvalidRequestError, Violation
from gateway.records.terms import Status

AddOn = Annotated[str, typer.Argument(metavar="ADD_ON", help="As the catalog names it.", show_default=False)]


def addon_set(
    customer: Customer,
    add_on: AddOn,
    quantity: Annotated[int, typer.Argument(metavar="QUANTITY", help="How many of it, in all.")] = 1,
    state: State = STATE,
    json: Json = False,
) -> None:
    """Let a customer have so many of an add-on, whatever it had of it before."""
    from gateway import customer_terms

    with_records(state, lambda connection: customer_terms.set_add_on(connection, customer, add_on, quantity))
    _done(f"{escape(customer)} has {grouped(quantity)} × {escape(add_on)}", json, customer, add_on, quantity)


def addon_remove(customer: Customer, add_on: AddOn, state: State = STATE, json: Json = False) -> None:
    """Take an add-on away."""
    from gateway import customer_terms

    with_records(state, lambda connection: customer_terms.remove_add_on(connection, customer, add_on))
    _done(f"{escape(customer)} has no {escape(add_on)} any more", json, customer, add_on, 0)


def licence_set(
    customer: Customer,
    feature: Feature,
    quantity: Annotated[int, typer.Argument(metavar="QUANTITY", help="How many, in all.", show_default=False)],
    state: State = STATE,
    json: Json = False,
) -> None:
    """Say how many licences a customer has, where its plan leaves that to the subscription."""
    from gateway import customer_terms

    with_records(state, lambda connection: customer_terms.set_licences(connection, customer, feature, quantity))
    if json:
        emit({"customer": customer, "feature": feature, "quantity": quantity})
    else:
        out.print(f"[bold green]set[/] {escape(customer)} has {grouped(quantity)} {escape(feature)}", soft_wrap=True)


def trial_set(
    customer: Customer,
    until: Annotated[str | None, typer.Option("--until", help=f"When it ends: {HELP}.", metavar=METAVAR)] = None,
    end: Annotated[bool, typer.Option("--end", help="It ends now.")] = False,
    state: State = STATE,
    json: Json = False,
) -> None:
    """Say when a customer's trial ends; give either --until or --end."""
    from gateway import customer_terms

    if end == (until is not None):
        given = "both were given" if end else "neither was given"
        raise InvalidRequestError(Violation("--until, --end", f"{given}; expected one of them"))
    ends_at = moment("--until", until)
    at = with_records(state, lambda connection: customer_terms.set_trial(connection, customer, ends_at))
    if json:
        emit({"customer": customer, "trial_ends_at": told(at)})
    else:
        verb = "ended" if end else "ends"
        out.print(f"[bold green]set[/] the trial of {escape(customer)} {verb} {shown(at)} UTC", soft_wrap=True)


def status_set(
    customer: Customer,
    status: Annotated[Status, typer.Argument(metavar="STATUS", help="What it is from now on.", show_default=False)],
    state: State = STATE,
    json: Json = False,
) -> None:
    """Pause, suspend or reactivate a subscription, or say that it is past due; its features say what follows."""
    from gateway import customer_terms

    since = with_records(state, lambda connection: customer_terms.set_status(connection, customer, status))
    if json:
        emit({"customer": customer, "status": status, "since": told(since)})
    else:
        words = status.replace("_", " ")
        out.print(f"[bold green]set[/] {escape(customer)} is {words} since {shown(since)} UTC", soft_wrap=True)


def customer_timezone(
    customer: Customer,
    timezone: Annotated[
        str, typer.Argument(metavar="ZONE", help="An IANA name, such as Europe/Berlin.", show_default=False)
    ],
    state: State = STATE,
    json: Json = False,
) -> None:
    """Say by which clocks a customer's days, weeks and months begin."""
    from gateway import customer_terms

    with_records(state, lambda connection: customer_terms.set_timezone(connection, customer, timezone))
    if json:
        emit({"customer": customer, "timezone": timezone})
    else:
        out.print(f"[bold green]set[/] days of {escape(customer)} begin by {escape(timezone)}", soft_wrap=True)


def _done(words: str, json: bool, customer: str, add_on: str, quantity: int) -> None:
    if json:
        emit({"customer": customer, "add_on": add_on, "quantity": quantity})
    else:
        out.print(f"[bold green]set[/] {words}", soft_wrap=True)
