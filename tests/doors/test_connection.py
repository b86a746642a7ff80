"""One socket with many commands on it: answers in order, each told once, whatever becomes of the other end."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import redis.asyncio

from gateway.counters import connection as module
from gateway.counters.connection import Address, Connection, ReplyError, pack
from gateway.errors import StoreUnavailableError
from tests.faults.own_redis import OwnRedis, own_redis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HELLO = b"%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n"


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[Connection]:
    """A connection of ours."""
    opened = await Connection.open(Address.parse(redis_url))
    yield opened
    opened.close()


@pytest.fixture
async def own(short_folder: Path) -> AsyncIterator[OwnRedis]:
    """A Redis whose settings are changed."""
    with own_redis(short_folder) as server:
        await server.start()
        yield server


@asynccontextmanager
async def peer(serve: Serve) -> AsyncIterator[Address]:
    """Play a network behind which there is no Redis, or none any more."""
    ended = asyncio.Event()

    async def until_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer)
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(until_the_end, "127.0.0.1", 0)
    try:
        yield Address(port=server.sockets[0].getsockname()[1])
    finally:
        ended.set()
        server.close()


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer HELLO as Redis does."""
    await reader.readuntil(b"3\r\n")
    writer.write(HELLO)


async def test_answers_come_in_the_order_of_the_commands(connection: Connection) -> None:
    """A thousand commands of one turn leave in one write, and each callback gets the answer that is its own."""
    writes: list[int] = []
    transport: Any = connection._transport
    watched = type("Watched", (), {"write": lambda _, data: (writes.append(len(data)), transport.write(data))})
    connection._transport = watched()
    heard: list[object] = []
    for number in range(1000):
        connection.send(pack("ECHO", number), heard.append)
    assert heard == []
    assert await connection.call("PING") == b"PONG"
    assert heard == [b"%d" % number for number in range(1000)]
    assert len(writes) == 1
    connection._transport = transport


async def test_an_error_is_an_answer_like_any_other(connection: Connection) -> None:
    """A callback gets the error and its neighbours their answers; `call` raises it, naming the command."""
    heard: list[object] = []
    for command in (("SET", "text", "x"), ("INCR", "text"), ("NO", "SUCH"), ("GET", "text")):
        connection.send(pack(*command), heard.append)
    with pytest.raises(StoreUnavailableError, match="Redis refused 'HGET': WRONGTYPE"):
        await connection.call("HGET", "text", "a secret field")
    assert [type(answer) for answer in heard] == [bytes, ReplyError, ReplyError, bytes]
    assert str(heard[1]).startswith("ERR value is not an integer")


async def test_answers_have_their_types(connection: Connection) -> None:
    """RESP3: maps, doubles, booleans and nulls are what they are; bytes come back as they went."""
    binary = bytes(range(256)) + b"\r\n$-1\r\n"
    assert await connection.call("SET", "key", binary) == b"OK"
    assert await connection.call("GET", "key") == binary
    assert await connection.call("GET", "none") is None
    assert await connection.call("INCRBY", "number", 2**53 - 1) == 2**53 - 1
    assert await connection.call("HSET", "hash", "a", "1", "b", "2") == 2
    assert await connection.call("HGETALL", "hash") == {b"a": b"1", b"b": b"2"}
    assert await connection.call("ZADD", "zset", "1.5", "a") == 1
    assert await connection.call("ZSCORE", "zset", "a") == 1.5
    assert await connection.call("EVAL", "redis.setresp(3) return {true, {1, 'x'}}", 0) == [True, [1, b"x"]]
    assert await connection.call("EVAL", "return {}", 0) == []


async def test_messages_come_beside_answers(redis_url: str, redis_client: redis.asyncio.Redis) -> None:
    """What a channel says goes to `on_push`, in its order, and takes no command's answer away."""
    pushed: list[list[bytes]] = []
    connection = await Connection.open(Address.parse(redis_url), on_push=pushed.append)
    connection.subscribe("news")
    first = connection.call("ECHO", "first")
    assert await first == b"first"
    for number in range(10):
        await redis_client.publish("news", number)
        assert await connection.call("ECHO", number) == b"%d" % number
    assert pushed == [[b"subscribe", b"news", 1], *([b"message", b"news", b"%d" % number] for number in range(10))]
    connection.close()


async def test_a_lost_connection_is_told_once_to_everyone(redis_url: str, redis_client: redis.asyncio.Redis) -> None:
    """Each unanswered callback, in order, then whoever opened; who sends afterwards is told at once."""
    told: list[object] = []
    lost = asyncio.Event()
    connection = await Connection.open(Address.parse(redis_url), on_lost=lambda: (told.append("lost"), lost.set()))
    number = await connection.call("CLIENT", "ID")
    connection.send(pack("BLPOP", "nothing", 0), told.append)
    for _ in range(5):
        connection.send(pack("PING"), lambda _: connection.send(pack("PING"), told.append))
    waiting = connection.call("PING")
    await asyncio.sleep(0)
    assert await redis_client.client_kill_filter(_id=number) == 1
    async with asyncio.timeout(5):
        await lost.wait()
        with pytest.raises(StoreUnavailableError, match="the connection to Redis is lost"):
            await waiting
    assert [type(one) for one in told] == [StoreUnavailableError] * 6 + [str]
    assert connection.lost
    connection.send(pack("PING"), told.append)
    assert len(told) == 8
    connection.close()
    assert len(told) == 8


async def test_closing_tells_who_waits(connection: Connection) -> None:
    """A close is a loss like any other; a caller that has gone is no trouble."""
    waiting = [connection.call("PING") for _ in range(3)]
    waiting[1].cancel()
    connection.close()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    kinds = [StoreUnavailableError, asyncio.CancelledError, StoreUnavailableError]
    assert [type(answer) for answer in answers] == kinds


