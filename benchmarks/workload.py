"""What is asked, made beforehand for customers drawn by Zipf's law, and whether what came back is right."""

from __future__ import annotations

import itertools
import random
import secrets
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError

from benchmarks.wire import Client, HeaderBlocks, body_of
from gateway.v1.entitlement_pb2 import (
    BatchCheckEntitlementsRequest,
    BatchCheckEntitlementsResponse,
    CheckEntitlementRequest,
    CheckEntitlementResponse,
    Reason,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from benchmarks.wire import Body, Reply

    Headers = Sequence[tuple[str, str]]

CHECK: Final = "/gateway.v1.EntitlementService/CheckEntitlement"
BATCH_CHECK: Final = "/gateway.v1.EntitlementService/BatchCheckEntitlements"
DRAWS: Final = 1 << 20
"""So many customers are drawn; then the draw begins again."""

SEED: Final = 20_260_101
WRONG_MAX: Final = 5
"""So many mistakes are told; the others are a number."""

PREFIX_BYTES: Final = 5
"""In front of a gRPC message: whether it is compressed, and how long it is."""


class Draw:
    """Which customer each request is for: the n-th comes 1/n times as often as the first, in every run alike."""

    def __init__(self, customers: int) -> None:
        sums = list(itertools.accumulate(1 / rank for rank in range(1, customers + 1)))
        self._order = random.Random(SEED).choices(range(customers), cum_weights=sums, k=DRAWS)  # noqa: S311

    def __getitem__(self, number: int) -> str:
        """Name the customer of a request."""
        return customer_name(self._order[number % DRAWS])

    def names(self) -> set[str]:
        """Name everybody who is drawn."""
        return {customer_name(place) for place in set(self._order)}


def customer_name(place: int) -> str:
    """``c0000017``."""
    return f"c{place:07}"


@dataclass(frozen=True, slots=True)
class Workload:
    """The request of any number, how many decisions each holds, and what is wrong with the replies."""

    blocks: HeaderBlocks
    body: Callable[[int], Body]
    mistakes: Callable[[Iterable[Reply]], list[str]]
    decisions: int = 1

    def connect(self, target: str) -> Client:
        """Open a connection to `unix:/path` or `host:port`."""
        return Client(target, self.blocks, self.body)


def checks(draw: Draw, feature: str, headers: Headers = (), *, counted: bool = True, keyed: bool = False) -> Workload:
    """One claim a request, each to be allowed; with `keyed`, each has an idempotency key of its own.

    With `counted`, what each customer used must rise by one with every reply, no number missing and none twice.
    """
    blocks = HeaderBlocks.of(CHECK, headers)
    messages = {
        name: CheckEntitlementRequest(customer=name, feature=feature).SerializeToString() for name in draw.names()
    }
    bodies = {name: body_of(message, blocks) for name, message in messages.items()}
    run, keys = secrets.token_hex(4), itertools.count()

    def keyed_body(number: int) -> Body:
        key = CheckEntitlementRequest(idempotency_key=f"{run}-{next(keys):012}").SerializeToString()
        return body_of(messages[draw[number]] + key, blocks)  # fields may come one after the other

    def plain_body(number: int) -> Body:
        return bodies[draw[number]]

    def decisions(message: bytes, customer: str) -> list[Counted]:
        return [(f"{customer} {feature}", CheckEntitlementResponse.FromString(message))]

    return Workload(blocks, keyed_body if keyed else plain_body, _Ledger(draw, decisions, counted=counted).mistakes)


def batches(draw: Draw, features: Sequence[str], size: int, headers: Headers = ()) -> Workload:
    """So many claims a request, all of one customer, over several features in turn, each to be allowed and counted."""
    blocks = HeaderBlocks.of(BATCH_CHECK, headers)
    asked = [features[place % len(features)] for place in range(size)]
    bodies = {}
    for name in draw.names():
        claims = [CheckEntitlementRequest(customer=name, feature=feature) for feature in asked]
        bodies[name] = body_of(BatchCheckEntitlementsRequest(claims=claims).SerializeToString(), blocks)

    def decisions(message: bytes, customer: str) -> list[Counted]:
        answered = BatchCheckEntitlementsResponse.FromString(message).decisions
        return [(f"{customer} {feature}", decision) for feature, decision in zip(asked, answered, strict=True)]

    return Workload(blocks, lambda number: bodies[draw[number]], _Ledger(draw, decisions, counted=True).mistakes, size)


Counted = tuple[str, CheckEntitlementResponse]
"""The counter that a decision is about, and the decision."""


class _Ledger:
    """Adds up what replies say; nobody else may use the same counters meanwhile."""

    def __init__(self, draw: Draw, decisions: Callable[[bytes, str], list[Counted]], *, counted: bool) -> None:
        """`decisions` takes a message for a customer apart."""
        self._draw = draw
        self._decisions = decisions
        self._counted = counted

    def mistakes(self, replies: Iterable[Reply]) -> list[str]:
        """Name what is wrong: replies first, then counters that did not rise by one each time."""
        wrong: list[str] = []
        used: dict[str, list[int]] = defaultdict(list)
        for number, payload, status in replies:
            if mistake := self._take(number, payload, status, used):
                wrong.append(mistake)
        for counter, seen in used.items():
            least, most = min(seen), max(seen)
            if least < 1 or most - least + 1 != len(seen) or len(set(seen)) != len(seen):
                wrong.append(f"{counter}: {len(seen)} uses counted from {least} to {most}")
        return wrong[:WRONG_MAX] + ([f"and {len(wrong) - WRONG_MAX} more"] if len(wrong) > WRONG_MAX else [])

    def _take(self, number: int, payload: bytes, status: str, used: dict[str, list[int]]) -> str | None:
        """Take one reply apart; returns what is wrong with it."""
        message = payload[PREFIX_BYTES:]
        if status != "0":
            return f"request {number}: grpc-status {status}"
        if payload[:PREFIX_BYTES] != b"\0" + len(message).to_bytes(4, "big"):
            return f"request {number}: {payload[:20]!r} is no uncompressed message"
        try:
            decisions = self._decisions(message, self._draw[number])
        except (DecodeError, ValueError) as error:
            return f"request {number}: {error}"
        for counter, decision in decisions:
            if not decision.allowed or decision.reason != Reason.OK or decision.replayed or decision.degraded:
                told = str(decision).replace("\n", " ")
                return f"{counter}: expected a plain OK, not {told or 'nothing'}"
            if self._counted:
                used[counter].append(decision.used)
        return None
