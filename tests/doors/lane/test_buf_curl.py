"""`buf curl`, a client in Go that writes and reads JSON, asks the lane; what it needs to know stands in a file."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import sysconfig
from typing import TYPE_CHECKING, Any

import pytest
from google.rpc.error_details_pb2 import BadRequest
from grpc_health.v1 import health_pb2

from gateway.lane.server import tls_context
from gateway.v1 import entitlement_pb2
from tests.certificates import Authority, localhost
from tests.clients.asking import described
from tests.doors.lane.both import BATCH, CHECK, HEALTH

if TYPE_CHECKING:
    from pathlib import Path

    from tests.doors.lane.both import Doors

TOKEN = {"customer": "acme", "feature": "input_tokens"}


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that describes the services."""
    return described(tmp_path_factory.mktemp("schema") / "services.binpb", entitlement_pb2, health_pb2)


async def curl(schema: Path, url: str, request: Any, *options: str) -> tuple[int, Any, Any]:
    """Ask; returns the exit code and what came on standard output and standard error, JSON already read."""
    program = shutil.which("buf", path=os.pathsep.join((sysconfig.get_path("scripts"), os.environ["PATH"])))
    assert program is not None, "there is no buf; expected one in the environment or on PATH"
    environment = os.environ | {"HOME": str(schema.parent), "XDG_CACHE_HOME": str(schema.parent)}
    options = ("--schema", str(schema), "--protocol", "grpc", *options, "--data", json.dumps(request), url)
    process = await asyncio.create_subprocess_exec(
        program, "curl", *options, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    told, complained = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, *(json.loads(said) if said.startswith(b"{") else said for said in (told, complained))


CLEARTEXT = "--http2-prior-knowledge"


async def test_it_is_answered_over_tcp_a_socket_and_tls(doors: Doors, schema: Path, tmp_path: Path) -> None:
    """A check of each kind of feature, a batch, health; denials are answers."""
    code, decision, _ = await curl(schema, f"http://{doors.tcp}{CHECK}", {**TOKEN, "quantity": 7}, CLEARTEXT)
    assert (code, decision["allowed"], decision["used"], decision["remaining"]) == (0, True, "7", "999993")
    claims = [TOKEN, {**TOKEN, "feature": "max_seats"}, {**TOKEN, "quantity": 1_000_000}]
    socket = ("--unix-socket", doors.unix.removeprefix("unix:"))
    code, batch, _ = await curl(schema, f"http://localhost{BATCH}", {"claims": claims}, CLEARTEXT, *socket)
    assert code == 0
    assert [one.get("allowed") for one in batch["decisions"]] == [True, True, None]
    assert (batch["decisions"][1]["value"], batch["decisions"][2]["reason"]) == ("5", "QUOTA_EXCEEDED")
    authority = Authority(tmp_path, "ours")
    server = authority.issue("server", *localhost())
    address = await doors.over_tls(tls_context(server.certificate, server.key))
    code, health, _ = await curl(schema, f"https://{address}{HEALTH}/Check", {}, "--cacert", authority.file)
    assert (code, health) == (0, {"status": "SERVING"})


async def test_it_understands_an_error_and_its_details(doors: Doors, schema: Path) -> None:
    """The code decides its exit status; the field violation is there to be read."""
    code, _, told = await curl(schema, f"http://{doors.tcp}{CHECK}", {**TOKEN, "customer": "é"}, CLEARTEXT)
    assert (code, told["code"]) == (3 * 8, "invalid_argument")
    kinds = [detail["type"] for detail in told["details"]]
    assert kinds == ["google.rpc.ErrorInfo", "google.rpc.BadRequest"]
    wrong = BadRequest.FromString(base64.b64decode(told["details"][1]["value"] + "=="))
    assert [violation.field for violation in wrong.field_violations] == ["customer"]
