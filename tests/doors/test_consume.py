"""consume.lua counts a claim whole or not at all, once, in the right window, and says which of its rules decided."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
import redis.asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.counters import consume, keys
from gateway.counters.connection import Address, Connection, ReplyError
from gateway.counters.consume import PEEK, Answer, Key, Order
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
ORDER = Order(7, "acme", "calls", 1000, FAR_MS, 1, version=3, ceiling=10, event=b"claim")


@dataclass(frozen=True)
class Bucket:
    """Bucket 7, in which gateways `one` and `two` are registered: asked by our connection, seen by another client."""

    connection: Connection
    redis: redis.asyncio.Redis

    async def ask(self, number: int, order: Order, *, line: str = LINE, gateway: str = "one") -> Answer:
        """Run the script as a gateway does; an error is an answer of that kind."""
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.connection.send(consume.command(order, line, gateway, number, whole_script=True), answered.set_result)
        reply = await answered
        return Answer(str(reply).split()[0].encode()) if isinstance(reply, ReplyError) else consume.read(reply)

    async def kind(self, number: int, order: Order, *, line: str = LINE, gateway: str = "one") -> str:
        """Run the script and tell the answer's kind."""
        return (await self.ask(number, order, line=line, gateway=gateway)).kind.decode()

    async def refusal(self, *argv: str) -> str:
        """Run the script with arguments that no gateway of ours sends; returns the error."""
        with pytest.raises(redis.exceptions.ResponseError) as refused:
            await self.redis.eval(consume.SCRIPT, 4, HEAD, USE, USAGE, IDEM, *argv)
        return str(refused.value)

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
    connection = await Connection.open(Address.parse(redis_url))
    made = Bucket(connection, redis_client)
    await made.anew()
    yield made
    connection.close()


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
    """Two windows that meet at a moment are asked across it: to the millisecond, exactly one of them is right."""
    exactly: set[str] = set()
    while exactly != {"ends", "begins"}:
        meet_ms = now_ms = (await bucket.ask(PEEK, ORDER)).now_ms + 20
        windows = {"ends": replace(ORDER, window_end_ms=meet_ms), "begins": replace(ORDER, window_start_ms=meet_ms)}
        exactly = set()
        while now_ms <= meet_ms:
            for name, order in windows.items():
                now_ms = (answer := await bucket.ask(PEEK, order)).now_ms
                right = name == ("ends" if now_ms < meet_ms else "begins")
                assert answer.kind == (b"PEEKED" if right else b"WRONG_WINDOW")
                exactly |= {name} if now_ms == meet_ms else set()


@pytest.mark.parametrize("length_ms", [1000, 60_000, 3_600_000])
async def test_a_window_shorter_than_a_day_is_computed(bucket: Bucket, length_ms: int) -> None:
    """It starts at a multiple of its length; of what was used before that, nothing counts."""
    order = replace(ORDER, window_start_ms=0, window_end_ms=length_ms, event=None)
    start_ms = (await bucket.ask(PEEK, order)).window_start_ms
    await bucket.redis.hset(USE, mapping={"calls": 10, "calls.w": start_ms - length_ms})
    answer = await bucket.ask(1, order)
    assert (answer.kind, answer.used) == (b"COUNTED", 1)
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
    assert (first.event_id, second.event_id) == ("one-1", "digest")
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


ARGV = [LINE, "one", "1", "1", "3", "calls", "1000", str(FAR_MS), "ceiling", "10", "event", "claim"]
KEYED = [*ARGV, "event_id", "digest", "fingerprint", "fingerprint", "remember_ms", "1000"]
NO_NUMBERS = ["", " 7 ", "7 ", "7\0", "7\n", "\u0667", "0x10", "nan", "inf"]
NOT_WHOLE = [*NO_NUMBERS, "-1", "-0", "+1", "1.5", "1.0", "1e3", str(2**53)]
PLACES = {"number": 2, "quantity": 3, "version": 4, "window_start_ms": 6, "window_end_ms": 7, "ceiling": 9}


@pytest.mark.parametrize(("name", "place"), [*PLACES.items(), ("remember_ms", 17)])
async def test_what_is_not_a_whole_number_is_refused_by_name(bucket: Bucket, name: str, place: int) -> None:
    """Lua would take several of them for numbers; each is an error that names the argument, and nothing is written."""
    before = await bucket.everything()
    for bad in NOT_WHOLE + (["0"] if name in {"quantity", "version", "window_end_ms", "remember_ms"} else []):
        assert f"BADARG {name} is " in await bucket.refusal(*KEYED[:place], bad, *KEYED[place + 1 :])
    for few in (*(ARGV[:length] for length in range(8)), ARGV, KEYED[:12] + KEYED[14:], KEYED[:14] + KEYED[16:]):
        assert "BADARG" in await bucket.refusal(*few)
    assert await bucket.everything() == before


