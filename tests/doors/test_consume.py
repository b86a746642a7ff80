"""consume.lua counts a claim whole or not at all, once, in the right window, and says which of its rules decided."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Self

import pytest
import redis.asyncio
from msgspec.structs import replace

from gateway.counters import consume, keys
from gateway.counters.connection import Address, Connection, ReplyError
from gateway.counters.consume import PEEK, SCRIPT, Answer, Footing, Key, Order
from tests.faults.own_redis import own_redis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MAX = 2**53 - 1
GRACE_MS = 3_600_000
LINE = "deployment:1:replid"
HEAD, USE, USAGE = keys.head(7), keys.use(7, "acme"), keys.usage(7)
IDEM = keys.idempotency(7, "acme", "digest")
FAR_MS = 4_000_000_000_000  # in 2096
LENGTH_MS = 1_000_000_000_000  # computed windows of this length start in 2001 and in 2033
KEY = Key("digest", "fingerprint", 60_000)
NAMES = ("COUNTED", "REFUSED", "PEEKED", "REPLAYED", "KEY_REUSED", "SEEN", "STALE", "WRONG_WINDOW")
ERRORS = ("FENCED", "UNREGISTERED", "OOM", "NOREPLICAS", "WRONGTYPE", "BADARG")
KINDS = {getattr(consume, name): name for name in NAMES} | {name.encode(): name for name in ERRORS}
ORDER = Order(7, "acme", "calls", 1000, FAR_MS, 1, version=3, ceiling=10, event=b"claim")


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
        return refused(reply) if isinstance(reply, ReplyError) else consume.read(reply)

    async def ask_many(self, claims: list[tuple[int, Order]], gateway: str = "one") -> list[Answer]:
        """Run the script for several claims in one call."""
        numbers, orders = zip(*claims, strict=True)
        reply = await self._sent(consume.command_of_many(Footing.of(LINE, gateway), orders, numbers))
        return [refused(reply)] if isinstance(reply, ReplyError) else consume.read_many(reply, len(claims))

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
            await self.redis.eval(SCRIPT, 4, HEAD, USAGE, USE, IDEM, *argv)
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


def refused(error: ReplyError) -> Answer:
    """Make an answer of the first word of an error."""
    return Answer(str(error).split()[0].encode())


async def test_the_first_rule_that_applies_gives_the_answer(bucket: Bucket) -> None:
    """Everything is wrong with a claim; mended one by one, each rule answers in its turn and writes nothing."""
    assert await bucket.kind(5, replace(ORDER, key=KEY)) == "COUNTED"
    before = await bucket.everything()
    wrong = replace(ORDER, version=2, key=KEY, window_end_ms=2000, quantity=MAX, ceiling=MAX)
    assert await bucket.kind(5, wrong, line="deployment:0:replid", gateway="three") == "FENCED"
    assert await bucket.kind(5, wrong, gateway="three") == "UNREGISTERED"
    assert await bucket.kind(5, replace(wrong, key=replace(KEY, fingerprint="finger"))) == "KEY_REUSED"
    assert [await bucket.kind(6, wrong), await bucket.kind(5, wrong, gateway="two")] == ["REPLAYED", "REPLAYED"]
    assert await bucket.kind(5, wrong) == "COUNTED"  # before, by this very call
    assert await bucket.kind(5, wrong := replace(wrong, key=None)) == "SEEN"
    assert await bucket.kind(6, wrong) == "STALE"
    assert await bucket.kind(6, wrong := replace(wrong, version=3)) == "WRONG_WINDOW"
    assert await bucket.kind(6, wrong := replace(wrong, window_end_ms=FAR_MS)) == "REFUSED"
    assert await bucket.kind(PEEK, mended := replace(wrong, quantity=9, version=4)) == "PEEKED"
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
        windows = {"ends": replace(ORDER, window_end_ms=meet_ms), "begins": replace(ORDER, window_start_ms=meet_ms)}
        while now_ms <= meet_ms:
            for name, order in windows.items():
                now_ms = (answer := await bucket.ask(PEEK, order)).now_ms
                right = name == ("ends" if now_ms < meet_ms else "begins")
                assert answer.kind == (consume.PEEKED if right else consume.WRONG_WINDOW)
                exactly |= {(name, now_ms - meet_ms)} if now_ms in {meet_ms - 1, meet_ms} else set()


@pytest.mark.parametrize("length_ms", [1000, 60_000, 3_600_000])
async def test_a_window_shorter_than_a_day_is_computed(bucket: Bucket, length_ms: int) -> None:
    """It starts at a multiple of its length; of what was used before that, nothing counts."""
    order = replace(ORDER, window_start_ms=0, window_end_ms=length_ms, event=None)
    start_ms = (await bucket.ask(PEEK, order)).window_start_ms
    await bucket.redis.hset(USE, mapping={"calls": 10, "calls.w": start_ms - length_ms})
    answer = await bucket.ask(1, order)
    assert (answer.kind, answer.used) == (consume.COUNTED, 1)
    assert answer.window_start_ms == answer.now_ms - answer.now_ms % length_ms
    assert await bucket.redis.hget(USE, "calls.w") == str(answer.window_start_ms)
    assert await bucket.redis.pexpiretime(USE) == answer.window_start_ms + length_ms + GRACE_MS


async def test_expiry_follows_the_longest_window_and_is_only_extended(bucket: Bucket) -> None:
    """A new window moves it later or not at all, use in a running window leaves it, and forever stays forever."""

    async def expires_ms(number: int, counter: str, end_ms: int) -> int:
        assert await bucket.kind(number, replace(ORDER, counter=counter, window_end_ms=end_ms)) == "COUNTED"
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
    second = await bucket.ask(2, replace(ORDER, key=KEY, event=b'[1,"\x00\xff"]'))
    assert KEY.remember_ms - 5000 < await bucket.redis.pttl(IDEM) <= KEY.remember_ms
    assert [row[1] for row in await bucket.connection.call("XRANGE", USAGE, "-", "+")] == [
        [b"id", b"one-1", b"at", b"%d" % first.now_ms, b"claim", b"claim"],
        [b"id", b"digest", b"at", b"%d" % second.now_ms, b"claim", b'[1,"\x00\xff"]'],
    ]


@pytest.mark.parametrize("event", [b"claim", None], ids=["metered", "rate"])
async def test_numbers_are_exact_up_to_the_largest(bucket: Bucket, event: bytes | None) -> None:
    """Up to 2^53-1 every unit is counted exactly; a sum beyond is refused even without a ceiling."""
    order = replace(ORDER, ceiling=None, event=event)
    assert (await bucket.ask(1, order)).used == 1
    assert await bucket.kind(2, replace(order, quantity=MAX)) == "REFUSED"
    assert (await bucket.ask(2, replace(order, quantity=MAX - 2))).used == MAX - 1
    assert (await bucket.ask(MAX, order)).used == MAX
    assert [await bucket.kind(PEEK, order), await bucket.kind(PEEK, replace(order, quantity=MAX))] == ["REFUSED"] * 2
    assert (await bucket.ask(1, replace(order, counter="other", quantity=MAX), gateway="two")).used == MAX
    assert [await bucket.redis.hget(USE, counter) for counter in ("calls", "other")] == [str(MAX)] * 2


NO_NUMBERS = ["", " 7 ", "7 ", "7\0", "7\n", "\u0667", "0x10", "nan", "inf"]
NOT_WHOLE = [*NO_NUMBERS, "-1", "-0", "+1", "1.5", "1.0", "1e3", "007", str(2**53)]
NUMBERS = {"quantity": 1, "version": 3, "window_start_ms": 1000, "window_end_ms": FAR_MS, "ceiling": 10}


def argv(key: str = "", number: str = "1", **changes: int) -> list[str | bytes]:
    """Make the arguments of one claim, with changes to its numbers."""
    numbers = NUMBERS | changes
    return [LINE, "one", "calls", struct.pack(f">{len(numbers)}Q", *numbers.values()), "claim", key, number]


async def test_a_number_that_is_none_is_refused_by_name(bucket: Bucket) -> None:
    """Lua would take several of them for numbers; each is an error that names the argument, and nothing is written."""
    before = await bucket.everything()
    for bad in NOT_WHOLE:
        assert "BADARG number is " in await bucket.refusal(*argv(number=bad))
    for bad in [*NOT_WHOLE[1:], "0"]:
        assert "BADARG remember_ms is " in await bucket.refusal(*argv(key=f"digest fingerprint {bad}"))
    assert await bucket.everything() == before


async def test_a_number_out_of_range_is_refused_and_shown(bucket: Bucket) -> None:
    """What is sent as eight bytes may be too large to be exact, or nothing where something is expected."""
    before = await bucket.everything()
    for name in NUMBERS:
        for bad in (2**53, 2**64 - 1, *([] if name in {"window_start_ms", "ceiling"} else [0])):
            assert f"{name} {float(bad):.0f}" in (await bucket.refusal(*argv(**{name: bad}))).replace(" is ", " ")
    assert await bucket.everything() == before


async def test_arguments_that_do_not_fit_are_refused(bucket: Bucket) -> None:
    """Too few or too many, numbers cut short, half a key, a key without its place: an error, and nothing is written."""
    before = await bucket.everything()
    whole = argv()
    for count in range(len(whole)):
        assert "BADARG" in await bucket.refusal(*whole[:count])
    for numbers in (b"", b"\0" * 8, whole[3][:-1], whole[3] + b"\0", whole[3] + b"\0" * 8):
        assert "BADARG numbers have " in await bucket.refusal(*whole[:3], numbers, *whole[4:])
    for key in ("digest", "digest fingerprint", "digest fingerprint 1 2", " ", "digest  1000"):
        assert "BADARG" in await bucket.refusal(*argv(key=key))
    for few in ([HEAD, USAGE, USE], [HEAD, USAGE], []):
        with pytest.raises(redis.exceptions.ResponseError, match="BADARG"):
            await bucket.redis.eval(SCRIPT, len(few), *few, *argv(key="digest fingerprint 1000"))
    assert await bucket.everything() == before


NONE = ("x", "-1", "1.5", "nan", "", str(2**53))
CORRUPT = [
    *(
        ("SET", HEAD, "x"),
        ("SET", USE, "x"),
        ("SET", USAGE, "x"),
        ("HSET", IDEM, "x", "x"),
        ("HSET", USE, "calls", "1"),
    ),
    *(("HSET", HEAD, "one", bad) for bad in NONE),
    *(("HSET", USE, ".v", bad) for bad in (*NONE, "0")),
    *(("HSET", USE, "calls", "1", "calls.w", bad) for bad in NONE),
    *(("HSET", USE, "calls", bad, "calls.w", "1000", ".v", "3") for bad in (*NONE, "1e1", "007")),
]


@pytest.mark.parametrize("corruption", CORRUPT, ids=" ".join)
async def test_what_no_script_wrote_is_an_error_and_stays(bucket: Bucket, corruption: tuple[str, ...]) -> None:
    """A key of the wrong type or a number that is none: the claim is not counted, in no key, and nothing is mended."""
    await bucket.redis.delete(*[corruption[1]] if corruption[0] == "SET" else "-")
    await bucket.redis.execute_command(*corruption)
    before = await bucket.everything()
    assert await bucket.kind(1, replace(ORDER, key=KEY)) in {"WRONGTYPE", "BADARG"}
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
                    assert await bucket.kind(2, replace(ORDER, counter=counter, event=event, key=key)) == error
                assert await bucket.everything() == before
                await client.config_set(setting, 0)
                assert await bucket.kind(2, replace(ORDER, key=KEY)) == "COUNTED"
            bucket.connection.close()
