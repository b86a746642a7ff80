"""SQL stays SQL: queries live in `<subject>.sql` beside the Python that calls them, each under its name."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def named(subject: str) -> dict[str, str]:
    """Read every query of a subject by name."""
    text = files("gateway.records").joinpath(f"{subject}.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)
    return {name: query.strip() for name, query in zip(parts[1::2], parts[2::2], strict=True)}
