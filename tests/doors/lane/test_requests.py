"""What a request means in gRPC: which are calls, which are refused and how, and that grpcio refuses them alike."""

from __future__ import annotations

import asyncio
import base64
import gzip
import zlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import aio
from structlog.testing import capture_logs

from gateway.lane.limits import Limits
from gateway.rpc.status import status_of
from tests.doors.lane.wire import (
    DATA,
    END_HEADERS,
    END_STREAM,
    ERRORS,
    NO_ERROR,
    PREFACE,
    Answer,
    Peer,
    fields_of,
    message,
    raw,
    serving,
    settings,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from tests.doors.lane.wire import Served

HELLO = message(b"hello")
GZIP, DEFLATE = ("grpc-encoding", "gzip"), ("grpc-encoding", "deflate")
BOMB = gzip.compress(bytes(50_000_000))


async def ask(peer: Peer, fields: list[tuple[str, str]], body: bytes = HELLO, stream_id: int = 1) -> Answer:
    """Send a request in one DATA frame after another and wait for the answer."""
    peer.send(peer.opening(stream_id, fields))
    pieces: Sequence[bytes] = [body[at : at + 16_384] for at in range(0, len(body), 16_384)] or [b""]
    for number, piece in enumerate(pieces, 1):
        peer.send(raw(DATA, END_STREAM if number == len(pieces) else 0, stream_id, piece))
        if number % 2 == 0:
            await peer.silence()  # grants come meanwhile
            if stream_id in peer.answers:
                break
    return await peer.answer(stream_id)


TAKEN: dict[str, tuple[Any, bytes]] = {
    "plain": (fields_of(), HELLO),
    "gzip": (fields_of("/test/Echo", GZIP), message(gzip.compress(b"hello"), 1)),
    "deflate": (fields_of("/test/Echo", DEFLATE), message(zlib.compress(b"hello"), 1)),
    "gzip that is not used": (fields_of("/test/Echo", GZIP), HELLO),
    "identity": (fields_of("/test/Echo", ("grpc-encoding", "identity")), HELLO),
    "two messages: the second is never read": (fields_of(), HELLO + message(b"second")),
    "half a second message": (fields_of(), HELLO + b"\0\0"),
    "https": (fields_of(scheme="https"), HELLO),
    "host for authority": ([*fields_of(without=":authority"), ("host", "test")], HELLO),
    "content-type with a codec": (fields_of(content_type="application/grpc+proto"), HELLO),
    "content-type with a parameter": (fields_of(content_type="application/grpc;charset=utf-8"), HELLO),
    "a timeout of 8 digits": (fields_of("/test/Echo", ("grpc-timeout", "99999999H")), HELLO),
    "much metadata": (fields_of("/test/Echo", ("x", "v" * 16_000)), HELLO),
    "binary metadata": (fields_of("/test/Echo", ("x-bin", "AAEC")), HELLO),
}


@pytest.mark.parametrize("case", TAKEN)
async def test_a_call_is_answered(peer: Peer, case: str) -> None:
    """Whatever its message is wrapped in, the method gets the message, and its answer is not compressed."""
    assert (await ask(peer, *TAKEN[case])).message == b"hello"


REFUSED: dict[str, tuple[Any, bytes, int]] = {
    "unknown method": (fields_of("/test/Nothing"), HELLO, 12),
    "unknown service": (fields_of("/nothing/Echo"), HELLO, 12),
    "no path of two parts": (fields_of("x"), HELLO, 12),
    "GET": (fields_of(method="GET"), HELLO, 13),
    "PUT": (fields_of(method="PUT"), HELLO, 13),
    "no te": (fields_of(without="te"), HELLO, 13),
    "another scheme": (fields_of(scheme="ftp"), HELLO, 13),
    "no authority": (fields_of(without=":authority"), HELLO, 13),
    "a timeout of nothing": (fields_of("/test/Echo", ("grpc-timeout", "0n")), HELLO, 4),
    "a timeout that is none": (fields_of("/test/Echo", ("grpc-timeout", "abc")), HELLO, 13),
    "a negative timeout": (fields_of("/test/Echo", ("grpc-timeout", "-1S")), HELLO, 13),
    "a timeout without a unit": (fields_of("/test/Echo", ("grpc-timeout", "10")), HELLO, 13),
    "compressed without saying how": (fields_of(), message(b"hello", 1), 13),
    "deflate without saying so": (fields_of(), message(zlib.compress(b"hello"), 1), 13),
    "gzip that is none": (fields_of("/test/Echo", GZIP), message(b"hello", 1), 13),
    "gzip that is cut": (fields_of("/test/Echo", GZIP), message(gzip.compress(b"hello")[:-9], 1), 13),
    "a gzip bomb": (fields_of("/test/Echo", GZIP), message(BOMB, 1), 8),
    "a message that is far too large": (fields_of(), b"\0\x7f\xff\xff\xffabc", 8),
    "a message that is too large by one": (fields_of(), b"\0\x00\x20\x00\x01abc", 8),
}


@pytest.fixture(scope="module")
async def grpcio_port() -> Any:
    """A grpcio server whose one method echoes, with the other door's limit."""
    server = aio.server(options=[("grpc.max_receive_message_length", Limits().message_bytes_max)])

    async def echo(request: bytes, _: object) -> bytes:
        return request

    handlers = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield port
    await server.stop(None)


@asynccontextmanager
async def _grpcio(port: int) -> AsyncIterator[Peer]:
    peer = Peer(*await asyncio.open_connection("127.0.0.1", port))
    peer.send(PREFACE, settings())
    yield peer
    peer.close()


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_no_call_is_refused_as_grpcio_refuses_it(served: Served, grpcio_port: int, case: str) -> None:
    """With the same code, or by a reset that clients take for the same code; and the connection goes on."""
    fields, body, code = REFUSED[case]
    async with served.peer() as peer:
        answer = await ask(peer, fields, body)
        assert (answer.status, answer.data) == (code, b"")
        assert answer.fields["grpc-message"]
        await peer.echoes(3)
    async with _grpcio(grpcio_port) as other:
        theirs = await ask(other, fields, body)
    assert (theirs.status if theirs.status is not None else {2: 13}[theirs.reset or 0]) == code


INCOMPLETE = {"nothing": b"", "half a prefix": HELLO[:3], "a prefix": HELLO[:5], "half a message": HELLO[:7]}


@pytest.mark.parametrize("case", INCOMPLETE)
async def test_a_message_that_is_cut_is_an_error(peer: Peer, case: str) -> None:
    """INTERNAL, as the protocol says; grpcio leaves its caller waiting."""
    answer = await ask(peer, fields_of(), INCOMPLETE[case])
    assert answer.status == 13
    peer.send(peer.opening(3, flags=END_HEADERS | END_STREAM))
    assert (await peer.answer(3)).status == 13


async def test_an_unknown_encoding_is_told_which_are_known(peer: Peer) -> None:
    """UNIMPLEMENTED with grpc-accept-encoding, as the protocol asks for; the reset comes without an error."""
    answer = await ask(peer, fields_of("/test/Echo", ("grpc-encoding", "br")))
    assert (answer.status, answer.fields["grpc-accept-encoding"]) == (12, "identity,gzip,deflate")
    assert answer.reset in (None, NO_ERROR)


@pytest.mark.parametrize("content_type", ["application/json", "application/grpc-web", "text/plain", ""])
async def test_who_does_not_speak_grpc_is_told_in_http(peer: Peer, content_type: str) -> None:
    """415 and a sentence that people can read; HEAD gets no sentence."""
    fields = fields_of(method="GET", content_type=content_type)
    peer.send(peer.opening(1, fields, flags=END_HEADERS | END_STREAM))
    answer = await peer.answer(1)
    assert (answer.fields[":status"], answer.status) == ("415", None)
    assert answer.data == b"This port speaks gRPC: POST with content-type application/grpc.\n"
    assert answer.fields["content-length"] == str(len(answer.data))
    fields = fields_of(method="HEAD", content_type=content_type)
    peer.send(peer.opening(3, fields, flags=END_HEADERS | END_STREAM))
    answer = await peer.answer(3)
    assert (answer.fields[":status"], answer.data) == ("415", b"")


async def test_metadata_beyond_the_limit_is_refused_and_costs_nothing_else(peer: Peer) -> None:
    """RESOURCE_EXHAUSTED, as gRPC has it; the table that later blocks refer to stays right."""
    peer.send(peer.opening(1, [*fields_of(), *[("x", "v" * 100)] * 300]))
    assert (await peer.answer(1)).status == 8
    await peer.echoes(3)


@pytest.mark.parametrize("method", ["/test/Fail", "/test/BlowUp"])
@pytest.mark.parametrize("case", ERRORS)
async def test_an_error_is_what_it_is_on_the_other_door(served: Served, peer: Peer, case: str, method: str) -> None:
    """Code, message and details, whether the method fails its call or raises; a bug's words stay in the log."""
    with capture_logs() as logs:
        answer = await ask(peer, fields_of(method), message(case.encode()))
        code, expected = status_of(ERRORS[case])
    details = answer.fields["grpc-status-details-bin"]
    status = Status.FromString(_decoded(details))
    told = unquote(answer.fields["grpc-message"])
    assert (answer.status, status.code, status.message) == (code.value[0], code.value[0], told)
    assert not answer.trailers
    assert "secret" not in repr(answer)
    assert served.lane.in_flight == 0
    if case == "bug":
        assert told.startswith("internal error; the log has it as ")
        assert logs[0]["reference"] in told
    else:
        assert status == expected


def _decoded(text: str) -> bytes:
    assert "=" not in text
    return base64.b64decode(text + "=" * (-len(text) % 4))


async def test_too_many_calls_under_way_are_refused_for_a_while(short_folder: Path) -> None:
    """UNAVAILABLE with RetryInfo, never RESOURCE_EXHAUSTED; over all connections, and only as long as it lasts."""
    async with serving(short_folder, Limits(in_flight_max=2)) as served, served.peer() as one, served.peer() as other:
        one.send(one.request(1, b"x", fields_of("/test/Hold")), one.request(3, b"x", fields_of("/test/Hold")))
        await one.silence()
        answer = await ask(other, fields_of())
        status, info, retry = (
            Status.FromString(_decoded(answer.fields["grpc-status-details-bin"])),
            ErrorInfo(),
            RetryInfo(),
        )
        assert answer.status == 14
        assert status.details[0].Unpack(info)
        assert status.details[1].Unpack(retry)
        assert (info.reason, retry.retry_delay.seconds) == ("OVERLOADED", 1)
        served.held[0].answer(b"")
        await other.echoes(3)


async def test_a_caller_is_asked_for_once_and_again_when_credentials_change(served: Served, peer: Peer) -> None:
    """What a key resolves to is kept for a connection until the generation rises; a refusal is never kept."""
    key, nobody = ("authorization", "Bearer k"), ("authorization", "Bearer nobody")
    for stream_id in (1, 3):
        assert (await ask(peer, fields_of("/test/Echo", key), stream_id=stream_id)).message == b"hello"
    assert served.credentials.asked == ["Bearer k"]
    served.credentials.generation += 1
    await ask(peer, fields_of("/test/Echo", key), stream_id=5)
    await ask(peer, fields_of(), stream_id=7)
    assert served.credentials.asked == ["Bearer k", "Bearer k", None]
    for stream_id in (9, 11):
        assert (await ask(peer, fields_of("/test/Echo", nobody), stream_id=stream_id)).status == 5
    assert served.credentials.asked[3:] == ["Bearer nobody"] * 2
    assert (await ask(peer, fields_of("/test/Open", nobody), stream_id=13)).message == b"for all"
    assert len(served.credentials.asked) == 5


async def test_who_is_nobody_is_refused_before_its_message_comes(peer: Peer) -> None:
    """Nothing of a stranger's request is kept."""
    peer.send(peer.opening(1, fields_of("/test/Echo", ("authorization", "Bearer nobody"))))
    assert (await peer.answer(1)).status == 5
    assert await peer.reset_of(1) == NO_ERROR


async def test_a_spent_deadline_reaches_no_method(short_folder: Path) -> None:
    """A message that comes after its call's deadline is not submitted; the wheel has ended the call by then."""
    async with serving(short_folder, deadline_ms=50) as served, served.peer() as peer:
        peer.send(peer.opening(1, fields_of("/test/Hold")))
        assert (await peer.answer(1)).status == 4
        peer.send(raw(DATA, END_STREAM, 1, HELLO))
        peer.send(peer.request(3, b"x", fields_of("/test/Hold", ("grpc-timeout", "0m"))))
        assert (await peer.answer(3)).status == 4
        assert served.held == []


async def test_a_call_that_nobody_answers_ends_at_its_deadline(short_folder: Path) -> None:
    """The caller's own when it is shorter, the server's when it is not; the method's answer then goes nowhere."""
    async with serving(short_folder, deadline_ms=100) as served, served.peer() as peer:
        begun_s = served.lane.loop.time()
        for stream_id, timeout in ((1, "20m"), (3, "1H")):
            peer.send(peer.request(stream_id, b"x", fields_of("/test/Hold", ("grpc-timeout", timeout))))
        assert (await peer.answer(1)).status == 4
        assert served.lane.loop.time() - begun_s < 0.1
        assert (await peer.answer(3)).status == 4
        assert 0.1 <= served.lane.loop.time() - begun_s < 1
        assert served.held[1].deadline_s == pytest.approx(begun_s + 0.1, abs=0.05)
        for call in served.held:
            call.answer(b"late")
        await peer.echoes(5)
        assert served.lane.in_flight == 0


async def test_an_answer_that_its_peer_never_takes_ends_at_its_deadline(short_folder: Path) -> None:
    """Held back by a window of nothing, the stream is cancelled, and nothing of it is kept."""
    async with serving(short_folder, deadline_ms=50) as served, served.peer(settings(s4=0)) as peer:
        peer.send(peer.request(1))
        assert await peer.reset_of(1) == 8
        assert not next(iter(served.lane.connections))._session.outbox._held
