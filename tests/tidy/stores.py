"""Lua and SQL as files with a contract, and the key names and event fields that they agree on."""

from __future__ import annotations

import ast
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from tests.tidy.source import Source

LUA_SECTIONS = ("KEYS", "ARGV", "RETURNS", "GUARANTEE")
KEYLESS = frozenset(("TIME", "PUBLISH"))


def without_companion(paths: Iterable[str], python: Collection[str]) -> list[str]:
    """Report scripts and queries that do not stand beside their caller of the same stem."""
    companions = {path: str(PurePosixPath(path).with_suffix(".py")) for path in paths}
    return [f"{path}: no {caller} beside it" for path, caller in companions.items() if caller not in python]


def parts(texts: Iterable[str]) -> set[str]:
    """List the scripts that are parts of others: each stands beside the one that includes it."""
    return {name for text in texts for name in re.findall(r"^-- include (\S+)$", text, re.MULTILINE)}


def lua_violations(path: str, text: str) -> list[str]:
    """Report what is missing in a script's header, and keys that do not come in through KEYS."""
    head = re.match(r"(?:--.*\n)*", text)
    header = [line.removeprefix("--").strip() for line in head[0].splitlines()] if head else []
    found = [] if header and header[0].endswith(".") else [f"{path}: the first line is no comment of one sentence"]
    starts = [next((at for at, line in enumerate(header) if line.startswith(name)), -1) for name in LUA_SECTIONS]
    missing = [name for name, at in zip(LUA_SECTIONS, starts, strict=True) if at < 0]
    found += [f"{path}: the header has no section {name}" for name in missing]
    if not missing and starts != sorted(starts):
        found.append(f"{path}: the header's sections are not in the order {', '.join(LUA_SECTIONS)}")
    elif not missing:
        for name, start, end in zip(("KEYS", "ARGV"), starts, starts[1:], strict=False):
            told = set(re.findall(r"\d+", " ".join(header[start:end])))
            used = set(re.findall(rf"\b{name}\[(\d+)\]", _lua_code(text)))
            found += [f"{path}: {name}[{index}] is not in the header" for index in sorted(used - told)]
    return found + _undeclared_keys(path, _lua_code(text))


def _undeclared_keys(path: str, code: str) -> list[str]:
    found = []
    for call in re.finditer(r"redis\.p?call\s*\(\s*([^,)]+)(?:,\s*([^,)]+))?", code):
        command, key = call[1].strip(), (call[2] or "").strip()
        if not re.fullmatch(r"'[A-Z]+'|\"[A-Z]+\"", command):
            found.append(f"{path}: redis.call({command}: the command is no literal")
        elif command[1:-1] not in KEYLESS and not re.fullmatch(r"KEYS\[[\w.]+(?: \+ \d)?\]", key):
            found.append(f"{path}: redis.call({command}, {key}: the key does not come from KEYS")
    return found


def _lua_code(text: str) -> str:
    return re.sub(r"--.*", "", text)


def query_violations(path: str, text: str) -> list[str]:
    """Report queries without a name of their own or a description, and names that do not stand for one statement."""
    before, *parts = re.split(r"^-- name:(.*)\n", text, flags=re.MULTILINE)
    found = [f"{path}: a statement stands before the first `-- name:`"] if before.strip() else []
    named = [name.strip() for name in parts[::2]]
    found += [f"{path}: {name!r} is no snake_case name" for name in named if not re.fullmatch(r"[a-z][a-z0-9_]*", name)]
    found += [f"{path}: {name} is named twice" for name in sorted(set(named)) if named.count(name) > 1]
    for name, query in zip(named, parts[1::2], strict=True):
        first, _, rest = query.partition("\n")
        if not re.match(r"-- \S", first):
            found.append(f"{path}: {name} is not described in the line below its name")
        statement = re.sub(r"--.*|'[^']*'", "", rest).strip().removesuffix(";")
        if not statement or ";" in statement:
            found.append(f"{path}: {name} does not hold one statement")
    return found if named else [*found, f"{path}: no query has a name"]


def migration_violations(texts: Mapping[str, str]) -> list[str]:
    """Report migrations, by file name, that are misnamed, leave a gap or do not begin with what they bring."""
    found = [f"{name}: expected NNNN_name.sql" for name in texts if not re.fullmatch(r"\d{4}_[a-z0-9_]+\.sql", name)]
    numbers = sorted(name[:4] for name in texts)
    expected = [f"{number:04}" for number in range(1, len(texts) + 1)]
    if not found and numbers != expected:
        found.append(f"migrations are numbered {', '.join(numbers)}; expected {', '.join(expected)}")
    return found + [f"{name}: does not begin with a comment" for name, text in texts.items() if text[:3] != "-- "]


def key_patterns(source: Source) -> dict[str, str]:
    """Map functions that name a key to the pattern in their docstring, which stands in double backticks."""
    told = {function.name: ast.get_docstring(function) or "" for function in source.functions()}
    return {name: match[1] for name, text in told.items() if (match := re.search(r"``([^`\s]+:[^`\s]+)``", text))}


def channels(source: Source) -> list[str]:
    """List the names of channels: the constants of a module that have a colon in them."""
    return [
        node.value.value
        for node in source.tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        and ":" in node.value.value
    ]


def calls_of(script: str, command: str) -> list[str]:
    """List the calls of a command in a script."""
    return re.findall(rf"redis\.call\('{command}'.*\)", _lua_code(script))


def entry_fields(script: str) -> list[str]:
    """List the fields that a script's XADD writes, in order."""
    call = re.search(r"'XADD',\s*KEYS\[\d+\],\s*'\*',(.*?)\)", _lua_code(script))
    return re.findall(r"'(\w+)'\s*,", call[1]) if call else []


def struct_fields(source: Source, name: str) -> list[str]:
    """List the annotated fields of a class, in order."""
    return [
        field.target.id
        for node in source.nodes()
        if isinstance(node, ast.ClassDef) and node.name == name
        for field in node.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    ]
