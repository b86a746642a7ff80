"""Rooms, floors and doors: where code stands, and what it may import from there."""

from __future__ import annotations

import ast
import re
import sys
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeGuard

from tests.tidy.source import OURS, room_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.tidy.page import Door
    from tests.tidy.source import Source


def differences(said: Iterable[str], built: Iterable[str], what: str) -> list[str]:
    """Report what is only said and what is only built."""
    only_said, only_built = set(said) - set(built), set(built) - set(said)
    return [f"ARCHITECTURE.md: there is no {what} {name}" for name in sorted(only_said)] + [
        f"ARCHITECTURE.md lacks the {what} {name}" for name in sorted(only_built)
    ]


def upward_imports(sources: Iterable[Source], floors: Sequence[Sequence[str]]) -> list[str]:
    """Report imports that do not point to a lower floor; floors are given from the top down."""
    height = {room: -depth for depth, rooms in enumerate(floors) for room in rooms}
    found = []
    for source in sources:
        for line, name in source.imports:
            room = room_of(name)
            if name.partition(".")[0] not in OURS or room == source.room:
                continue
            if room not in height or source.room not in height:
                found.append(f"{source.path}:{line}: {source.room} or {room} has no floor")
            elif height[room] >= height[source.room]:
                found.append(f"{source.path}:{line}: {name} is not below {source.room}")
    return found


def closed_doors(sources: Iterable[Source], doors: Mapping[str, Door]) -> list[str]:
    """Report imports of foreign packages from rooms that may not, packages without a door, and doors nobody uses."""
    found = []
    unused = {(name, room) for name, door in doors.items() for room in door.rooms}
    for source in sources:
        for line, name in source.imports:
            top = name.partition(".")[0]
            if top in sys.stdlib_module_names or room_of(name) == source.room:
                continue
            door = _door_of(name, doors)
            unused.discard((door, source.room))
            if not door and top not in OURS:
                found.append(f"{source.path}:{line}: {name} has no row in Doors")
            elif door and source.room not in doors[door].rooms:
                found.append(f"{source.path}:{line}: {door} may not be imported in {source.room}")
    return found + [f"ARCHITECTURE.md: {room} may import {door} and does not" for door, room in sorted(unused)]


def _door_of(name: str, doors: Iterable[str]) -> str:
    """Find the row that says most about a name; nothing when there is none."""
    matching = [door for door in doors if fnmatchcase(name, door) or fnmatchcase(name, f"{door}.*")]
    return max(matching, key=len, default="")


def dependencies_without_door(project: Mapping[str, Any], doors: Iterable[Door]) -> list[str]:
    """Report runtime dependencies that no door names, and doors to what is no dependency."""
    needed = {normal(requirement) for requirement in project["dependencies"]}
    extras = {normal(text) for extra in project.get("optional-dependencies", {}).values() for text in extra}
    brought = {normal(door.distribution) for door in doors if door.distribution}
    return [f"pyproject.toml: {name} has no row in Doors" for name in sorted(needed - brought)] + [
        f"ARCHITECTURE.md: {name} is no dependency" for name in sorted(brought - needed - extras)
    ]


def declared_order(package: Source) -> list[str]:
    """List the modules of a package in the order that its page declares."""
    told = " ".join((ast.get_docstring(package.tree) or "").split())
    order = re.search(r"imports only those before it: ([\w, ]+)\.", told)
    return [f"{package.module}.{name}" for name in order[1].split(", ")] if order else []


def commands(sources: Iterable[Source]) -> set[str]:
    """Name the commands that are given to typer: `app.command("office")`, `app.add_typer(dev, name="dev")`."""
    found = set()
    for source in sources:
        for node in source.nodes():
            match node:
                case ast.Call(func=ast.Attribute(attr="command"), args=[ast.Constant(str(name)), *_]):
                    found.add(name)
                case ast.Call(func=ast.Attribute(attr="add_typer"), keywords=keywords):
                    found |= {word.value.value for word in keywords if word.arg == "name" and _is_text(word.value)}
    return found


def _is_text(node: ast.expr) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def normal(requirement: str) -> str:
    """Name a requirement as indexes compare it: `PyYAML>=6` is `pyyaml`."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, f"{requirement!r} is no requirement"
    return re.sub(r"[-_.]+", "-", name[0]).lower()
