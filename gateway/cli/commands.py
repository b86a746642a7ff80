"""Every command under its name; what goes wrong becomes one line and an exit code here."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from billing_core.errors import BillingError
from gateway.cli import afterwards, ask, demo, desk, doctor, extras, hold, journal, keys, plane, stores, subscriptions
from gateway.cli.show import complain, out
from gateway.errors import (
    AlreadyExistsError,
    InvalidRequestError,
    NotFoundError,
    PreconditionError,
    TollkeeperError,
)
from gateway.settings import SettingsError

MISUSE, FAULT = 2, 1
MISTAKES = (AlreadyExistsError, InvalidRequestError, NotFoundError, PreconditionError)
"""Asking differently would help."""


def version(show: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False) -> None:
    """An entitlement and quota gateway: it says whether this customer may use this feature now."""
    if show:
        from importlib.metadata import version as installed

        out.print(f"tollkeeper {installed('tollkeeper')}")
        raise typer.Exit


app = typer.Typer(
    name="tollkeeper",
    callback=version,
    invoke_without_command=True,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
dev = typer.Typer(help=stores.dev.__doc__, invoke_without_command=True)
dev.callback()(stores.dev)
dev.command("reset")(stores.dev_reset)
catalog = typer.Typer(help="What is sold: check a catalog file, or apply it.", no_args_is_help=True)
catalog.command("validate")(plane.catalog_validate)
catalog.command("apply")(plane.catalog_apply)
customer = typer.Typer(help="Whom it is sold to.", no_args_is_help=True)
customer.command("create")(plane.customer_create)
customer.command("timezone")(subscriptions.customer_timezone)
subscription = typer.Typer(help="Which plan a customer is on.", no_args_is_help=True)
subscription.command("create")(plane.subscription_create)
grant = typer.Typer(help="What one customer may use besides its plan.", no_args_is_help=True)
grant.command("add")(extras.grant_add)
grant.command("list")(extras.grant_list)
grant.command("void")(extras.grant_void)
override = typer.Typer(help="What one customer has instead of what its plan says.", no_args_is_help=True)
override.command("set")(extras.override_set)
override.command("list")(extras.override_list)
override.command("remove")(extras.override_remove)
addon = typer.Typer(help="Which add-ons a customer has.", no_args_is_help=True)
addon.command("set")(subscriptions.addon_set)
addon.command("remove")(subscriptions.addon_remove)
licence = typer.Typer(help="How many licences a customer has.", no_args_is_help=True)
licence.command("set")(subscriptions.licence_set)
trial = typer.Typer(help="When a customer's trial ends.", no_args_is_help=True)
trial.command("set")(subscriptions.trial_set)
status = typer.Typer(help="How a customer's subscription stands.", no_args_is_help=True)
status.command("set")(subscriptions.status_set)
key = typer.Typer(help="Who may call: API keys and client certificates.", no_args_is_help=True)
key.command("create")(keys.key_create)
key.command("list")(keys.key_list)
key.command("revoke")(keys.key_revoke)

TRY, SELL, RUN = "Try", "Sell", "Run"
app.command("demo", rich_help_panel=TRY)(demo.demo)
app.add_typer(dev, name="dev", rich_help_panel=TRY)
app.command("check", rich_help_panel=TRY)(ask.check)
app.command("reserve", rich_help_panel=TRY)(hold.reserve)
app.command("extend", rich_help_panel=TRY)(hold.extend)
app.command("commit", rich_help_panel=TRY)(hold.commit)
app.command("release", rich_help_panel=TRY)(hold.release)
app.command("refund", rich_help_panel=SELL)(afterwards.refund)
app.command("ingest", rich_help_panel=SELL)(afterwards.ingest)
app.command("usage", rich_help_panel=TRY)(ask.usage)
app.command("charges", rich_help_panel=TRY)(ask.charges)
app.command("rate", rich_help_panel=TRY)(desk.rate)
app.add_typer(catalog, name="catalog", rich_help_panel=SELL)
app.add_typer(customer, name="customer", rich_help_panel=SELL)
app.add_typer(subscription, name="subscription", rich_help_panel=SELL)
app.add_typer(grant, name="grant", rich_help_panel=SELL)
app.add_typer(override, name="override", rich_help_panel=SELL)
app.add_typer(addon, name="addon", rich_help_panel=SELL)
app.add_typer(licence, name="licence", rich_help_panel=SELL)
app.add_typer(trial, name="trial", rich_help_panel=SELL)
app.add_typer(status, name="status", rich_help_panel=SELL)
app.add_typer(key, name="key", rich_help_panel=RUN)
app.command("sidecar", rich_help_panel=RUN)(stores.sidecar)
app.command("office", rich_help_panel=RUN)(stores.office)
app.command("migrate", rich_help_panel=RUN)(stores.migrate)
app.command("doctor", rich_help_panel=RUN)(doctor.doctor)
app.command("journal", rich_help_panel=RUN)(journal.journal)


def main() -> None:
    """Run the command line; exits with 0, 1, 2 or 3."""
    try:
        app()
    except (SettingsError, BillingError, *MISTAKES) as error:
        complain(str(error))
        sys.exit(MISUSE)
    except UnicodeEncodeError:  # the shell hands over bytes that are no text; no message takes them
        complain("an argument is not valid UTF-8")
        sys.exit(MISUSE)
    except TollkeeperError as error:
        complain(str(error))
        sys.exit(MISUSE if getattr(error, "misuse", False) else FAULT)
