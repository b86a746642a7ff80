"""Every kind of limit, through the public API: pools, rates beside quotas, slots, reservations, seats, all or none."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import pytest

from gateway.client import AsyncGate, DeniedError, Gate, GatewayError
from gateway.client.messages import Asked
from gateway.client.reservations import ReservationState
from gateway.counters.keys import bucket_of
from gateway.decision import LimitKind, Reason
from gateway.v1.entitlement_pb2 import CheckEntitlementRequest, RefundUsageRequest
from gateway.v1.usage_pb2 import UsageRecord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import redis.asyncio

    from tests.conftest import Running

CATALOG = """
product: limits
currency: EUR
meters: {tokens: {}, calls: {}}
features:
  tokens: {type: metered, meter: tokens}
  calls: {type: metered, meter: calls}
  steady: {type: rate}
  sliding: {type: rate}
  jobs: {type: concurrency}
  editors: {type: licence}
  beta: {type: boolean}
plans:
  basic:
    billing_interval: month
    entitlements:
      tokens: {limit: 1000, window: year, overage: {cap: 50}}
      calls:
        limit: 100
        window: year
        rates: [{limit: 5, window: day}]
        by: {dimension: model, limits: {large: 2}, other: 90}
      steady: {limit: 60, window: day, algorithm: gcra, burst: 3}
      sliding: {limit: 4, window: day, algorithm: sliding}
      jobs: {limit: 2, ttl_seconds: 30}
      editors: {limit: 2, named: true, window: year}
      beta: true
