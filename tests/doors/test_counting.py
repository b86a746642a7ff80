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
from tests.faults.store_proxy import redis_proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import redis.asyncio

    from gateway.counters.consume import Answer

FAR_MS = 4_000_000_000_000
MONTH = Quota("calls", Span(1000, FAR_MS), None)
ORDER = Order(7, "acme", (MONTH,), 1, version=3, event=b"claim")
RATE = Order(7, "acme", (Quota("rate", Span(0, 60_000), None),), 1, version=3)
USAGE = keys.usage(7)


class Heard(Ask, kw_only=True, eq=False):
    """A claim whose answer is kept."""

    answers: list[Answer]
    others: list[str]

    def told(self, answer: Answer) -> None:
        """Keep it, and who was told."""
        self.answers.append(answer)
        self.others.append(self.order.counter)


@dataclass
class Kept:
    """A journal in memory; `full` refuses."""

    written: list[tuple[object, ...]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    full: bool = False
    gateway: str = "kept"

    def add(self, *event: object) -> None:
        """Keep an event, behind how many answers were told before it."""
        if self.full:
            raise OSError("no room")
        self.written.append((*event, len(self.told)))


@dataclass
class Gateway:
    """Counters that believe bucket 7 of a Redis, and their journal."""

    counters: Counters
    journal: Kept

    def ask(self, order: Order, *, wait_s: float = 2.0) -> Heard:
        """Make a claim, to be counted within `wait_s`."""
        until_s = asyncio.get_running_loop().time() + wait_s
        return Heard(order, until_s, answers=[], others=self.journal.told)

    async def consume(self, *orders: Order, wait_s: float = 2.0) -> list[Heard]:
        """Count claims: one alone, several together."""
        asks = [self.ask(order, wait_s=wait_s) for order in orders]
        if len(asks) == 1:
            self.counters.consume(asks[0])
        else:
            self.counters.consume_many(asks)
        await answered(*asks)
        return asks


async def answered(*asks: Heard) -> None:
    """Wait until each was told."""
    async with asyncio.timeout(5):
        while not all(ask.answers for ask in asks):
            await asyncio.sleep(0.005)


def kinds(asks: list[Heard]) -> list[bytes]:
    """Tell what each heard, all that it heard."""
    return [b" ".join(answer.kind for answer in ask.answers) for ask in asks]


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
    """Alone or among others, whose own time is not over, it is answered without having been counted."""
    (late,) = await gateway.consume(ORDER, wait_s=0)
    mixed = [gateway.ask(ORDER), gateway.ask(ORDER, wait_s=-1), gateway.ask(ORDER)]
    gateway.counters.consume_many(mixed)
    await answered(*mixed)
    assert kinds([late, *mixed]) == [UNAVAILABLE, COUNTED, UNAVAILABLE, COUNTED]
    assert await redis_client.xlen(USAGE) == 2


async def test_nobody_is_counted_for_who_has_gone(gateway: Gateway, redis_client: redis.asyncio.Redis) -> None:
    """A caller that goes away before its claim is sent costs nothing."""
    gone = gateway.ask(ORDER)
    gone.wanted = False
    gateway.counters.consume(gone)
    assert kinds([gone]) == [UNAVAILABLE]
    assert await redis_client.xlen(USAGE) == 0


async def test_many_claims_are_few_calls_and_told_in_order(gateway: Gateway, redis_client: redis.asyncio.Redis) -> None:
    """As many as there may be share a call, each has its number and its event, and each sees those before it."""
    before = await calls_of_the_script(redis_client)
    count = 2 * CLAIMS_MAX + 1
    limited = replace(ORDER, limits=(MONTH._replace(ceiling=count - 1),))
    asks = await gateway.consume(*[limited] * count)
    assert await calls_of_the_script(redis_client) - before == 3
    assert [ask.answers[0].states[0][0] for ask in asks] == [*range(1, count), count - 1]
    assert kinds(asks) == [COUNTED] * (count - 1) + [REFUSED]
    written = [fields["id"] for _, fields in await redis_client.xrange(USAGE)]
    assert written == [ask.event_id for ask in asks[:-1]]
    assert len(set(written)) == count - 1


@pytest.mark.parametrize("corruption", [("SET", "x"), ("HSET", "calls", "x")], ids=["WRONGTYPE", "BADARG"])
async def test_one_that_cannot_be_counted_costs_the_others_nothing(
    gateway: Gateway, redis_client: redis.asyncio.Redis, corruption: tuple[str, ...]
) -> None:
    """What somebody broke in one customer's hash denies that customer, not those who share its call."""
    await redis_client.execute_command(corruption[0], keys.use(7, "bolt"), *corruption[1:])
    broken = replace(ORDER, customer="bolt")
    asks = await gateway.consume(ORDER, broken, ORDER)
    assert kinds(asks) == [COUNTED, UNAVAILABLE, COUNTED]
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
        (line, fields["id"], 7, int(fields["at"]), "calls", 1000, fields["claim"].encode())
        for _, fields in await redis_client.xrange(USAGE)
    ]
    assert [event[1] for event in events] == ["kept-1", "digest"]
    assert gateway.journal.written == [(*events[0], 0), (*events[1], 3)]


async def test_what_cannot_be_journaled_is_not_told_as_counted(
    gateway: Gateway, redis_client: redis.asyncio.Redis
) -> None:
    """Without a journal entry an allowance could be lost with Redis: the claim is answered as unknown."""
    gateway.journal.full = True
    asks = await gateway.consume(ORDER, wait_s=0.1)
    assert kinds(asks) == [UNAVAILABLE]
    assert await redis_client.xlen(USAGE) == 1


@pytest.mark.parametrize("gone", [False, True], ids=["waits", "has gone"])
async def test_a_lost_reply_is_looked_up_only_for_who_waits(
    short_folder: Path, redis_url: str, redis_client: redis.asyncio.Redis, gone: bool
) -> None:
    """Counted once either way, and journaled as the stream has it; who has gone does not ask again."""
    async with redis_proxy(redis_url, short_folder) as (proxy, proxied), gateway_on(proxied, redis_client) as gateway:
        proxy.lose_reply_to = b"EVALSHA"
        asks = [gateway.ask(ORDER) for _ in range(3)]
        gateway.counters.consume_many(asks)
        for ask in asks:
            ask.wanted = not gone
        await answered(*asks)
        assert kinds(asks) == [UNAVAILABLE if gone else COUNTED] * 3
        events = await redis_client.xrange(USAGE)
        assert len(events) == proxy.lost * 3 == 3
        journaled = [(event[1], event[3]) for event in gateway.journal.written]
        assert journaled == ([] if gone else [(fields["id"], int(fields["at"])) for _, fields in events])


async def test_an_answer_that_does_not_come_is_unknown_by_the_deadline(
    short_folder: Path, redis_url: str, redis_client: redis.asyncio.Redis
) -> None:
    """Whoever waits is told in time, long before the connection is given up; what is counted then is not journaled."""
    async with redis_proxy(redis_url, short_folder) as (proxy, proxied), gateway_on(proxied, redis_client) as gateway:
        time = asyncio.get_running_loop().time
        proxy.hold_request = b"EVALSHA"
        begun_s = time()
        asks = await gateway.consume(ORDER, ORDER, wait_s=0.1)
        assert 0.09 < time() - begun_s < 0.4
        proxy.release.set()
        async with asyncio.timeout(5):
            while await redis_client.xlen(USAGE) != 2:
                await asyncio.sleep(0.005)
        await gateway.consume(RATE)
        assert kinds(asks) == [UNAVAILABLE] * 2
        assert gateway.journal.written == []
