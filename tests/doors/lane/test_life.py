"""From listening to the last goodbye: places, TLS, timeouts, and a stop that answers what is under way."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hyperframe import frame as hyper

from gateway.errors import PreconditionError
from gateway.lane.limits import Limits
from gateway.lane.server import tls_context
from gateway.listening import listen
from tests.doors.lane.wire import (
    ACK,
    NO_ERROR,
    PING,
    PREFACE,
    REFUSED,
    Peer,
    fields_of,
    raw,
    serving,
    settings,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.doors.lane.wire import Served

HOLD = fields_of("/test/Hold")
QUICK = {"look_s": 0.02}


async def until_goaway(peer: Peer) -> hyper.GoAwayFrame:
    """Wait for the next GOAWAY."""
    while not isinstance(found := await peer.hear(), hyper.GoAwayFrame):
        assert found is not None
    return found


async def test_a_stop_answers_what_is_under_way(short_folder: Path) -> None:
    """It says that it goes, still takes what was sent before that was heard, then takes nothing, answers and closes."""
    async with serving(short_folder) as served, served.peer() as peer:
        peer.send(peer.request(1, b"x", HOLD))
        await peer.silence()
        stopping = asyncio.create_task(served.door.stop())
        assert (await until_goaway(peer)).last_stream_id == 2**31 - 1
        ping = await peer.hear()
        assert isinstance(ping, hyper.PingFrame)
        peer.send(raw(PING, ACK, 0, b"leaving!"))  # is no answer to what it was asked
        peer.send(peer.request(3, b"x", HOLD), raw(PING, ACK, 0, ping.opaque_data), peer.request(5, b"x", HOLD))
        assert (await until_goaway(peer)).last_stream_id == 3
        assert await peer.reset_of(5) == REFUSED
        with pytest.raises(ConnectionError):
            await asyncio.open_unix_connection(served.address.removeprefix("unix:"))
        served.held[0].answer(b"first")
        assert (await peer.answer(1)).message == b"first"
        assert not stopping.done()
        served.held[1].answer(b"last")
        assert (await peer.answer(3)).message == b"last"
        assert await peer.end() == NO_ERROR
        await stopping
        assert not served.lane.connections


async def test_a_stop_does_not_wait_for_ever(short_folder: Path) -> None:
    """Who does not answer the goodbye, or whose call nobody answers, is cut off after the grace."""
    async with serving(short_folder) as served, served.peer() as peer, served.peer(b"", greeting=b"") as silent:
        peer.send(peer.request(1, b"x", HOLD))
        await peer.silence()
        begun_s = served.lane.loop.time()
        await served.door.stop()
        assert 1 <= served.lane.loop.time() - begun_s < 2
        assert served.held[0].over or not served.lane.connections
        await peer.end()
        assert await silent.end() == NO_ERROR


async def test_an_idle_connection_is_told_goodbye(short_folder: Path) -> None:
    """PINGs do not keep it; a call does, and time begins again with its end."""
    async with serving(short_folder, Limits(idle_s=0.2, **QUICK)) as served, served.peer() as peer:
        begun_s = served.lane.loop.time()
        peer.send(peer.request(1, b"x", HOLD))
        await peer.silence()
        while served.lane.loop.time() - begun_s < 0.3:
            await asyncio.sleep(0.02)
            await peer.silence()
        served.held[0].answer(b"")
        await peer.answer(1)
        answered_s = served.lane.loop.time()
        assert (await until_goaway(peer)).last_stream_id == 2**31 - 1
        assert served.lane.loop.time() - answered_s >= 0.15
        await peer.echoes(3)  # it crossed the goodbye on its way
        peer.send(raw(PING, ACK, 0, b"leaving?"))
        assert (await until_goaway(peer)).last_stream_id == 3
        assert await peer.end() == NO_ERROR


async def test_who_does_not_answer_the_goodbye_is_left(short_folder: Path) -> None:
    """An idle connection whose peer is gone without a word is closed all the same."""
    limits = Limits(idle_s=0.1, farewell_s=0.1, **QUICK)
    async with serving(short_folder, limits) as served, served.peer() as peer:
        await peer.end()
        assert not served.lane.connections


@pytest.mark.parametrize("said", [b"", PREFACE[:10], PREFACE, PREFACE + settings()[:5]])
async def test_who_never_gets_to_the_point_is_left(short_folder: Path, said: bytes) -> None:
    """Without preface and SETTINGS a connection is closed soon."""
    async with serving(short_folder, Limits(preface_s=0.1, **QUICK)) as served, served.peer(said, greeting=b"") as peer:
        begun_s = served.lane.loop.time()
        await peer.end()
        assert 0.05 <= served.lane.loop.time() - begun_s < 2
        assert not served.lane.connections


async def test_a_connection_too_many_is_closed(short_folder: Path) -> None:
    """Those that are there stay."""
    async with serving(short_folder, Limits(connections_max=1)) as served, served.peer() as peer:
        await peer.echoes(1)
        async with served.peer() as other:
            assert await other.end() is None
        await peer.echoes(3)


async def test_a_bug_costs_one_connection(served: Served, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """INTERNAL_ERROR without a word of what it was; everybody else is served."""
    await peer.echoes(1)
    streams = type(next(iter(served.lane.connections))._session.streams)
    async with served.peer() as other:
        await other.echoes(1)
        with monkeypatch.context() as broken:
            broken.setattr(streams, "data", lambda *_: 1 / 0)
            peer.send(peer.request(3))
            assert await peer.end() == 2
        await other.echoes(3)
    last = peer.heard[-1]
    assert isinstance(last, hyper.GoAwayFrame)
    assert last.additional_data == b"internal error"


# places


async def test_tcp_is_a_place(served: Served) -> None:
    """A lane listens wherever a socket does."""
    bound = await served.door.serve(listen("127.0.0.1:0")[0], lambda _: None)
    peer = Peer(*await asyncio.open_connection(*bound.split(":")))
    peer.send(PREFACE, settings())
    await peer.echoes(1)
    peer.close()


async def test_ipv6_is_a_place(served: Served) -> None:
    """In brackets, as in URLs."""
    bound = await served.door.serve(listen("[::1]:0")[0], lambda _: None)
    peer = Peer(*await asyncio.open_connection("::1", int(bound.rpartition(":")[2])))
    peer.send(PREFACE, settings())
    await peer.echoes(1)
    peer.close()


# TLS


def openssl(folder: Path, *arguments: str) -> None:
    """Run openssl in a folder."""
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities; of the first a server's, a caller's and an expired certificate, of the second a caller's."""
    folder = tmp_path_factory.mktemp("tls")
    (folder / "server.ext").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    (folder / "caller.ext").write_text("subjectAltName=URI:spiffe://test/caller\n")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for authority in ("ours", "theirs"):
        openssl(
            folder,
            "req",
            "-x509",
            *curve,
            "-subj",
            f"/CN={authority}",
            "-keyout",
            f"{authority}.key",
            "-out",
            f"{authority}.pem",
        )
    for name, authority, extension, days in (
        ("server", "ours", "server", ("-days", "1")),
        ("caller", "ours", "caller", ("-days", "1")),
        ("stranger", "theirs", "caller", ("-days", "1")),
        ("expired", "ours", "caller", ("-days", "-1")),
    ):
        openssl(folder, "req", *curve, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signed = ("-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial")
        extensions = ("-extfile", f"{extension}.ext")
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signed, *extensions, *days, "-out", f"{name}.pem")
    return folder


