"""consume.lua counts a claim whole or not at all, once, in the right window, and says which of its rules decided."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Self

import pytest
import redis.asyncio
from msgspec.structs import replace

from gateway.counters import consume, keys
from gateway.counters.connection import Address, Connection, ReplyError
from gateway.counters.consume import PEEK, SCRIPT, Answer
from gateway.counters.footing import Footing
from gateway.counters.order import Key, Order, Quota, Span
from tests.counters_seen import packed
from tests.faults.own_redis import own_redis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MAX = 2**53 - 1
GRACE_MS = 3_600_000
LINE = "deployment:1:replid"
HEAD, USE, USAGE = keys.head(7), keys.use(7, "acme"), keys.usage(7)
DUE, HOLD, DUES = keys.due(7), keys.hold(7, "acme"), keys.dues(7, "acme")
IDEM = keys.idempotency(7, "acme", "digest")
FAR_MS = 4_000_000_000_000  # in 2096
LENGTH_MS = 1_000_000_000_000  # computed windows of this length start in 2001 and in 2033
KEY = Key("digest", "fingerprint", 60_000)
NAMES = ("COUNTED", "REFUSED", "PEEKED", "REPLAYED", "KEY_REUSED", "SEEN", "STALE", "WRONG_WINDOW", "TOO_MUCH_HELD")
ERRORS = ("FENCED", "UNREGISTERED", "OOM", "NOREPLICAS", "WRONGTYPE", "BADARG")
KINDS = {getattr(consume, name): name for name in NAMES} | {name.encode(): name for name in ERRORS}
ORDER = Order(7, "acme", (Quota("calls", Span(1000, FAR_MS), 10),), 1, version=3, event=b"claim")


@dataclass(frozen=True)
class Bucket:
    """Bucket 7, in which gateways `one` and `two` are registered: asked by our connection, seen by another client."""

    connection: Connection
    redis: redis.asyncio.Redis

    @classmethod
    async def open(cls, url: str, client: redis.asyncio.Redis) -> Self:
        """Connect, and bring the script."""
        connection = await Connection.open(Address.parse(url))
        await connection.call("SCRIPT", "LOAD", SCRIPT)
        return cls(connection, client)

    async def ask(self, number: int, order: Order, *, line: str = LINE, gateway: str = "one") -> Answer:
        """Run the script for one claim as a gateway does; an error is an answer of that kind."""
        reply = await self._sent(consume.command(Footing.of(line, gateway), order, number))
        return refused(reply) if isinstance(reply, ReplyError) else consume.read(reply, order)

    async def ask_many(
        self, claims: list[tuple[int, Order]], gateway: str = "one", *, atomic: bool = False
    ) -> list[Answer]:
        """Run the script for several claims in one call."""
        numbers, orders = zip(*claims, strict=True)
        reply = await self._sent(consume.command_of_many(Footing.of(LINE, gateway), orders, numbers, atomic=atomic))
        return [refused(reply)] if isinstance(reply, ReplyError) else consume.read_many(reply, orders)

    async def _sent(self, packed: bytes) -> object:
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.connection.send(packed, answered.set_result)
        return await answered

    async def kind(self, number: int, order: Order, *, line: str = LINE, gateway: str = "one") -> str:
        """Run the script and tell the answer's kind."""
        return KINDS[(await self.ask(number, order, line=line, gateway=gateway)).kind]

    async def refusal(self, *argv: str | bytes) -> str:
        """Run the script with arguments that no gateway of ours sends; returns the error."""
        with pytest.raises(redis.exceptions.ResponseError) as error:
            await self.redis.eval(SCRIPT, 7, HEAD, USAGE, DUE, USE, HOLD, DUES, IDEM, *argv)
        return str(error.value)

    async def everything(self) -> dict[str, tuple[bytes, int]]:
        """Tell all that Redis holds: each key's value and expiry."""
        names = await self.redis.keys()
        return {name: (await self.redis.dump(name), await self.redis.pexpiretime(name)) for name in names}

    async def anew(self) -> None:
        """Empty the database and register the gateways."""
        await self.redis.flushdb()
        await self.redis.hset(HEAD, mapping={"line": LINE, "one": 0, "two": 0})


@pytest.fixture
async def bucket(redis_url: str, redis_client: redis.asyncio.Redis) -> AsyncIterator[Bucket]:
    """A bucket in which nothing was counted."""
    made = await Bucket.open(redis_url, redis_client)
    await made.anew()
    yield made
    made.connection.close()


def changed(order: Order, **changes: Any) -> Order:
    """Change an order of one quota: what is told of a quota is changed there."""
    (quota,) = order.limits
    assert isinstance(quota, Quota)
    span = Span(changes.pop("start_ms", quota.span.start_ms), changes.pop("end_ms", quota.span.end_ms))
    of_quota = {name: changes.pop(name) for name in ("counter", "ceiling") if name in changes}
    return replace(order, limits=(quota._replace(span=span, **of_quota),), **changes)


