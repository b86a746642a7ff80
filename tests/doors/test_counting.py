"""Counting on a real Redis: each claim is told once, journaled before that, and never sent for nobody or too late."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from gateway.counters import keys
from gateway.counters.ask import Ask
from gateway.counters.connection import Address
from gateway.counters.consume import CLAIMS_MAX, COUNTED, REFUSED, UNAVAILABLE
from gateway.counters.counting import Counters
from gateway.counters.order import Key, Order, Quota, Span
from gateway.journal import constant
from tests.faults.store_proxy import redis_proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    import redis.asyncio

    from gateway.counters.consume import Answer
    from gateway.journal import Use

FAR_MS = 4_000_000_000_000
MONTH = Quota("calls", Span(1000, FAR_MS), None)
ORDER = Order(7, "acme", (MONTH,), 1, version=3, event=b"claim")
RATE = Order(7, "acme", (Quota("rate", Span(0, 60_000), None),), 1, version=3)
USAGE = keys.usage(7)


@dataclass
class Waiting:
    """Who asks."""

    deadline_s: float
    wanted: bool = True


class Heard(Ask, kw_only=True, eq=False):
    """A call whose answers are kept."""

    answers: list[Answer]
    others: list[str]

    def told(self, answers: Sequence[Answer]) -> None:
        """Keep them, and who was told."""
        self.answers += answers
        self.others += [order.counter for order in self.orders]


@dataclass
class Kept:
    """A journal in memory; `full` refuses."""

    written: list[tuple[object, ...]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    full: bool = False
    gateway: str = "kept"

    def add(self, line: bytes, bucket: int, uses: Sequence[Use]) -> None:
        """Keep each event, behind how many answers were told before it."""
        if self.full:
            raise OSError("no room")
        self.written += [(line, bucket, *use, len(self.told)) for use in uses]


@dataclass
class Gateway:
    """Counters that believe bucket 7 of a Redis, and their journal."""

    counters: Counters
    journal: Kept

    def ask(self, *orders: Order, wait_s: float = 2.0) -> Heard:
        """Make a call for claims that are to be counted within `wait_s`."""
        until_s = asyncio.get_running_loop().time() + wait_s
        return Heard(orders, Waiting(until_s), answers=[], others=self.journal.told)

    async def consume(self, *orders: Order, wait_s: float = 2.0) -> Heard:
        """Count claims in one call."""
        ask = self.ask(*orders, wait_s=wait_s)
        self.counters.consume(ask)
        await answered(ask)
        return ask


async def answered(ask: Heard) -> None:
    """Wait until it was told."""
    async with asyncio.timeout(5):
        while not ask.answers:
            await asyncio.sleep(0.005)


def kinds(ask: Heard) -> list[bytes]:
    """Tell all that was heard, claim by claim."""
    return [answer.kind for answer in ask.answers]


@asynccontextmanager
async def gateway_on(url: str, client: redis.asyncio.Redis) -> AsyncIterator[Gateway]:
    """Open bucket 7 and count in it."""
    replid = (await client.info("replication"))["master_replid"]
    await client.hset(keys.head(7), "line", f"deployment:1:{replid}")
    journal = Kept()
    counters = Counters(Address.parse(url), timeout_ms=500, journal=journal)
    await counters.start()
    yield Gateway(counters, journal)
    await counters.stop()


@pytest.fixture
async def gateway(redis_url: str, redis_client: redis.asyncio.Redis) -> AsyncIterator[Gateway]:
    """A gateway on a Redis that nothing is wrong with."""
    async with gateway_on(redis_url, redis_client) as made:
        yield made


async def calls_of_the_script(client: redis.asyncio.Redis) -> int:
    """Tell how often the script was called."""
    return int((await client.info("commandstats")).get("cmdstat_evalsha", {}).get("calls", 0))


async def test_a_claim_whose_time_is_over_is_never_sent(gateway: Gateway, redis_client: redis.asyncio.Redis) -> None:
    """Alone or with others it is answered without having been counted."""
    assert kinds(await gateway.consume(ORDER, wait_s=0)) == [UNAVAILABLE]
    assert kinds(await gateway.consume(ORDER, ORDER, wait_s=-1)) == [UNAVAILABLE] * 2
    assert await redis_client.xlen(USAGE) == 0


async def test_nobody_is_counted_for_who_has_gone(gateway: Gateway, redis_client: redis.asyncio.Redis) -> None:
    """A caller that goes away before its claims are sent costs nothing."""
    gone = gateway.ask(ORDER, RATE)
    gone.asker.wanted = False
    gateway.counters.consume(gone)
    assert kinds(gone) == [UNAVAILABLE] * 2
    assert await redis_client.xlen(USAGE) == 0


async def test_many_claims_are_one_call_and_told_in_order(gateway: Gateway, redis_client: redis.asyncio.Redis) -> None:
    """As many as there may be: each has its number and its event, and each sees those before it."""
    before = await calls_of_the_script(redis_client)
    limited = replace(ORDER, limits=(MONTH._replace(ceiling=CLAIMS_MAX - 1),))
    ask = await gateway.consume(*[limited] * CLAIMS_MAX)
    assert await calls_of_the_script(redis_client) - before == 1
    assert [answer.states[0][0] for answer in ask.answers] == [*range(1, CLAIMS_MAX), CLAIMS_MAX - 1]
    assert kinds(ask) == [COUNTED] * (CLAIMS_MAX - 1) + [REFUSED]
    written = [fields["id"] for _, fields in await redis_client.xrange(USAGE)]
    assert written == [answer.event_id.decode() for answer in ask.answers[:-1]]
    assert len(set(written)) == CLAIMS_MAX - 1
    (after,) = (await gateway.consume(ORDER)).answers
    assert after.event_id == b"kept-%d" % (CLAIMS_MAX + 1), "no number is given twice"


@pytest.mark.parametrize("corruption", [("SET", "x"), ("HSET", "calls", "x")], ids=["WRONGTYPE", "BADARG"])
async def test_one_that_cannot_be_counted_costs_the_others_nothing(
    gateway: Gateway, redis_client: redis.asyncio.Redis, corruption: tuple[str, ...]
) -> None:
    """What somebody broke in one customer's hash denies that customer, not those who share its call."""
    await redis_client.execute_command(corruption[0], keys.use(7, "bolt"), *corruption[1:])
    broken = replace(ORDER, customer="bolt")
    assert kinds(await gateway.consume(ORDER, broken, ORDER)) == [COUNTED, UNAVAILABLE, COUNTED]
    assert await redis_client.xlen(USAGE) == 2
    assert len(gateway.journal.written) == 2


