"""Commands that say what is sold and to whom."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.catalog_file import parse_catalog
from gateway.cli.options import STATE, Json, State, Target
from gateway.cli.reach import ask
from gateway.cli.show import as_document, emit, out
from gateway.errors import InvalidRequestError, Violation

File = Annotated[Path, typer.Argument(metavar="FILE", help="A catalog in YAML or JSON.", show_default=False)]


def catalog_validate(file: File, json: Json = False) -> None:
    """Check a catalog file; needs no store. Exits with 2 and every problem, each with its line."""
    catalog = parse_catalog(read_text(file))
    plans = list(catalog.plans)
    if json:
        emit({"product": catalog.product, "plans": plans})
    else:
        out.print(f"[bold green]valid[/] {catalog.product}: {', '.join(plans)}", soft_wrap=True)


def catalog_apply(file: File, target: Target = None, state: State = STATE, json: Json = False) -> None:
    """Apply a catalog file, whole or not at all; plans whose content changed get their next version."""
    source = read_text(file)
    applied = ask(target, state, lambda gateway: gateway.apply_catalog(source))
    if json:
        emit(as_document(applied))
        return
    for plan in applied.plans:
        out.print(f"{plan.name} [{'bold green]new' if plan.created else 'dim]unchanged'}[/]")


def customer_create(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", show_default=False)],
    target: Target = None,
    state: State = STATE,
    json: Json = False,
) -> None:
    """Create a customer."""
    created = ask(target, state, lambda gateway: gateway.create_customer(customer))
    if json:
        emit(as_document(created))
    else:
        out.print(f"[bold green]created[/] {created.name}")


def subscription_create(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", show_default=False)],
    plan: Annotated[str, typer.Argument(metavar="PLAN", show_default=False)],
    target: Target = None,
    state: State = STATE,
    json: Json = False,
) -> None:
    """Put a customer on a plan's newest version."""
    created = ask(target, state, lambda gateway: gateway.create_subscription(customer, plan))
    if json:
        emit(as_document(created))
    else:
        out.print(f"[bold green]created[/] {created.name} on {created.plan_version}")


def read_text(file: Path) -> str:
    """Read a file as UTF-8; `-` is standard input. Raises InvalidRequestError."""
    try:
        return typer.get_text_stream("stdin").read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(Violation(str(file), f"cannot be read ({error}); expected a UTF-8 file")) from error