"""

WHO = "writer"

Answer = TypeVar("Answer")


@pytest.fixture
async def gate(office: Running) -> AsyncIterator[AsyncGate]:
    """A customer on the plan, and the gate that an API server would hold."""
    await office.client.apply_catalog(CATALOG)
    await office.client.create_customer(WHO)
    await office.client.create_subscription(WHO, "basic")
    async with AsyncGate(office.target, timeout_s=5) as opened:
        yield opened


async def test_overage_ends_at_its_cap(gate: AsyncGate) -> None:
    """Above the limit use goes on and is told, up to the cap and not a unit further."""
    assert (await gate.check(WHO, "tokens", 1040)).overage == 40
    refused = await gate.check(WHO, "tokens", 11)
    assert (refused.reason, refused.used, refused.overage) == (Reason.QUOTA_EXCEEDED, 1040, 40)
    assert await gate.check(WHO, "tokens", 10)
    assert not await gate.check(WHO, "tokens")


async def test_a_rate_and_a_quota_and_a_dimension_hold_together(gate: AsyncGate) -> None:
    """All limits of a feature count a use or none does; the answer tells where each stands and which refused."""
    large = {"model": "large"}
    assert await gate.check(WHO, "calls", 2, dimensions=large)
    refused = await gate.check(WHO, "calls", dimensions=large)
    assert (refused.reason, refused.limit, refused.used) == (Reason.QUOTA_EXCEEDED, 2, 2)
    assert await gate.check(WHO, "calls", 3, dimensions={"model": "small"})
    fast = await gate.check(WHO, "calls")
    assert (fast.reason, fast.limit, fast.used) == (Reason.RATE_EXCEEDED, 5, 5)
    assert fast.retry_after_ms
    stands = {(limit.name, limit.kind): (limit.used, limit.remaining) for limit in fast.limits}
    assert stands == {
        ("year", LimitKind.QUOTA): (5, 95),
        ("model", LimitKind.QUOTA): (3, 87),
        ("day", LimitKind.RATE): (5, 0),
    }


async def test_rates_of_each_kind(gate: AsyncGate) -> None:
    """A steady flow lets a burst through, a sliding window so many, and both say when to come back."""
    assert await gate.check(WHO, "steady", 3)
    assert (await gate.check(WHO, "steady")).retry_after_ms
    assert await gate.check(WHO, "sliding", 4)
    assert (await gate.check(WHO, "sliding")).reason is Reason.RATE_EXCEEDED


async def test_what_is_held_is_used_until_it_is_settled(gate: AsyncGate) -> None:
    """A reservation holds the most that may be needed; what was really used stays, the rest comes back."""
    async with gate.reserve(WHO, "tokens", 1000) as held:
        assert held
        assert (await gate.peek(WHO, "tokens")).used == 1000
        held.commit(120)
    assert held.settled is not None
    assert (held.settled.state, held.settled.quantity) == (ReservationState.COMMITTED, 120)
    assert (await gate.peek(WHO, "tokens")).used == 120
    async with gate.reserve(WHO, "tokens", 300):
        assert (await gate.peek(WHO, "tokens")).used == 420
    assert (await gate.peek(WHO, "tokens")).used == 120
    async with gate.reserve(WHO, "tokens", 2000) as denied:
        assert not denied
        assert denied.decision.reason is Reason.REQUEST_EXCEEDS_LIMIT
    again = await gate.commit(WHO, held.id, 120)
    assert (again.state, again.replayed) == (ReservationState.COMMITTED, True)


async def test_slots_are_as_many_as_there_are(gate: AsyncGate) -> None:
    """Two jobs run, a third does not begin before one has ended; a check asks and takes none."""
    async with gate.reserve(WHO, "jobs"), gate.reserve(WHO, "jobs"):
        async with gate.reserve(WHO, "jobs") as third:
            assert third.decision.reason is Reason.CONCURRENCY_EXCEEDED
        assert (await gate.check(WHO, "jobs")).reason is Reason.CONCURRENCY_EXCEEDED
    assert (await gate.check(WHO, "jobs")).used == 0


async def test_what_nobody_settles_ends_by_itself(gate: AsyncGate) -> None:
    """A slot that is not kept is free again when its time is over; what is committed later is still counted, once."""
    held = await gate.hold(Asked(WHO, "tokens", 500), ttl_ms=1000)
    assert (await gate.peek(WHO, "tokens")).used == 500
    await asyncio.sleep(1.1)
    assert await gate.check(WHO, "tokens", 1)
    assert (await gate.peek(WHO, "tokens")).used == 1
    late = await gate.commit(WHO, held.id, 70)
    assert (late.state, (await gate.peek(WHO, "tokens")).used) == (ReservationState.COMMITTED_LATE, 71)


async def test_a_named_licence_is_counted_once(gate: AsyncGate) -> None:
    """Who has a seat keeps it; a third has none; nobody is told to say who it is."""
    assert await gate.check(WHO, "editors", subject="ann")
    assert await gate.check(WHO, "editors", subject="bob")
    assert (await gate.check(WHO, "editors", subject="ann")).used == 2
    refused = await gate.check(WHO, "editors", subject="cid")
    assert (refused.reason, refused.limit) == (Reason.SEATS_EXCEEDED, 2)
    with pytest.raises(GatewayError, match="subject"):
        await gate.check(WHO, "editors")


async def test_all_or_none(gate: AsyncGate, office: Running) -> None:
    """One claim that is denied leaves the others uncounted; without it, all are."""
    most = [Asked(WHO, "tokens", 10), Asked(WHO, "beta"), Asked(WHO, "calls", 6)]
    decisions = await gate.check_all(most)
    assert [decision.allowed for decision in decisions] == [True, True, False]
    assert (await gate.peek(WHO, "tokens")).used == 0
    assert all(await gate.check_all(most[:2]))
    assert (await gate.peek(WHO, "tokens")).used == 10
    two = [CheckEntitlementRequest(customer=customer, feature="beta") for customer in (WHO, "acme")]
    with pytest.raises(GatewayError, match="several customers"):
        await office.client.batch_check(two, atomic=True)


async def test_a_list_tells_every_feature(gate: AsyncGate, office: Running) -> None:
    """By name, with where its limits stand; nothing is counted."""
    await gate.check(WHO, "tokens", 5)
    listed = await office.client.entitlements(WHO)
    told = {one.feature: one.decision for one in listed.entitlements}
    assert list(told) == ["beta", "calls", "editors", "jobs", "sliding", "steady", "tokens"]
    assert (told["tokens"].used, told["beta"].allowed, len(told["calls"].limits)) == (5, True, 3)
    assert (await gate.peek(WHO, "tokens")).used == 5


async def test_who_waits_in_a_thread_asks_the_same(gate: AsyncGate, office: Running) -> None:
    """The gate for threads answers alike, and a decorated function runs when its customer may."""
    assert await gate.check(WHO, "beta")

    def ask() -> tuple[int, str, int]:
        with Gate(office.target, timeout_s=5) as blocking:

            @blocking.requires("tokens", quantity=900)
            def work(customer: str) -> str:
                return f"done for {customer}"

            done = work(WHO)
            with pytest.raises(DeniedError, match="QUOTA_EXCEEDED"):
                work(customer=WHO)
            with blocking.reserve(WHO, "tokens", 10) as held:
                held.commit(3)
            return blocking.peek(WHO, "tokens").used or 0, done, held.settled.quantity if held.settled else 0

    assert await asyncio.to_thread(ask) == (903, "done for writer", 3)


async def test_a_reservation_that_runs_on_is_kept(gate: AsyncGate) -> None:
    """The block extends what it holds as long as it runs."""
    async with gate.reserve(WHO, "jobs", ttl_ms=1000) as held:
        await asyncio.sleep(1.5)
        assert (await gate.check(WHO, "jobs")).used == 1
    assert held.settled is not None
    assert held.settled.state is ReservationState.RELEASED


async def test_a_refund_comes_back_to_its_counter(gate: AsyncGate, office: Running) -> None:
    """What a decision counted is given back once, where the next check sees it."""
    counted = await gate.check(WHO, "tokens", 40)
    request = RefundUsageRequest(customer=WHO, decision_id=counted.decision_id, quantity=15, request_id="r1")
    refunded = await written_down(lambda: office.client.refund(request))
    assert (refunded.quantity, refunded.replayed) == (15, False)
    assert (await office.client.refund(request)).replayed
    async with asyncio.timeout(5):
        while (await gate.peek(WHO, "tokens")).used != 25:
            await asyncio.sleep(0.02)
    too_much = RefundUsageRequest(customer=WHO, decision_id=counted.decision_id, quantity=41)
    with pytest.raises(GatewayError):
        await office.client.refund(too_much)


async def written_down(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask until a use is written down: that takes less than a second."""
    async with asyncio.timeout(5):
        while True:
            try:
                return await ask()
            except GatewayError as error:
                if error.cause != "NOT_FOUND":
                    raise
                await asyncio.sleep(0.02)


