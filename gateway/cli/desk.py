"""The accountant's desk calculator: price one document, without any store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from billing_core.statement import draw_up
from gateway.catalog_file import parse_rating, write_statement
from gateway.cli.explain import explained
from gateway.cli.options import Json
from gateway.cli.plane import read_text
from gateway.cli.show import emit, heading, out, statement_table


def rate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML or JSON; - reads standard input.")],
    json: Json = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say below the table how each line came about.")] = False,
) -> None:
    """Price a document of one period, and say what is due.

    Prices and usage: currency, period, prices, fees, usage, meters, indexes.
    What of the period: billed, final, timezone, active, proration, seats.
    And then, in this order: grants (of units), commitments, coupons,
    grants (of promotional money), tax, grants (of money that was paid for).
    """
    request = parse_rating(read_text(file))
    statement = draw_up(request)
    if json:
        emit(write_statement(statement))
        return
    period = request.rating.period
    heading(f"{period.start:%Y-%m-%d %H:%M} to {period.end:%Y-%m-%d %H:%M} (UTC, end excluded)")
    out.print(statement_table(statement))
    for line in statement.lines if explain else ():
        out.print(f"{line.description}: {explained(line)}", soft_wrap=True, markup=False)
