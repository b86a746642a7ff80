"""A desk to ask a checker at: who waits and what it is told, customers on plans of their own, and the Redis behind."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from gateway.counters import keys
from gateway.decision import Claim
from gateway.entitlements import customer_document, plan_document
from gateway.prepared import Counted

if TYPE_CHECKING:
    import redis.asyncio

    from gateway.checker import Checker, Told
    from gateway.counters.counting import Counters
    from gateway.decision import Decision
    from gateway.entitlements import Entitlements
    from gateway.errors import IdempotencyKeyReusedError
    from gateway.prepared import Prepared

    Decided = Decision | IdempotencyKeyReusedError

Answered = TypeVar("Answered")

FEATURES: dict[str, dict[str, Any]] = {
    "calls": {"type": "counted", "window": "month", "meter": "calls", "ceiling": 10},
    "rate": {"type": "counted", "window": "minute", "ceiling": 5},
    "beta": {"type": "boolean", "on": True},
    "seats": {"type": "config", "value": 5},
    "sso": {"type": "missing", "upgrade_plans": ["scale"]},
}
CALLS = Claim("acme", "calls")


class Waiting(Generic[Answered]):
    """Who asks, and what it was told."""

    def __init__(self, wait_s: float = 2.0) -> None:
        loop = asyncio.get_running_loop()
        self.deadline_s = loop.time() + wait_s
        self.wanted = True
        self.told: asyncio.Future[Answered] = loop.create_future()

    def hear(self, told: Answered) -> None:
        """Take in what is told; a second time is an error."""
        self.told.set_result(told)


@dataclass
class Desk:
    """A checker with all that it asks, and the Redis behind it."""

    checker: Checker
    entitlements: Entitlements
    counters: Counters
    redis: redis.asyncio.Redis
    fetched: list[str]

    async def publish(self, customer: str, version: int = 1, **features: dict[str, Any]) -> None:
        """Put a customer on a plan of its own with these features, and make both known as the publisher does."""
        who = {"version": version, "customer": customer, "root": customer, "bucket": keys.bucket_of(customer)}
        plan = {"version": version, "plan": customer, "plan_version": 1, "billing_interval": "month"}
        named = {
            customer_document(customer): who | {"plan": customer, "plan_version": 1},
            plan_document(customer, 1): plan | {"features": FEATURES | features},
        }
        for name, document in named.items():
            await self.redis.set(name, msgspec.json.encode(document))
            self.entitlements.forget(name)

    async def decide(self, prepared: Prepared, wait_s: float = 2.0) -> Decided:
        """Submit a claim and wait for what is told."""
        waiting: Waiting[Told] = Waiting(wait_s)
        self.checker.submit(prepared, Waiting.hear, waiting)
        return decided(await waiting.told)

    async def decide_all(self, claims: list[Claim]) -> list[Decided]:
        """Submit claims as a batch and wait for what is told."""
        return await self.decide_batch([self.checker.prepare(claim) for claim in claims])

    async def decide_batch(self, batch: list[Prepared]) -> list[Decided]:
        """Submit claims that are prepared."""
        waiting: Waiting[list[Told]] = Waiting()
        self.checker.submit_batch(batch, Waiting.hear, waiting)
        return [decided(told) for told in await waiting.told]


def decided(told: Told) -> Decided:
    """Say what follows from what was counted, as a door does."""
    return told.decision() if isinstance(told, Counted) else told