async def test_what_is_told_afterwards_counts_for_whoever_asks_next(gate: AsyncGate, office: Running) -> None:
    """Late usage is never denied and counts once; what is wrong with one record stands in its place."""
    records = [
        UsageRecord(customer=WHO, feature="tokens", quantity=990, idempotency_key="late-1"),
        UsageRecord(customer=WHO, feature="tokens", quantity=900, idempotency_key="late-2"),
        UsageRecord(customer=WHO, feature="beta", quantity=1, idempotency_key="late-3"),
    ]
    answered = await office.client.ingest(records)
    assert (answered.recorded, answered.replayed, list(answered.failed_requests)) == (2, 0, [2])
    again = await office.client.ingest(records[:2])
    assert (again.recorded, again.replayed) == (0, 2)
    async with asyncio.timeout(5):
        while (await gate.peek(WHO, "tokens")).used != 1890:
            await asyncio.sleep(0.02)
    assert not await gate.check(WHO, "tokens")


async def test_what_is_held_ends_though_nobody_asks(gate: AsyncGate, redis_client: redis.asyncio.Redis) -> None:
    """A customer that makes no further claim gets back what it held, a second or two after its time."""
    held = await gate.hold(Asked(WHO, "tokens", 500), ttl_ms=1000)
    holds = f"{{l{bucket_of(WHO)}}}:dues:{WHO}"
    assert await redis_client.zrange(holds, 0, -1) == [held.id]
    async with asyncio.timeout(10):
        while not [one for one in await ends(redis_client) if one == f"{held.id}.end"]:
            await asyncio.sleep(0.05)
    assert (await gate.peek(WHO, "tokens")).used == 0


async def ends(redis_client: redis.asyncio.Redis) -> list[str]:
    """List the events of the customer's bucket."""
    return [fields["id"] for _, fields in await redis_client.xrange(f"{{l{bucket_of(WHO)}}}:usage")]
