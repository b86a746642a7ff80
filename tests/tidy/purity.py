"""What the money core may not contain: whatever could wait, look at a clock or lose a cent."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.tidy.source import Source

PURE = frozenset(
    (
        *("__future__", "billing_core", "bisect", "calendar", "collections", "dataclasses", "datetime", "decimal"),
        *("enum", "fractions", "functools", "itertools", "re", "types", "typing"),
    )
)
"""No math (floats), no json, os, time or zoneinfo (they read), no random."""

NAMES = frozenset(("float", "complex", "open", "print", "input", "eval", "exec", "__import__"))
ATTRIBUTES = frozenset(("now", "today", "utcnow", "timestamp", "total_seconds", "fromtimestamp", "as_integer_ratio"))
"""The clock, and what answers in floats."""


def impurities(sources: Iterable[Source]) -> list[str]:
    """Report every import, name, number and operator that has no place in a pure core."""
    return [
        f"{source.path}:{line}: {what} is not pure" for source in sources for line, what in sorted(_impure_in(source))
    ]


def _impure_in(source: Source) -> Iterator[tuple[int, str]]:
    for line, name in source.imports:
        if name.partition(".")[0] not in PURE:
            yield line, f"import {name}"
    for node in source.nodes():
        match node:
            case ast.Name(id=name) if name in NAMES | ATTRIBUTES:
                yield node.lineno, name
            case ast.Attribute(attr=name) if name in NAMES | ATTRIBUTES:
                yield node.lineno, f".{name}"
            case ast.Constant(value=float() | complex() as number):
                yield node.lineno, f"{number}"
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield node.lineno, "/ (division has a name here)"
