"""Commands that give one customer more or other than its plan: grants, and overrides."""

from __future__ import annotations

import json as texts
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from gateway.cli.moments import HELP, METAVAR, moment, shown, told
from gateway.cli.options import STATE, Customer, Feature, Json, State
from gateway.cli.reach import with_records
from gateway.cli.show import emit, grouped, out, say, table
from gateway.records.grants import GrantKind, NewGrant

if TYPE_CHECKING:
    from gateway.records.grants import Grant
    from gateway.records.terms import Override

NUMBER_MAX = 2**63 - 1

Expires = Annotated[str | None, typer.Option("--expires", help=f"When it is over: {HELP}.", metavar=METAVAR)]


def grant_add(
    customer: Customer,
    feature: Feature,
    amount: Annotated[int, typer.Argument(metavar="AMOUNT", help="How much, in the meter's unit.", show_default=False)],
    kind: Annotated[
        GrantKind, typer.Option(help="top_up: paid for; promotional: given away, and burned first.")
    ] = GrantKind.TOP_UP,
    priority: Annotated[int, typer.Option(help="0 to 255; the lower one burns first.", metavar="N")] = 100,
    effective: Annotated[
        str | None, typer.Option("--effective", help=f"From when on, if not at once: {HELP}.", metavar=METAVAR)
    ] = None,
    expires: Expires = None,
    state: State = STATE,
    json: Json = False,
) -> None:
    """Let a customer use so much more of a metered feature, once."""
    from gateway import customer_terms

    new = NewGrant(feature, amount, kind, priority, moment("--effective", effective), moment("--expires", expires))
    made = with_records(state, lambda connection: customer_terms.add_grant(connection, customer, new))
    if json:
        emit(_document(made))
    else:
        out.print(
            f"[bold green]granted[/] {made.grant_id}: {grouped(amount)} {escape(feature)} for {escape(customer)}",
            soft_wrap=True,
        )


def grant_list(customer: Customer, state: State = STATE, json: Json = False) -> None:
    """List every grant that a customer was ever given."""
    from gateway.records import grants, terms

    async def listing(connection: Any) -> list[Grant]:
        await terms.read(connection, customer)
        return await grants.every(connection, customer)

    listed = with_records(state, listing)
    if json:
        emit([_document(one) for one in listed])
        return
    if not listed:
        say(f"{customer} was given none")
        return
    sides = {"Amount": "right", "Priority": "right"}
    columns = ("Id", "Feature", "Amount", "Kind", "Priority", "Effective", "Expires", "Created", "Voided")
    out.print(table([(column, sides.get(column, "left")) for column in columns], map(_row, listed)))


def grant_void(
    number: Annotated[
        int, typer.Argument(metavar="ID", help="As `grant list` shows it.", show_default=False, min=1, max=NUMBER_MAX)
    ],
    state: State = STATE,
    json: Json = False,
) -> None:
    """Take away what is left of a grant; what was used of it stays used."""
    from gateway import customer_terms

    voided = with_records(state, lambda connection: customer_terms.void_grant(connection, number))
    if json:
        emit({"id": number, "voided": voided})
    else:
        out.print(f"[bold green]voided[/] {number}" if voided else f"{number} was voided before")


def override_set(
    customer: Customer,
    feature: Feature,
    entitlement: Annotated[
        str,
        typer.Argument(
            metavar="ENTITLEMENT",
            help="As the catalog says it: true, 12, '{limit: 5000, window: month}'.",
            show_default=False,
        ),
    ],
    expires: Expires = None,
    state: State = STATE,
    json: Json = False,
) -> None:
    """Give a customer an entitlement of its own, whole, in place of its plan's."""
    from gateway import customer_terms

    until = moment("--expires", expires)
    made = with_records(
        state, lambda connection: customer_terms.set_override(connection, customer, feature, entitlement, until)
    )
    if json:
        emit(_override_document(made))
    else:
        out.print(
            f"[bold green]overridden[/] {escape(feature)} for {escape(customer)}: {escape(made.entitlement)}",
            soft_wrap=True,
        )


def override_list(customer: Customer, state: State = STATE, json: Json = False) -> None:
    """List what a customer has instead of what its plan says."""
    from gateway.records import overrides, terms

    async def listing(connection: Any) -> list[Override]:
        await terms.read(connection, customer)
        return await overrides.every(connection, customer)

    listed = with_records(state, listing)
    if json:
        emit([_override_document(one) for one in listed])
        return
    if not listed:
        say(f"{customer} has none: its plan says what it may do")
        return
    columns = [(column, "left") for column in ("Feature", "Entitlement", "Expires")]
    out.print(table(columns, ([one.feature, one.entitlement, shown(one.expires_at)] for one in listed)))


def override_remove(customer: Customer, feature: Feature, state: State = STATE, json: Json = False) -> None:
    """Let the plan's entitlement hold again."""
    from gateway import customer_terms

    with_records(state, lambda connection: customer_terms.remove_override(connection, customer, feature))
    if json:
        emit({"customer": customer, "feature": feature, "removed": True})
    else:
        out.print(f"[bold green]removed[/] the override of {escape(feature)} for {escape(customer)}", soft_wrap=True)


def _document(one: Grant) -> dict[str, Any]:
    return {
        "id": one.grant_id,
        "customer": one.customer,
        "feature": one.feature,
        "amount": one.amount,
        "kind": one.kind,
        "priority": one.priority,
        "effective_at": told(one.effective_at),
        "expires_at": told(one.expires_at),
        "created_at": told(one.created_at),
        "voided_at": told(one.voided_at),
    }


def _row(one: Grant) -> list[str]:
    moments = (one.effective_at, one.expires_at, one.created_at, one.voided_at)
    numbers = [str(one.grant_id), one.feature, grouped(one.amount), one.kind.replace("_", " "), str(one.priority)]
    return numbers + [shown(at) for at in moments]


def _override_document(one: Override) -> dict[str, Any]:
    entitlement = texts.loads(one.entitlement)
    return {"feature": one.feature, "entitlement": entitlement, "expires_at": told(one.expires_at)}
