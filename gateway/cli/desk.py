"""The accountant's desk calculator: price one document, without any store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from billing_core.rating import rate as rate_request
from gateway.catalog_file import parse_rating, write_rating
from gateway.cli.explain import explained
from gateway.cli.options import Json
from gateway.cli.plane import read_text
from gateway.cli.show import charges_table, emit, heading, out


def rate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML or JSON; - reads standard input.")],
    json: Json = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say below the table how each line came about.")] = False,
) -> None:
    """Price a document of prices, fees and usage: one line per price and fee, and their total."""
    request = parse_rating(read_text(file))
    rating = rate_request(request)
    document = write_rating(rating)
    if json:
        emit(document)
        return
    lines = [(line.description, str(line.quantity), line.amount.text()) for line in rating.lines]
    heading(f"{request.period.start:%Y-%m-%d %H:%M} to {request.period.end:%Y-%m-%d %H:%M} (UTC, end excluded)")
    out.print(charges_table(lines, rating.total.text(), request.currency.code))
    for line in rating.lines if explain else ():
        out.print(f"{line.description}: {explained(line)}", soft_wrap=True, markup=False)