async def test_a_forgotten_script_is_brought_back(gateway: Gateway, redis_client: redis.asyncio.Redis) -> None:
    """SCRIPT FLUSH costs nobody an answer, and nothing is counted twice."""
    for orders in ([ORDER], [ORDER] * 3):
        await redis_client.script_flush()
        assert kinds(await gateway.consume(*orders)) == [COUNTED] * len(orders)
    assert await redis_client.xlen(USAGE) == 4


async def test_what_is_counted_is_journaled_before_it_is_told(
    gateway: Gateway, redis_client: redis.asyncio.Redis
) -> None:
    """Each event once, as it stands in the stream; a rate, a refusal and a replay are none."""
    keyed = replace(ORDER, quantity=2, event=b"keyed", key=Key("digest", "print", 60_000))
    refused = replace(ORDER, limits=(MONTH._replace(ceiling=0),))
    for order in (ORDER, RATE, refused, keyed, keyed):
        await gateway.consume(order)
    line = await redis_client.hget(keys.head(7), "line")
    events = [
        (line.encode(), 7, fields["id"].encode(), int(fields["at"]), 1000, constant("calls", fields["claim"].encode()))
        for _, fields in await redis_client.xrange(USAGE)
    ]
    assert [event[2] for event in events] == [b"kept-1", b"digest"]
    assert gateway.journal.written == [(*events[0], 0), (*events[1], 3)]


async def test_what_cannot_be_journaled_is_not_told_as_counted(
    gateway: Gateway, redis_client: redis.asyncio.Redis
) -> None:
    """Without a journal entry an allowance could be lost with Redis: the claim is answered as unknown."""
    gateway.journal.full = True
    assert kinds(await gateway.consume(ORDER, wait_s=0.1)) == [UNAVAILABLE]
    assert await redis_client.xlen(USAGE) == 1


@pytest.mark.parametrize("gone", [False, True], ids=["waits", "has gone"])
async def test_a_lost_reply_is_looked_up_only_for_who_waits(
    short_folder: Path, redis_url: str, redis_client: redis.asyncio.Redis, gone: bool
) -> None:
    """Counted once either way, and journaled as the stream has it; who has gone does not ask again."""
    async with redis_proxy(redis_url, short_folder) as (proxy, proxied), gateway_on(proxied, redis_client) as gateway:
        proxy.lose_reply_to = b"EVALSHA"
        ask = gateway.ask(ORDER, ORDER, ORDER)
        gateway.counters.consume(ask)
        ask.asker.wanted = not gone
        await answered(ask)
        assert kinds(ask) == [UNAVAILABLE if gone else COUNTED] * 3
        events = await redis_client.xrange(USAGE)
        assert len(events) == proxy.lost * 3 == 3
        journaled = [(event[2], event[3]) for event in gateway.journal.written]
        assert journaled == ([] if gone else [(fields["id"].encode(), int(fields["at"])) for _, fields in events])


async def test_an_answer_that_does_not_come_is_unknown_by_the_deadline(
    short_folder: Path, redis_url: str, redis_client: redis.asyncio.Redis
) -> None:
    """Whoever waits is told in time, long before the connection is given up; what is counted then is not journaled."""
    async with redis_proxy(redis_url, short_folder) as (proxy, proxied), gateway_on(proxied, redis_client) as gateway:
        time = asyncio.get_running_loop().time
        proxy.hold_request = b"EVALSHA"
        begun_s = time()
        ask = await gateway.consume(ORDER, ORDER, wait_s=0.1)
        assert 0.09 < time() - begun_s < 0.4
        proxy.release.set()
        async with asyncio.timeout(5):
            while await redis_client.xlen(USAGE) != 2:
                await asyncio.sleep(0.005)
        await gateway.consume(RATE)
        assert kinds(ask) == [UNAVAILABLE] * 2
        assert gateway.journal.written == []