async def over_tls(address: str, folder: Path, caller: str | None, alpn: list[str], trust: str = "ours") -> Peer:
    """Connect as a caller, or as nobody."""
    context = ssl.create_default_context(cafile=str(folder / f"{trust}.pem"))
    if alpn:
        context.set_alpn_protocols(alpn)
    if caller:
        context.load_cert_chain(folder / f"{caller}.pem", folder / f"{caller}.key")
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    peer = Peer(reader, writer)
    peer.send(PREFACE, settings())
    return peer


async def test_tls_is_spoken_to_whom_it_may_concern(served: Served, certificates: Path) -> None:
    """With h2 agreed upon and a certificate of ours; each of the others gets no answer, and costs nobody anything."""
    seen: list[object] = []

    def peer_of(transport: asyncio.Transport) -> object:
        seen.append(transport.get_extra_info("peercert"))
        return seen[-1]

    files = [str(certificates / name) for name in ("server.pem", "server.key")]
    context = tls_context(*files, callers=str(certificates / "ours.pem"))
    address = await served.door.serve(listen("127.0.0.1:0")[0], peer_of, tls=context)
    peer = await over_tls(address, certificates, "caller", ["h2"])
    await peer.echoes(1)
    assert "spiffe://test/caller" in repr(seen[0])
    for caller, alpn in (
        (None, ["h2"]),
        ("stranger", ["h2"]),
        ("expired", ["h2"]),
        ("caller", []),
        ("caller", ["http/1.1"]),
    ):
        try:
            other = await over_tls(address, certificates, caller, alpn)
            other.send(other.request(1))
            assert await other.end() is None
            assert not other.heard
        except (ssl.SSLError, ConnectionError):
            pass
    with pytest.raises(ssl.SSLCertVerificationError):
        await over_tls(address, certificates, "caller", ["h2"], trust="theirs")
    await peer.echoes(3)
    peer.close()


def test_tls_files_that_do_not_fit_are_named(certificates: Path) -> None:
    """A missing file, another's key, and an authority that is none."""
    server, key, other = (str(certificates / name) for name in ("server.pem", "server.key", "caller.key"))
    for arguments in ((server, other, None), (server + "x", key, None), (server, key, key)):
        with pytest.raises(PreconditionError, match="TLS cannot be set up"):
            tls_context(arguments[0], arguments[1], callers=arguments[2])


def test_a_sidecar_never_loads_grpcio() -> None:
    """Nor what only an office needs."""
    code = "import sys, gateway.lane.server, gateway.lane.methods; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "gateway.lane.methods" in loaded
    assert not {"grpc", "yaml", "asyncpg", "typer"} & set(loaded)