CORRUPT = [
    *(("SET", HEAD, "x"), ("HSET", HEAD, "one", "x"), ("SET", USE, "x"), ("SET", USAGE, "x"), ("HSET", IDEM, "x", "x")),
    *(("HSET", USE, "calls", bad, "calls.w", "1000", ".v", "3") for bad in ("x", "-1", "1.5", "1e1", "", str(2**53))),
    *(("HSET", USE, "calls", "1"), ("HSET", USE, "calls", "1", "calls.w", "x"), ("HSET", USE, ".v", "x")),
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
            bucket = Bucket(await Connection.open(Address.parse(own.url)), client)
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


@dataclass
class Model:
    """The rules of the script's header, said once more; TIME lies in every window but the one that ends at 2000."""

    head: dict[str, str] = field(default_factory=lambda: {"line": LINE, "one": "0", "two": "0"})
    use: dict[str, str] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)

    def consume(self, gateway: str, number: int, order: Order) -> tuple[str, int, int, str]:
        """Answer kind, used, window_start_ms and event id."""
        if gateway not in self.head:
            return "UNREGISTERED", 0, 0, ""
        used, window_ms = (int(self.use.get(order.counter + field, 0)) for field in ("", ".w"))
        if window_ms < (opened_ms := order.window_start_ms or LENGTH_MS):
            used, window_ms = 0, opened_ms
        own, event_id = f"{gateway}-{number}", order.key.event_id if order.key else f"{gateway}-{number}"
        first, by = self.known.get(event_id, " ").split(" ") if order.key and number else ("", "")
        if order.key and first:
            kind = "KEY_REUSED" if first != order.key.fingerprint else "COUNTED" if by == own else "REPLAYED"
        elif number and number <= int(self.head[gateway]):
            kind = "SEEN"
        elif order.version < int(self.use.get(".v", 0)):
            kind = "STALE"
        elif order.window_end_ms == 2000:
            kind = "WRONG_WINDOW"
        elif used + order.quantity > (MAX if order.ceiling is None else order.ceiling):
            kind = "REFUSED"
        elif number == PEEK:
            kind = "PEEKED"
        else:
            kind, used = "COUNTED", used + order.quantity
            self.head[gateway] = str(number)
            self.use |= {order.counter: str(used), f"{order.counter}.w": str(window_ms), ".v": str(order.version)}
            self.known |= {event_id: f"{order.key.fingerprint} {own}"} if order.key else {}
            self.events += [event_id] if order.event else []
        return kind, used, window_ms, event_id if kind in {"COUNTED", "REPLAYED", "KEY_REUSED"} else ""


ORDERS = st.builds(
    lambda window, **fields: Order(7, "acme", window_start_ms=window[0], window_end_ms=window[1], **fields),
    st.sampled_from([(1000, FAR_MS), (2000, FAR_MS), (0, LENGTH_MS), (1000, 2000)]),
    counter=st.sampled_from("ab"),
    quantity=st.integers(1, 4),
    version=st.sampled_from([3, 3, 3, 4, 5]),
    ceiling=st.none() | st.integers(0, 12),
    event=st.sampled_from([b"claim", None]),
    key=st.none() | st.builds(Key, st.sampled_from(["x", "y"]), st.sampled_from(["f", "g"]), st.just(60_000)),
)
NUMBERS = st.sampled_from([1, 1, 1, 2, 0, -1, None])  # from the last one on; None peeks
ASKS = st.lists(st.tuples(st.sampled_from(["one", "one", "two", "three"]), NUMBERS, ORDERS), max_size=20)


@settings(max_examples=200, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asks=ASKS)
async def test_the_script_does_what_its_header_says(bucket: Bucket, asks: list[tuple[str, int | None, Order]]) -> None:
    """Claims, peeks, repeats and older numbers in any order: each answer and all that is left are the model's."""
    await bucket.anew()
    model = Model()
    for gateway, ahead, order in asks:
        number = PEEK if ahead is None else max(1, int(model.head.get(gateway, 0)) + ahead)
        answer = await bucket.ask(number, replace(order, peek=number == PEEK), gateway=gateway)
        told = (answer.kind.decode(), answer.used, answer.window_start_ms, answer.event_id)
        assert told == model.consume(gateway, number, order)
    assert await bucket.redis.hgetall(USE) == model.use
    assert await bucket.redis.hgetall(HEAD) == model.head
    assert [fields["id"] for _, fields in await bucket.redis.xrange(USAGE)] == model.events
    known = {keys.idempotency(7, "acme", name): fingerprint for name, fingerprint in model.known.items()}
    assert {name: await bucket.redis.get(name) for name in await bucket.redis.keys("*:idem:*")} == known