async def test_a_caller_that_has_gone_leaves_the_order_alone(connection: Connection) -> None:
    """An answer that nobody waits for any more is dropped, and the next one reaches its caller."""
    gone, stays = connection.call("ECHO", "gone"), connection.call("ECHO", "stays")
    gone.cancel()
    assert await stays == b"stays"


@pytest.mark.parametrize(
    "garbage", [b"HTTP/1.1 400 Bad Request\r\n", b"\0\xff\xfe", b"$zz\r\n", b"+unasked\r\n+again\r\n"]
)
async def test_garbage_closes_the_connection(garbage: bytes) -> None:
    """What is no answer, or nobody's, ends it: whoever waits is told."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greet(reader, writer)
        await reader.readuntil(b"PING\r\n")
        writer.write(garbage)

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    lost = asyncio.Event()
    async with peer(serve) as address, asyncio.timeout(5):
        connection = await Connection.open(address, on_lost=lost.set)
        waiting = connection.call("PING")
        await lost.wait()
        assert connection.lost
        assert (await asyncio.gather(waiting, return_exceptions=True))[0] != b"PONG"
    asyncio.get_running_loop().set_exception_handler(None)


async def silent(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Say nothing."""


async def shut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hang up."""
    writer.close()


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speak another protocol."""
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize("serve", [silent, shut, talk])
async def test_what_is_no_redis_cannot_be_opened(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is silent, hangs up or speaks otherwise is an error within the connect timeout."""
    monkeypatch.setattr(module, "CONNECT_TIMEOUT_S", 0.1)
    async with peer(serve) as address, asyncio.timeout(5):
        with pytest.raises(StoreUnavailableError):
            await Connection.open(address)


async def test_where_nobody_listens_is_said(short_folder: Path) -> None:
    """The error names the place."""
    with pytest.raises(StoreUnavailableError, match=r"none\.sock does not answer"):
        await Connection.open(Address(path=str(short_folder / "none.sock")))
    with pytest.raises(StoreUnavailableError, match=r"127\.0\.0\.1:1 does not answer"):
        await Connection.open(Address(port=1))


async def test_a_server_that_owes_answers_and_is_silent_is_given_up(
    own: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped process keeps its connections open: the one that waits is closed, the idle one stays."""
    monkeypatch.setattr(module, "SILENCE_S_MAX", 0.2)
    idle, busy = [await Connection.open(Address.parse(own.url)) for _ in range(2)]
    own.pause()
    async with asyncio.timeout(5):
        with pytest.raises(StoreUnavailableError):
            await busy.call("PING")
    assert (busy.lost, idle.lost) == (True, False)
    waiting = idle.call("PING")
    idle._watch()  # what was asked only now is not owed for long
    own.go_on()
    assert await waiting == b"PONG"
    idle.close()


async def test_a_database_is_selected(own: OwnRedis) -> None:
    """What is written lands there; one that does not exist is an error."""
    connection = await Connection.open(Address.parse(f"{own.url}?db=3"))
    await connection.call("SET", "key", "3")
    connection.close()
    async with redis.asyncio.Redis.from_url(f"{own.url}?db=3") as client:
        assert await client.get("key") == b"3"
    with pytest.raises(StoreUnavailableError, match="out of range"):
        await Connection.open(Address.parse(f"{own.url}?db=99"))


async def test_a_password_lets_in_and_is_never_shown(own: OwnRedis) -> None:
    """For the default user and a named one, percent-encoded in the URL; wrong or missing, it is refused."""
    at = own.url.removeprefix("unix://")
    async with redis.asyncio.Redis.from_url(own.url) as client:
        await client.execute_command("ACL", "SETUSER", "tk", "on", ">p@ss:/?#%", "~*", "&*", "+@all")
        await client.config_set("requirepass", "top secret")
    for login, who in ((":top%20secret@", b"default"), ("tk:p%40ss%3A%2F%3F%23%25@", b"tk")):
        connection = await Connection.open(Address.parse(f"unix://{login}{at}"))
        assert await connection.call("ACL", "WHOAMI") == who
        connection.close()
    for login in ("", ":top%20secre@", "tk:top%20secret@", "nobody:top%20secret@"):
        with pytest.raises(StoreUnavailableError, match=r"NOAUTH|WRONGPASS") as refused:
            await Connection.open(Address.parse(f"unix://{login}{at}"))
        assert "secre" not in str(refused.value)
    async with redis.asyncio.Redis.from_url(f"unix://:top%20secret@{at}") as client, asyncio.timeout(5):
        while len(await client.client_list()) > 1:  # a login that failed leaves no connection behind
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://localhost", Address(host="localhost")),
        ("redis://127.0.0.1:7000/4", Address(port=7000, database=4)),
        ("rediss://u:p%40%3A%2Fw@r.example:6380/15", Address("", "r.example", 6380, True, "u", "p@:/w", 15)),
        ("redis://:only@h/", Address("", "h", 6379, False, "", "only")),
        ("redis://[::1]:6380", Address(host="::1", port=6380)),
        ("unix:///run/redis.sock", Address("/run/redis.sock")),
        ("unix://u%40x:p%25@/r.sock?db=7", Address("/r.sock", "127.0.0.1", 6379, False, "u@x", "p%", 7)),
    ],
)
def test_urls_are_read(url: str, address: Address) -> None:
    """Every part of each scheme; a password is not in what is shown."""
    assert Address.parse(url) == address
    assert not address.password or address.password not in repr(address)
