"""What one call of consume.lua costs Redis beside a script that only reads, raises and writes: by Redis's own clock."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from benchmarks.blocks import Ratio
from benchmarks.claims import LIMIT, Claims, counted
from gateway.counters import keys
from gateway.counters.connection import pack
from gateway.counters.order import Order
from gateway.counters.usage import pack_claim

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.workload import Draw
    from gateway.counters.connection import Connection

BARE: Final = Path(__file__).with_suffix(".lua").read_text(encoding="utf-8")
BARE_SHA: Final = hashlib.sha1(BARE.encode(), usedforsecurity=False).hexdigest()
AT_ONCE: Final = 50


TOGETHER: Final = 8

Calls = Callable[[range], list[tuple[bytes, list[Order]]]]
"""Makes the calls that count the claims of so many numbers; each with the claims of consume.lua that are in it."""


class ScriptCost:
    """What Redis says it spends in the script, beside what else could be called, block by block in turns."""

    def __init__(self, redis: Connection, claims: Claims, draw: Draw, feature: str) -> None:
        self._redis = redis
        self._claims = claims
        self._draw = draw
        self._feature = feature
        self._number = 1
        self._alike = _of_one_bucket(draw)

    @classmethod
    async def open(cls, redis: Connection, draw: Draw, feature: str) -> Self:
        """Have the scripts loaded, and claims known to them."""
        await redis.call("SCRIPT", "LOAD", BARE)
        costs = cls(redis, await Claims.open(redis, feature, draw), draw, feature)
        await costs._settle()
        return costs

    async def against_bare(self, count: int, passes: int) -> Ratio:
        """Compare with a script that only reads, raises and writes."""
        return await self._compare(self._each, self._bare, count, passes)

    async def together(self, count: int, passes: int) -> Ratio:
        """Compare claims of one bucket, several in a call, with the same in a call each."""
        return await self._compare(self._together, self._apart, count, passes)

    async def further(self, more: int, count: int, passes: int) -> Ratio:
        """Tell what each of so many further limits costs beside the first, at a claim that has one alone."""
        several = partial(self._further, further=more)
        await self._usec(several(self._numbers(count)))  # windows begin
        found = await self._compare(several, self._apart, count, passes)
        return Ratio((found.value - 1) / more, (found.low - 1) / more, (found.high - 1) / more, found.pairs)

    async def _settle(self) -> None:
        """Count once for every customer: a window that begins costs more than one that runs, and comes seldom."""
        calls: list[tuple[bytes, list[Order]]] = []
        for name in sorted(self._draw.names()):
            one = self._claims.together([name], [self._number])
            calls += [(one, self._orders([name])), (self._bare_call(name, self._number), [])]
            self._number += 1
        await self._usec(calls)

    async def _compare(self, one: Calls, other: Calls, count: int, passes: int) -> Ratio:
        ratios = []
        for place in range(passes):
            spent = {}
            for calls in (one, other) if place % 2 == 0 else (other, one):
                spent[calls] = await self._usec(calls(self._numbers(count)))
            ratios.append(spent[one] / spent[other])
        return Ratio.of_medians(ratios)

    def _numbers(self, count: int) -> range:
        self._number += count
        return range(self._number - count, self._number)

    def _each(self, numbers: range) -> list[tuple[bytes, list[Order]]]:
        return [(self._claims.call(number, number), self._orders([self._draw[number]])) for number in numbers]

    def _bare(self, numbers: range) -> list[tuple[bytes, list[Order]]]:
        return [(self._bare_call(self._draw[number], number), []) for number in numbers]

    def _further(self, numbers: range, further: int) -> list[tuple[bytes, list[Order]]]:
        limited = [self._claims.limited(self._customers([number])[0], further, number) for number in numbers]
        return [(packed, [order]) for packed, order in limited]

    def _orders(self, customers: Sequence[str]) -> list[Order]:
        return [self._claims.order(customer) for customer in customers]

    def _bare_call(self, customer: str, number: int) -> bytes:
        tag = keys.tag(keys.bucket_of(customer))
        at_ms = time.time_ns() // 1_000_000
        event = pack_claim(customer, self._feature, "calls", 1, 1, f"{self._feature}:month", 1)
        names = (f"{{{tag}}}:bare:{customer}", f"{{{tag}}}:bare-usage")
        return pack("EVALSHA", BARE_SHA, 2, *names, 1, LIMIT, f"{self._claims.gateway}-{number}", at_ms, event)

    def _together(self, numbers: range) -> list[tuple[bytes, list[Order]]]:
        parts = [numbers[at : at + TOGETHER] for at in range(0, len(numbers), TOGETHER)]
        customers = [self._customers(part) for part in parts]
        return [
            (self._claims.together(names, part), self._orders(names))
            for names, part in zip(customers, parts, strict=True)
        ]

    def _apart(self, numbers: range) -> list[tuple[bytes, list[Order]]]:
        customers = [self._customers([number]) for number in numbers]
        return [
            (self._claims.together(names, [number]), self._orders(names))
            for names, number in zip(customers, numbers, strict=True)
        ]

    def _customers(self, numbers: Sequence[int]) -> list[str]:
        return [self._alike[number % len(self._alike)] for number in numbers]

    async def _usec(self, calls: list[tuple[bytes, list[Order]]]) -> int:
        """Call; returns the microseconds that Redis spent in it."""
        before = await _spent(self._redis)
        for at in range(0, len(calls), AT_ONCE):
            some = calls[at : at + AT_ONCE]
            answers = await asyncio.gather(*(_answer(self._redis, packed) for packed, _ in some))
            assert all(not orders or counted(answer, orders) for answer, (_, orders) in zip(answers, some, strict=True))
        return await _spent(self._redis) - before


def _of_one_bucket(draw: Draw) -> list[str]:
    """List customers that share the bucket of the first one."""
    names = sorted(draw.names())
    return [name for name in names if keys.bucket_of(name) == keys.bucket_of(names[0])]


async def _spent(redis: Connection) -> int:
    told = await redis.call("INFO", "commandstats")
    text = told.decode() if isinstance(told, bytes) else str(told)
    found = re.search(r"^cmdstat_evalsha:calls=\d+,usec=(\d+)", text, re.MULTILINE)
    return int(found[1]) if found else 0


def _answer(redis: Connection, packed: bytes) -> asyncio.Future[object]:
    """Send one command; an error is a bug of ours, and raised."""
    future: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    def reply(answer: object) -> None:
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    redis.send(packed, reply)
    return future
