"""Sizes, docstrings and names: what a reader meets first."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.tidy.source import Source

FILE_LINES_MAX = 300
FUNCTION_LINES_MAX = 60
BANNED_NAMES = frozenset(("manager", "helper", "util", "base", "impl", "handler"))


def long_files(texts: Mapping[str, str]) -> list[str]:
    """Report files, by path, that hold two ideas."""
    lines = {path: text.count("\n") for path, text in texts.items()}
    return [f"{path}: {count} lines, above {FILE_LINES_MAX}" for path, count in lines.items() if count > FILE_LINES_MAX]


def long_functions(sources: Iterable[Source]) -> list[str]:
    """Report functions that do not fit on a screen."""
    return [
        f"{source.path}:{function.lineno}: {function.name} has {lines} lines, above {FUNCTION_LINES_MAX}"
        for source in sources
        for function in source.functions()
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES_MAX
    ]


def silent_modules(sources: Iterable[Source]) -> list[str]:
    """Report modules that do not begin with one sentence on one line."""
    return [
        f"{source.path}:1: no docstring whose first sentence ends on its first line"
        for source in sources
        if not (ast.get_docstring(source.tree) or "").partition("\n")[0].endswith((".", "?", "!"))
    ]


def silent_tests(sources: Iterable[Source]) -> list[str]:
    """Report tests that do not say in a paragraph what they promise."""
    return [
        f"{source.path}:{function.lineno}: {function.name} has no docstring of one paragraph"
        for source in sources
        for function in source.functions()
        if function.name.startswith("test_")
        if not (told := ast.get_docstring(function)) or "\n\n" in told
    ]


def pages_without_owner(sources: Iterable[Source]) -> list[str]:
    """Report packages whose page does not say both what they own and what they do not."""
    found = []
    for source in sources:
        if source.is_package:
            told = " ".join((ast.get_docstring(source.tree) or "").lower().split())
            if not re.search(r"(?<!not )\bowns?\b", told) or "not own" not in told:
                found.append(f"{source.path}:1: does not say what it owns and does not own")
    return found


def banned_names(sources: Iterable[Source]) -> list[str]:
    """Report classes, functions and modules whose names say that they have no one task."""
    found = []
    for source in sources:
        defined = [(1, source.module.rpartition(".")[2])]
        kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        defined += [(node.lineno, node.name) for node in source.nodes() if isinstance(node, kinds)]
        found += [
            f"{source.path}:{line}: {name} names no task"
            for line, name in defined
            if BANNED_NAMES & {word.removesuffix("s") for word in words(name)}
        ]
    return found


def banned_words(sources: Iterable[Source], banned: Mapping[str, str]) -> list[str]:
    """Report identifiers of Python that say an idea with another word than the glossary."""
    return [
        f"{source.path}:{line}: {identifier}: {instead}"
        for source in sources
        for line, identifier in identifiers(source)
        if (instead := _better(identifier, banned))
    ]


def banned_words_elsewhere(texts: Mapping[str, str], banned: Mapping[str, str]) -> list[str]:
    """Report the same in SQL, Lua and proto files, by path; their comments are prose and free."""
    return [
        f"{path}: {identifier}: {instead}"
        for path, text in texts.items()
        for identifier in sorted(set(re.findall(r"[A-Za-z_]\w*", re.sub(r"(--|//).*", "", text))))
        if (instead := _better(identifier, banned))
    ]


def identifiers(source: Source) -> Iterator[tuple[int, str]]:
    """Yield every name that the file defines or uses."""
    for node in source.nodes():
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                yield node.lineno, name
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name


def words(identifier: str) -> list[str]:
    """Split an identifier: `RateCard`, `rate_card` and `RATE_CARD` are all rate, card."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", identifier)]


def _better(identifier: str, banned: Mapping[str, str]) -> str | None:
    spelled = f"_{'_'.join(words(identifier))}_"
    for word, instead in banned.items():
        if f"_{word}_" in spelled or f"_{word}s_" in spelled:
            return f"not {word} but {instead}"
    return None
