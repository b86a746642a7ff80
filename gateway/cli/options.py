"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

STATE = Path(".tollkeeper")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output, nothing else.")]
Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", show_default=False)]
Feature = Annotated[str, typer.Argument(metavar="FEATURE", show_default=False)]
State = Annotated[Path, typer.Option("--state", help="The dev gateway's state folder.", metavar="DIR")]
Target = Annotated[
    str | None,
    typer.Option(
        "--target",
        help="Where the gateway is: unix:/path or host:port. Else TOLLKEEPER_TARGET, else the dev state folder.",
        metavar="ADDRESS",
    ),
]
