"""One story, played against a real gateway on real stores: allowed, used up, denied, written down, charged."""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.options import Json
from gateway.cli.show import as_document, charges_document, charges_table, emit, grouped, heading, out, say, table
from gateway.cli.stores import dev_gateway
from gateway.errors import StoreUnavailableError

if TYPE_CHECKING:
    from gateway.client import Gateway
    from gateway.v1.invoice_pb2 import Invoice

CUSTOMER, PLAN = "acme", "developer"

STORY = (
    ("max_seats", 1, "how many seats does the plan have?"),
    ("priority_queue", 1, "may they skip the queue?"),
    ("requests", 1, "one of a hundred requests a minute"),
    ("input_tokens", 400_000, "a long document goes in"),
    ("output_tokens", 120_000, "an answer comes out"),
    ("input_tokens", 550_000, "a longer one"),
    ("input_tokens", 75_000, "more than is left of the month's million"),
    ("input_tokens", 50_000, "exactly what is left"),
    ("input_tokens", 1, "one more"),
)
"""(feature, quantity, what it is about)."""

FLUSH_S_MAX = 5.0


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the gateway serving until Ctrl-C.")] = False,
    json: Json = False,
) -> None:
    """Play the main job on stores of its own: checks, a limit met, usage written down, charges."""
    from gateway import app

    app.run(_play(_Told(json=json), keep=keep), quiet=True)


@dataclass(slots=True)
class _Told:
    """What the story has shown so far; every number in it was read from the running gateway."""

    json: bool
    started_s: float = 0.0
    decisions: list[dict[str, Any]] = field(default_factory=list)
    used: dict[str, int] = field(default_factory=dict)


async def _play(told: _Told, *, keep: bool) -> None:
    from gateway import app
    from gateway.client import Gateway

    told.started_s = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="tk-demo-") as folder:
        async with dev_gateway(Path(folder) / "state") as office, Gateway(office.listen[0]) as gateway:
            await gateway.create_customer(CUSTOMER)
            await gateway.create_subscription(CUSTOMER, PLAN)
            await _check(gateway, told)
            usage = await _written(gateway, told)
            invoice = await gateway.charges(CUSTOMER)
            _show(told, usage, invoice)
            if keep:
                say(f"serving on {office.listen[0]}; stop with Ctrl-C")
                await app.until_told_to_stop()
            say("stopping")


async def _check(gateway: Gateway, told: _Told) -> None:
    for feature, quantity, about in STORY:
        decision = as_document(await gateway.check(CUSTOMER, feature, quantity))
        if not told.decisions:
            say(f"first check answered {time.perf_counter() - told.started_s:.1f} s after the start")
        shown = {name: decision[name] for name in ("allowed", "reason", "remaining", "upgrade_plans")}
        told.decisions.append({"feature": feature, "quantity": quantity, **shown})
        if decision["allowed"] and decision["used"] is not None:
            told.used[feature] = decision["used"]
        if not told.json:
            _line(feature, quantity, about, decision)


def _line(feature: str, quantity: int, about: str, decision: dict[str, Any]) -> None:
    shown = "[bold green]allowed[/]" if decision["allowed"] else f"[bold red]denied[/] {decision['reason']}"
    if decision["value"]:
        shown += f", value {decision['value']}"
    if decision["remaining"] is not None:
        shown += f", {grouped(decision['remaining'])} left"
    if decision["upgrade_plans"]:
        shown += f", [yellow]upgrade to {' or '.join(decision['upgrade_plans'])}[/]"
    out.print(f"[dim]{about}[/]", soft_wrap=True)
    out.print(f"  check {CUSTOMER} {feature} {grouped(quantity)} → {shown}", soft_wrap=True)


async def _written(gateway: Gateway, told: _Told) -> dict[str, int]:
    """Wait until what was counted is in Postgres."""
    say("waiting until the usage is written to Postgres")
    until = time.perf_counter() + FLUSH_S_MAX
    while True:
        usage = {one.meter: one.quantity for one in (await gateway.usage(CUSTOMER)).usage}
        if all(usage[meter] == told.used.get(meter, 0) for meter in usage):
            return usage
        if time.perf_counter() > until:
            raise StoreUnavailableError(f"what was counted is not written down after {FLUSH_S_MAX:g} s: {usage}")
        await asyncio.sleep(0.02)


def _show(told: _Told, usage: dict[str, int], invoice: Invoice) -> None:
    charges = charges_document(invoice)
    if told.json:
        bare = [{name: line[name] for name in ("description", "quantity", "amount")} for line in charges["lines"]]
        emit({"decisions": told.decisions, "usage": usage, "charges": bare, "total": charges["total"]})
        return
    out.print()
    rows = [(meter, grouped(quantity)) for meter, quantity in usage.items()]
    heading(f"Usage of {CUSTOMER}, as written to Postgres")
    out.print(table([("Meter", "left"), ("Quantity", "right")], rows))
    out.print()
    lines = [(line["description"], line["quantity"], line["amount"]) for line in charges["lines"]]
    heading(f"Charges of {CUSTOMER} on {PLAN}, this billing period")
    out.print(charges_table(lines, charges["total"], invoice.total.currency_code))
