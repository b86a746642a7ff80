"""Commands for uses that have happened: one is given back, or a file of them is told."""

from __future__ import annotations

import json as reading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.ask import Customer, whole
from gateway.cli.options import STATE, Json, State, Target
from gateway.cli.reach import ask
from gateway.cli.show import as_document, complain, emit, grouped, out, say
from gateway.errors import InvalidRequestError, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.client import Gateway
    from gateway.v1.usage_pb2 import IngestUsageResponse, UsageRecord

BATCH = 1000
FAULTY = 1


def refund(
    customer: Customer,
    decision: Annotated[str, typer.Argument(metavar="DECISION", show_default=False)],
    quantity: Annotated[
        int | None, typer.Option(parser=whole, help="How much; all that was counted when not given.", metavar="N")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for people.", metavar="TEXT")] = "",
    request_id: Annotated[str, typer.Option(help="The same id refunds once.", metavar="ID")] = "",
    target: Target = None,
    state: State = STATE,
    json: Json = False,
) -> None:
    """Give back what a decision counted, or a part of it, once."""
    from gateway.v1.entitlement_pb2 import RefundUsageRequest

    request = RefundUsageRequest(
        customer=customer, decision_id=decision, quantity=quantity, reason=reason, request_id=request_id
    )
    answered = ask(target, state, lambda gateway: gateway.refund(request))
    if json:
        emit(as_document(answered))
    else:
        again = " before; nothing changed now" if answered.replayed else ""
        out.print(f"[bold green]refunded[/] {grouped(answered.quantity)}{again}")


def ingest(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", show_default=False, exists=True, dir_okay=False, readable=True)
    ],
    target: Target = None,
    state: State = STATE,
    json: Json = False,
) -> None:
    """Tell what was used without having been asked for: a file with one JSON object a line.

    Each has customer, feature and idempotency_key, and may have quantity, at_ms, dimensions and subject. Told again, a
    file counts once. Exits with 1 when a line was not taken; the others were.
    """
    recorded = replayed = 0
    failed: dict[int, str] = {}
    for first, records in _batches(file):
        answered = ask(target, state, partial(_told, records))
        recorded, replayed = recorded + answered.recorded, replayed + answered.replayed
        failed |= {first + place: status.message for place, status in answered.failed_requests.items()}
        say(f"{first + len(records) - 1:,} lines told")
    if json:
        emit({"recorded": recorded, "replayed": replayed, "failed": failed})
    else:
        out.print(f"[bold green]recorded[/] {grouped(recorded)}, known before {grouped(replayed)}")
        for line, why in failed.items():
            complain(f"{file}:{line}: {why}")
    if failed:
        raise typer.Exit(FAULTY)


async def _told(records: list[UsageRecord], gateway: Gateway) -> IngestUsageResponse:
    return await gateway.ingest(records)


def _batches(file: Path) -> Iterator[tuple[int, list[UsageRecord]]]:
    """Read a file in parts, each with the number of its first line."""
    records: list[UsageRecord] = []
    number = 0
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            records.append(_record(f"{file}:{number}", line))
            if len(records) == BATCH:
                yield number - BATCH + 1, records
                records = []
    if records:
        yield number - len(records) + 1, records


def _record(place: str, line: str) -> UsageRecord:
    from gateway.v1.usage_pb2 import UsageRecord

    try:
        said: Any = reading.loads(line)
        return UsageRecord(**said)
    except (ValueError, TypeError) as error:
        expected = "expected a JSON object with customer, feature, idempotency_key and what else a use has"
        raise InvalidRequestError(Violation(place, f"{error}; {expected}")) from error
