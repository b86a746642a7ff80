"""Makes concurrent histories: processes with connections of their own that ask the deployed script at the same time."""

from __future__ import annotations

import multiprocessing
import time
from random import Random
from typing import NamedTuple

from gateway.counters import consume, keys
from gateway.counters.footing import Footing
from gateway.counters.order import LIFETIME, Order, Quota
from tests.model.linearizable import Decided
from tests.model.situation import BUCKET
from tests.model.wire import Wire, pack

LINE = "deployment:1:replid"
CEILINGS = {"a:lifetime": 900, "b:lifetime": 700, "c:lifetime": 10**9}
IN_FLIGHT = 6


class Asking(NamedTuple):
    """What one process does."""

    url: str
    gateway: str
    seed: int
    claims: int


def history(url: str, seed: int, processes: int, claims: int) -> list[Decided]:
    """Let processes ask at the same time, and put together what each of them saw."""
    wire = Wire(url)
    wire.call("FLUSHDB")
    gateways = [f"gateway{place}" for place in range(processes)]
    wire.ask([pack("HSET", keys.head(BUCKET), "line", LINE, *(word for name in gateways for word in (name, 0)))])
    wire.call("SCRIPT", "LOAD", consume.SCRIPT)
    wire.close()
    asking = [Asking(url, name, seed * processes + place, claims) for place, name in enumerate(gateways)]
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        return [decided for part in pool.map(ask, asking, chunksize=1) for decided in part]


def ask(asking: Asking) -> list[Decided]:
    """Ask for one claim after another, a few at a time, each for one or two counters."""
    wire, random = Wire(asking.url), Random(asking.seed)  # noqa: S311 - no secret
    footing = Footing.of(LINE, asking.gateway)
    seen: list[Decided] = []
    for first in range(1, asking.claims + 1, IN_FLIGHT):
        orders = [order(random) for _ in range(IN_FLIGHT)]
        commands = [consume.command(footing, each, first + place) for place, each in enumerate(orders)]
        asked_s = time.monotonic()
        replies = wire.ask(commands)
        answered_s = time.monotonic()
        for each, reply in zip(orders, replies, strict=True):
            seen.append(decided(each, consume.read(reply, each), asked_s, answered_s))
    wire.close()
    return seen


def order(random: Random) -> Order:
    """Choose what to ask for."""
    limits = tuple(
        Quota(name, LIFETIME, CEILINGS[name]) for name in random.sample(sorted(CEILINGS), random.choice([1, 2]))
    )
    return Order(BUCKET, "acme", limits, random.choice([1, 1, 2, 5]), version=1, event=b"claim")


def decided(each: Order, answer: consume.Answer, asked_s: float, answered_s: float) -> Decided:
    """Write down what was asked and answered."""
    assert answer.kind in (consume.COUNTED, consume.REFUSED), answer
    quotas = [limit for limit in each.limits if isinstance(limit, Quota)]
    ms, _, sequence = answer.stream_id.decode().partition("-")
    return Decided(
        asked_s=asked_s,
        answered_s=answered_s,
        counters=tuple(quota.counter for quota in quotas),
        ceilings=tuple(quota.ceiling or 0 for quota in quotas),
        quantity=each.quantity,
        totals=tuple(int(state[0]) for state in answer.states),  # type: ignore[arg-type] # of quotas, which are pairs
        stream_id=(int(ms), int(sequence)) if answer.stream_id else None,
        decided=answer.decided,
    )
