"""The repository around the code: the lock, what tests may not do, and what betrays one developer's machine."""

from __future__ import annotations

import ast
import fnmatch
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.tidy.house import normal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.tidy.source import Source

SKIPS = frozenset(("skip", "skipif", "xfail", "importorskip", "skipIf", "skipUnless", "SkipTest", "expectedFailure"))

MACHINE = re.compile(
    r"(?<![\w.~$}>*-])(/(?:work|root)/[\w.]|/(?:home|Users)/(?!user/|you/|me/|someone/)[a-z_][\w.-]*/)"
)
"""A path below somebody's home or checkout, but not `/home/<user>/`, `/home/you/` or a part of a URL."""


def lock_violations(lock: str, pyproject: Mapping[str, Any]) -> list[str]:
    """Report pins without a hash, whatever names a host, and direct dependencies that are not pinned."""
    found = [
        f"requirements.lock:{number}: {line.strip()!r} names a host or an index"
        for number, line in enumerate(lock.splitlines(), 1)
        if re.search(r"https?:|git\+|file:|(^|\s)(-i|-f|--(extra-)?index-url|--find-links|--trusted-host)\b", line)
    ]
    entries = re.findall(r"^[^\s#].*(?:\n\s.*)*", lock, re.MULTILINE)
    pins = {normal(entry): entry for entry in entries if re.match(r"[A-Za-z0-9._-]+==\S", entry)}
    for entry in entries:
        first = entry.partition("\n")[0]
        if entry not in pins.values():
            found.append(f"requirements.lock: {first!r} is no pin")
        elif "--hash=sha256:" not in entry:
            found.append(f"requirements.lock: {first!r} has no hash")
    return found + [f"requirements.lock: {name} is not pinned" for name in sorted(direct_names(pyproject) - set(pins))]


def direct_names(pyproject: Mapping[str, Any]) -> set[str]:
    """Name what pyproject.toml asks for: at run time, as an extra, in a group, to build."""
    project = pyproject["project"]
    lists = [
        project["dependencies"],
        *project.get("optional-dependencies", {}).values(),
        *pyproject.get("dependency-groups", {}).values(),
        pyproject["build-system"]["requires"],
    ]
    return {normal(text) for asked in lists for text in asked if isinstance(text, str)}


def skipped_tests(sources: Iterable[Source]) -> list[str]:
    """Report whatever lets a test pass without running."""
    found = []
    for source in sources:
        for node in source.nodes():
            match node:
                case ast.Attribute(attr=name) if name in SKIPS and _is_of_a_test_library(node):
                    found.append(f"{source.path}:{node.lineno}: {name}")
                case ast.ImportFrom(module="pytest" | "unittest", names=aliases):
                    found += [f"{source.path}:{node.lineno}: {alias.name}" for alias in aliases if alias.name in SKIPS]
    return found


def _is_of_a_test_library(attribute: ast.Attribute) -> bool:
    return bool({"pytest", "mark", "unittest"} & set(ast.unparse(attribute.value).split(".")))


def machine_paths(path: str, text: str) -> list[str]:
    """Report paths that exist on one machine only."""
    return [
        f"{path}:{number}: {found[0]} is a path of somebody's machine"
        for number, line in enumerate(text.splitlines(), 1)
        if (found := MACHINE.search(line))
    ]


def ignored_names(gitignore: str) -> list[str]:
    """Read a .gitignore whose patterns name files or folders anywhere, as all of ours do."""
    lines = [line.strip().rstrip("/") for line in gitignore.splitlines()]
    return [".git", *(line for line in lines if line and not line.startswith("#"))]


def files(root: Path, ignored: Iterable[str]) -> list[str]:
    """List every file that is or may come to be in git, by its path from the root."""
    found = []
    for folder, subfolders, leaves in os.walk(root):
        subfolders[:] = [name for name in subfolders if not is_ignored(name, ignored)]
        paths = (Path(folder, name) for name in leaves if not is_ignored(name, ignored))
        found += [path.relative_to(root).as_posix() for path in paths if path.is_file()]
    return sorted(found)


def is_ignored(name: str, ignored: Iterable[str]) -> bool:
    """Tell whether a file's or a folder's name matches one of the patterns."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in ignored)