def used_of(answer: Answer) -> Any:
    """Tell used and the start of the window of an answer's only limit."""
    return answer.states[0]


def refused(error: ReplyError) -> Answer:
    """Make an answer of the first word of an error."""
    return Answer(str(error).split()[0].encode())


async def test_the_first_rule_that_applies_gives_the_answer(bucket: Bucket) -> None:
    """Everything is wrong with a claim; mended one by one, each rule answers in its turn and writes nothing."""
    assert await bucket.kind(5, changed(ORDER, key=KEY)) == "COUNTED"
    before = await bucket.everything()
    wrong = changed(ORDER, version=2, key=KEY, end_ms=2000, quantity=MAX, ceiling=MAX)
    assert await bucket.kind(5, wrong, line="deployment:0:replid", gateway="three") == "FENCED"
    assert await bucket.kind(5, wrong, gateway="three") == "UNREGISTERED"
    assert await bucket.kind(5, changed(wrong, key=replace(KEY, fingerprint="finger"))) == "KEY_REUSED"
    assert [await bucket.kind(6, wrong), await bucket.kind(5, wrong, gateway="two")] == ["REPLAYED", "REPLAYED"]
    assert await bucket.kind(5, wrong) == "COUNTED"  # before, by this very call
    assert await bucket.kind(5, wrong := changed(wrong, key=None)) == "SEEN"
    assert await bucket.kind(6, wrong) == "STALE"
    assert await bucket.kind(6, wrong := changed(wrong, version=3)) == "WRONG_WINDOW"
    assert await bucket.kind(6, wrong := changed(wrong, end_ms=FAR_MS)) == "REFUSED"
    assert await bucket.kind(PEEK, mended := changed(wrong, quantity=9, version=4)) == "PEEKED"
    assert await bucket.everything() == before
    assert await bucket.kind(6, mended) == "COUNTED"


async def test_without_the_line_nothing_is_counted(bucket: Bucket) -> None:
    """Another line, an empty one, none, and no head at all are FENCED, also for a peek."""
    for command in (f"HSET {HEAD} line x", f"HSET {HEAD} line ", f"HDEL {HEAD} line", f"DEL {HEAD}"):
        await bucket.redis.execute_command(*command.split(" "))
        before = await bucket.everything()
        assert [await bucket.kind(number, ORDER) for number in (PEEK, 1)] == ["FENCED", "FENCED"]
        assert await bucket.everything() == before


async def test_a_window_holds_from_its_start_until_before_its_end(bucket: Bucket) -> None:
    """Two windows that meet are asked in the millisecond before and in that moment: just one of them is right."""
    exactly: set[tuple[str, int]] = set()
    while exactly != set(product(("ends", "begins"), (-1, 0))):
        meet_ms = now_ms = (await bucket.ask(PEEK, ORDER)).now_ms + 20
        windows = {"ends": changed(ORDER, end_ms=meet_ms), "begins": changed(ORDER, start_ms=meet_ms)}
        while now_ms <= meet_ms:
            for name, order in windows.items():
                now_ms = (answer := await bucket.ask(PEEK, order)).now_ms
                right = name == ("ends" if now_ms < meet_ms else "begins")
                assert answer.kind == (consume.PEEKED if right else consume.WRONG_WINDOW)
                exactly |= {(name, now_ms - meet_ms)} if now_ms in {meet_ms - 1, meet_ms} else set()


@pytest.mark.parametrize("length_ms", [1000, 60_000, 3_600_000])
async def test_a_window_shorter_than_a_day_is_computed(bucket: Bucket, length_ms: int) -> None:
    """It starts at a multiple of its length; of what was used before that, nothing counts."""
    order = changed(ORDER, start_ms=0, end_ms=length_ms, event=None)
    _, start_ms = used_of(await bucket.ask(PEEK, order))
    await bucket.redis.hset(USE, mapping={"calls": packed(10, start_ms - length_ms)})
    answer = await bucket.ask(1, order)
    start_ms = answer.now_ms - answer.now_ms % length_ms
    assert (answer.kind, answer.states) == (consume.COUNTED, ((1, start_ms),))
    assert await bucket.connection.call("HGET", USE, "calls") == packed(1, start_ms)
    assert await bucket.redis.pexpiretime(USE) == start_ms + length_ms + GRACE_MS


async def test_expiry_follows_the_longest_window_and_is_only_extended(bucket: Bucket) -> None:
    """A new window moves it later or not at all, use in a running window leaves it, and forever stays forever."""

    async def expires_ms(number: int, counter: str, end_ms: int) -> int:
        assert await bucket.kind(number, changed(ORDER, counter=counter, end_ms=end_ms)) == "COUNTED"
        return int(await bucket.redis.pexpiretime(USE))

    assert await expires_ms(1, "a", FAR_MS) == FAR_MS + GRACE_MS
    assert await expires_ms(2, "b", FAR_MS - 5) == FAR_MS + GRACE_MS
    assert await expires_ms(3, "c", FAR_MS + 5) == FAR_MS + 5 + GRACE_MS
    await bucket.redis.pexpireat(USE, FAR_MS)
    assert await expires_ms(4, "a", FAR_MS + 9) == FAR_MS
    await bucket.redis.persist(USE)
    assert await expires_ms(5, "new", FAR_MS) == -1


