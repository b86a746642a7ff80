"""nghttp2's clients: h2load asks the lane as fast as both can, nghttp in odd ways; `./dev clients` runs it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from gateway.lane.server import tls_context
from tests.certificates import Authority, localhost
from tests.clients.asking import run, until_written
from tests.doors.lane.both import CHECK, TOKEN

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Running
    from tests.doors.lane.both import Doors

CALLS = 5000


@pytest.fixture
def body(tmp_path: Path) -> Path:
    """A request's message with its prefix."""
    message = TOKEN.SerializeToString()
    path = tmp_path / "body"
    path.write_bytes(b"\0" + len(message).to_bytes(4) + message)
    return path


async def loaded(url: str, body: Path, *options: str) -> None:
    """Ask, and see that every call is answered."""
    fields = ("-H", "content-type: application/grpc", "-H", "te: trailers")
    told = await run("h2load", "-n", str(CALLS), *options, *fields, "-d", str(body), url)
    done = re.search(r"requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, 0 failed, 0 errored", told)
    assert done is not None, told
    assert set(done.groups()) == {str(CALLS)}, told
    assert f"status codes: {CALLS} 2xx" in told


@pytest.mark.parametrize(("connections", "streams"), [(1, 1), (4, 16), (64, 1), (2, 1000)])
async def test_every_call_is_answered_and_counted(
    doors: Doors, office: Running, body: Path, connections: int, streams: int
) -> None:
    """Whatever they are spread over, connections or streams."""
    await loaded(f"http://{doors.tcp}{CHECK}", body, "-c", str(connections), "-m", str(streams))
    await until_written(office, CALLS)


async def test_over_a_unix_socket(doors: Doors, office: Running, body: Path) -> None:
    """The same."""
    await loaded(f"http://localhost{CHECK}", body, "-c", "4", "-m", "16", "-B", doors.unix)
    await until_written(office, CALLS)


async def test_over_tls(doors: Doors, office: Running, body: Path, tmp_path: Path) -> None:
    """The same."""
    server = Authority(tmp_path, "ours").issue("server", *localhost())
    address = await doors.over_tls(tls_context(server.certificate, server.key))
    await loaded(f"https://{address}{CHECK}", body, "-c", "4", "-m", "16")
    await until_written(office, CALLS)


@pytest.mark.parametrize("options", [("-w", "8", "-W", "8"), ("--header-table-size", "0")])
async def test_small_windows_and_no_table(doors: Doors, office: Running, body: Path, options: tuple[str, ...]) -> None:
    """Windows of 255 bytes; a client that lets nobody keep a table."""
    await loaded(f"http://{doors.tcp}{CHECK}", body, "-c", "4", "-m", "16", *options)
    await until_written(office, CALLS)


@pytest.mark.parametrize("options", [(), ("--padding=200",), ("--no-dep", "-w", "8", "-W", "8"), ("-m", "20")])
async def test_nghttp_is_answered(doors: Doors, office: Running, body: Path, options: tuple[str, ...]) -> None:
    """nghttp2's other client: padded frames, priorities, small windows, several calls on one connection."""
    fields = ("-H", "content-type: application/grpc", "-H", "te: trailers")
    told = await run(
        "nghttp", "--verbose", "--null-out", *options, *fields, "-d", str(body), f"http://{doors.tcp}{CHECK}"
    )
    count = 20 if "-m" in options else 1
    assert told.count("grpc-status: 0") == count, told
    await until_written(office, count)
