"""h2spec, the public suite for HTTP/2 servers, finds nothing wrong with the lane; `./dev clients` runs it where it is.

`tests/doors/lane/test_conformance.py` has a row of our own for each of its cases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.lane.server import tls_context
from tests.certificates import Authority, localhost
from tests.clients.asking import run
from tests.doors.lane.both import CHECK

if TYPE_CHECKING:
    from pathlib import Path

    from tests.doors.lane.both import Doors

EACH_CASE = ("--strict", "--timeout", "5")


async def conforming(address: str, *options: str) -> None:
    """Run the suite; it ends with another status than 0 when a case fails."""
    host, _, port = address.rpartition(":")
    told = await run("h2spec", "--host", host, "--port", port, *EACH_CASE, *options)
    assert "146 tests, 146 passed, 0 skipped, 0 failed" in told


@pytest.mark.parametrize("path", ["/", CHECK])
async def test_every_case_passes(doors: Doors, path: str) -> None:
    """Whether what it asks for is a method of ours or nothing at all."""
    await conforming(doors.tcp, "--path", path)


async def test_every_case_passes_over_tls(doors: Doors, tmp_path: Path) -> None:
    """The same."""
    server = Authority(tmp_path, "ours").issue("server", *localhost())
    address = await doors.over_tls(tls_context(server.certificate, server.key))
    await conforming(address, "--tls", "--insecure")
