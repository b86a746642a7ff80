"""Claims as consume.lua takes them, without a gateway: the one place here that knows how the script is called."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Final, Self

from msgspec.structs import replace

from gateway.counters import keys
from gateway.counters.consume import COUNTED, SCRIPT, command, command_of_many, read_many
from gateway.counters.footing import Footing
from gateway.counters.order import Order, Quota, Span
from gateway.counters.usage import pack_claim

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.workload import Draw
    from gateway.counters.connection import Connection

LIMIT: Final = 10**12
WINDOW_MS: Final = 365 * 86_400_000


class Claims:
    """Commands that count one claim each, ready to be sent."""

    def __init__(self, line: str, feature: str, draw: Draw) -> None:
        self.gateway = secrets.token_hex(8)
        self._footing = Footing.of(line, self.gateway)
        self._orders: dict[str, Order] = {}
        self._limited: dict[tuple[str, int], Order] = {}
        self._feature = feature
        self._draw = draw
        self._from_ms = time.time_ns() // 1_000_000 - WINDOW_MS // 2

    @classmethod
    async def open(cls, redis: Connection, feature: str, draw: Draw) -> Self:
        """Have Redis know the script, and the script us in every bucket."""
        await redis.call("SCRIPT", "LOAD", SCRIPT)
        line = await redis.call("HGET", keys.head(0), "line")
        assert isinstance(line, bytes), "no keeper has opened this Redis"
        claims = cls(line.decode(), feature, draw)
        for bucket in range(keys.BUCKETS):
            await redis.call("HSET", keys.head(bucket), claims.gateway, 0)
        return claims

    def call(self, drawn: int, number: int) -> bytes:
        """Pack the claim of who is drawn at a place, under a number that rises from 1 with every claim."""
        return command(self._footing, self.order(self._draw[drawn]), number)

    def together(self, customers: Sequence[str], numbers: Sequence[int]) -> bytes:
        """Pack one call for claims of several customers of one bucket."""
        return command_of_many(self._footing, [self.order(customer) for customer in customers], numbers)

    def counted(self, answer: object) -> bool:
        """Tell whether the script counted the claim of a call, whoever's it was."""
        return isinstance(answer, bytes) and counted(answer, [self.order(self._draw[1])])

    def limited(self, customer: str, further: int, number: int) -> tuple[bytes, Order]:
        """Pack a claim against so many rates more than its quota."""
        at = customer, further
        if at not in self._limited:
            order = self.order(customer)
            rates = (
                Quota(f"{self._feature}/{place}", Span(0, WINDOW_MS), LIMIT, kept=False) for place in range(further)
            )
            self._limited[at] = replace(order, limits=(*order.limits, *rates))
        return command(self._footing, self._limited[at], number), self._limited[at]

    def order(self, customer: str) -> Order:
        """Say what is to be counted for a customer."""
        if customer not in self._orders:
            counter = f"{self._feature}:bare"
            self._orders[customer] = Order(
                bucket=keys.bucket_of(customer),
                customer=customer,
                limits=(Quota(counter, Span(self._from_ms, self._from_ms + WINDOW_MS), LIMIT),),
                quantity=1,
                version=1,
                event=pack_claim(customer, self._feature, "calls", 1, 1, counter, self._from_ms),
            )
        return self._orders[customer]


def counted(answer: object, orders: Sequence[Order]) -> bool:
    """Tell whether the script counted the claims of a call."""
    return all(one.kind == COUNTED for one in read_many(answer, orders))
