"""One Python file as text and as a tree, and what it imports, wherever in it the import stands."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = ("gateway", "billing_core")
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Import(NamedTuple):
    """One imported name, in full: `from gateway import errors` imports `gateway.errors`."""

    line: int
    name: str


@dataclass(frozen=True)
class Source:
    """A file of Python by its path from the root of the repository."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax."""
        return ast.parse(self.text, self.path)

    @property
    def is_package(self) -> bool:
        """Whether it is the page of a package."""
        return self.path.endswith("__init__.py")

    @property
    def module(self) -> str:
        """Its dotted name."""
        path = PurePosixPath(self.path)
        return ".".join((path.parent if self.is_package else path.with_suffix("")).parts)

    @property
    def room(self) -> str:
        """The room it stands in."""
        return room_of(self.module)

    def nodes(self) -> Iterator[ast.AST]:
        """Yield every node, those in function bodies and TYPE_CHECKING blocks too."""
        return ast.walk(self.tree)

    def functions(self) -> list[Function]:
        """List every function and method, nested ones too."""
        return [node for node in self.nodes() if isinstance(node, Function)]

    @cached_property
    def imports(self) -> list[Import]:
        """Everything imported, by statement or by a literal name handed to `import_module`."""
        found = []
        for node in self.nodes():
            match node:
                case ast.Import(names=aliases):
                    found += [Import(node.lineno, alias.name) for alias in aliases]
                case ast.ImportFrom(names=aliases):
                    found += [Import(node.lineno, f"{self._origin(node)}.{alias.name}") for alias in aliases]
                case ast.Call(
                    func=ast.Name("import_module" | "__import__") | ast.Attribute(attr="import_module"),
                    args=[ast.Constant(str(name)), *_],
                ):
                    found.append(Import(node.lineno, name))
        return found

    def _origin(self, node: ast.ImportFrom) -> str:
        """Resolve `from . import x` against the package this module is in."""
        if not node.level:
            return node.module or ""
        package = self.module.split(".") if self.is_package else self.module.split(".")[:-1]
        outer = package[: len(package) - node.level + 1]
        return ".".join([*outer, *([node.module] if node.module else [])])


def room_of(name: str) -> str:
    """Name the module or folder right under `gateway` or `billing_core` that holds a name."""
    return ".".join(name.split(".")[:2])