async def test_an_event_says_who_when_and_what_and_nothing_else(bucket: Bucket) -> None:
    """One entry for each claim: its id, the moment of the decision, the packed claim; a key is known for its time."""
    first = await bucket.ask(1, ORDER)
    second = await bucket.ask(2, changed(ORDER, key=KEY, event=b'[1,"\x00\xff"]'))
    assert KEY.remember_ms - 5000 < await bucket.redis.pttl(IDEM) <= KEY.remember_ms
    assert [row[1] for row in await bucket.connection.call("XRANGE", USAGE, "-", "+")] == [
        [b"id", b"one-1", b"at", b"%d" % first.now_ms, b"claim", b"claim"],
        [b"id", b"digest", b"at", b"%d" % second.now_ms, b"claim", b'[1,"\x00\xff"]'],
    ]


@pytest.mark.parametrize("event", [b"claim", None], ids=["metered", "rate"])
async def test_numbers_are_exact_up_to_the_largest(bucket: Bucket, event: bytes | None) -> None:
    """Up to 2^53-1 every unit is counted exactly; a sum beyond is refused even without a ceiling."""
    order = changed(ORDER, ceiling=None, event=event)
    assert used_of(await bucket.ask(1, order)) == (1, 1000)
    assert await bucket.kind(2, changed(order, quantity=MAX)) == "REFUSED"
    assert used_of(await bucket.ask(2, changed(order, quantity=MAX - 2))) == (MAX - 1, 1000)
    assert used_of(await bucket.ask(MAX, order)) == (MAX, 1000)
    assert [await bucket.kind(PEEK, order), await bucket.kind(PEEK, changed(order, quantity=MAX))] == ["REFUSED"] * 2
    other = changed(order, counter="other", quantity=MAX)
    assert used_of(await bucket.ask(1, other, gateway="two")) == (MAX, 1000)
    held = [await bucket.connection.call("HGET", USE, counter) for counter in ("calls", "other")]
    assert held == [packed(MAX, 1000)] * 2


NONE = ("x", "-1", "1.5", "nan", "", str(2**53))
CORRUPT = [
    *(
        ("SET", HEAD, "x"),
        ("SET", USE, "x"),
        ("SET", USAGE, "x"),
        ("HSET", IDEM, "x", "x"),
        ("HSET", USE, "calls", "1"),
    ),
    *(("HSET", USE, ".v", "3", ".d", bad) for bad in NONE),
    *(("HSET", HEAD, "one", bad) for bad in NONE),
    *(("HSET", USE, ".v", bad) for bad in (*NONE, "0")),
    *(("HSET", USE, "calls", bad, ".v", "3") for bad in (*NONE, "\0" * 7, "\0" * 20, "?" * 13)),
]


@pytest.mark.parametrize("corruption", CORRUPT, ids=" ".join)
async def test_what_no_script_wrote_is_an_error_and_stays(bucket: Bucket, corruption: tuple[str, ...]) -> None:
    """A key of the wrong type or a number that is none: the claim is not counted, in no key, and nothing is mended."""
    await bucket.redis.delete(*[corruption[1]] if corruption[0] == "SET" else "-")
    await bucket.redis.execute_command(*corruption)
    before = await bucket.everything()
    assert await bucket.kind(1, changed(ORDER, key=KEY)) in {"WRONGTYPE", "BADARG"}
    assert await bucket.everything() == before


async def test_a_store_that_cannot_write_changes_nothing(short_folder: Path) -> None:
    """Out of memory or without replicas: whatever is claimed is an error, and can be counted later."""
    with own_redis(short_folder) as own:
        await own.start()
        async with redis.asyncio.Redis.from_url(own.url, decode_responses=True) as client:
            bucket = await Bucket.open(own.url, client)
            for error, setting in (("OOM", "maxmemory"), ("NOREPLICAS", "min-replicas-to-write")):
                await bucket.anew()
                assert await bucket.kind(1, ORDER) == "COUNTED"
                before = await bucket.everything()
                await client.config_set(setting, 1)
                for counter, event, key in product(("calls", "new"), (b"claim", None), (KEY, None)):
                    assert await bucket.kind(2, changed(ORDER, counter=counter, event=event, key=key)) == error
                assert await bucket.everything() == before
                await client.config_set(setting, 0)
                assert await bucket.kind(2, changed(ORDER, key=KEY)) == "COUNTED"
            bucket.connection.close()
