"""A unit is counted once: whatever is retried, lost, asked of two gateways or flushed twice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.client import GatewayError
from gateway.counters import keys
from gateway.v1.entitlement_pb2 import CheckEntitlementRequest as Request
from tests.conftest import SAMPLE, running_office
from tests.counters_seen import counters, packed
from tests.faults.store_proxy import redis_proxy

if TYPE_CHECKING:
    from pathlib import Path

    import asyncpg
    import redis.asyncio

    from tests.conftest import Running

USAGE = keys.usage(keys.bucket_of("acme"))


async def written(office: Running, meter: str, quantity: int) -> None:
    """Wait until Postgres has just this much of a meter, and see that it stays so."""
    async with asyncio.timeout(5):
        while {one.meter: one.quantity for one in (await office.client.usage("acme")).usage}[meter] != quantity:
            await asyncio.sleep(0.02)


async def test_a_retry_with_the_same_key_counts_once(office: Running) -> None:
    """The second answer is a replay under the same decision id, with the current totals; nothing more is used."""
    first = await office.client.check("acme", "input_tokens", 10, idempotency_key="order-1")
    await office.client.check("acme", "input_tokens", 5)
    again = await office.client.check("acme", "input_tokens", 10, idempotency_key="order-1")
    assert (first.replayed, again.replayed, again.allowed) == (False, True, True)
    assert again.decision_id == first.decision_id
    assert (first.used, again.used) == (10, 15)
    await written(office, "input_tokens", 15)


async def test_a_hundred_concurrent_retries_of_one_key_count_once(office: Running) -> None:
    """One is counted, ninety-nine are replays."""
    asked = (office.client.check("acme", "input_tokens", 7, idempotency_key="burst") for _ in range(100))
    decisions = await asyncio.gather(*asked)
    assert sum(decision.replayed for decision in decisions) == 99
    assert {decision.used for decision in decisions} == {7}


async def test_a_key_with_another_request_is_an_error_and_changes_nothing(office: Running) -> None:
    """The same key with another quantity or feature is refused; another customer's key is another key."""
    await office.client.check("acme", "input_tokens", 10, idempotency_key="k")
    for feature, quantity in (("input_tokens", 11), ("output_tokens", 10)):
        with pytest.raises(GatewayError, match="another request") as refused:
            await office.client.check("acme", feature, quantity, idempotency_key="k")
        assert refused.value.cause == "IDEMPOTENCY_KEY_REUSED"
    assert (await office.client.check("acme", "input_tokens", peek=True)).used == 10

    await office.client.create_customer("other")
    await office.client.create_subscription("other", "developer")
    assert not (await office.client.check("other", "input_tokens", 11, idempotency_key="k")).replayed


async def test_a_reused_key_fails_its_claim_and_not_its_batch(office: Running) -> None:
    """What stands beside it in the batch is decided and told; its own place says what is wrong with it."""
    await office.client.check("acme", "input_tokens", 1, idempotency_key="k")
    claims = [
        Request(customer="acme", feature="output_tokens", quantity=7),
        Request(customer="acme", feature="input_tokens", quantity=2, idempotency_key="k"),
        Request(customer="acme", feature="input_tokens", quantity=1, idempotency_key="k"),
    ]
    answered = await office.client.batch_check(claims)
    assert [decision.allowed for decision in answered.decisions] == [True, False, True]
    assert answered.decisions[2].replayed
    assert list(answered.failed_requests) == [1]
    assert "another request" in answered.failed_requests[1].message


async def test_a_lost_reply_is_asked_again_and_counts_once(
    short_folder: Path, redis_url: str, postgres_url: str, redis_client: redis.asyncio.Redis
) -> None:
    """The script ran and its reply was lost with the connection: the claim is answered, and counted once."""
    async with (
        redis_proxy(redis_url, short_folder) as (proxy, proxied),
        running_office(short_folder, proxied, postgres_url) as office,
    ):
        await office.client.apply_catalog(SAMPLE)
        await office.client.create_customer("acme")
        await office.client.create_subscription("acme", "developer")
        await office.client.check("acme", "input_tokens", 1)
        for lost, key in enumerate(("", "with-a-key", ""), start=1):
            proxy.lose_reply_to = b"EVALSHA"
            decision = await office.client.check("acme", "input_tokens", 100, idempotency_key=key)
            assert proxy.lost == lost
            assert (decision.allowed, decision.replayed, decision.used) == (True, False, 1 + 100 * lost)
        assert await redis_client.xlen(USAGE) == 4
        await written(office, "input_tokens", 301)


async def test_many_lost_replies_at_once_count_each_claim_once(
    short_folder: Path, redis_url: str, postgres_url: str, redis_client: redis.asyncio.Redis
) -> None:
    """A hundred claims are in flight, allowed and denied ones mixed, when the connection is lost with their replies."""
    async with (
        redis_proxy(redis_url, short_folder) as (proxy, proxied),
        running_office(short_folder, proxied, postgres_url) as office,
    ):
        await office.client.apply_catalog(SAMPLE)
        await office.client.create_customer("acme")
        await office.client.create_subscription("acme", "developer")
        await office.client.check("acme", "input_tokens", 1_000_000 - 60)
        proxy.lose_reply_to = b"EVALSHA"
        decisions = await asyncio.gather(*(office.client.check("acme", "input_tokens") for _ in range(100)))
        assert proxy.lost == 1
        assert sum(decision.allowed for decision in decisions) == 60
        assert not any(decision.degraded for decision in decisions)
        assert await redis_client.xlen(USAGE) == 61
        await written(office, "input_tokens", 1_000_000)


async def test_a_request_that_was_given_up_never_runs_later(
    short_folder: Path, redis_url: str, postgres_url: str, redis_client: redis.asyncio.Redis
) -> None:
    """A request is stuck on its way, sent again and denied; when the stuck one gets through, it counts nothing."""
    bucket = keys.bucket_of("acme")
    async with (
        redis_proxy(redis_url, short_folder) as (proxy, proxied),
        running_office(short_folder, proxied, postgres_url) as office,
    ):
        await office.client.apply_catalog(SAMPLE)
        await office.client.create_customer("acme")
        await office.client.create_subscription("acme", "developer")
        await office.client.check("acme", "input_tokens", 600_000)
        proxy.hold_request = b"EVALSHA"
        asked = asyncio.create_task(office.client.check("acme", "input_tokens", 500_000, idempotency_key="stuck"))
        await proxy.held.wait()
        month = (await counters(redis_client, bucket, "acme"))["input_tokens:month"]
        await redis_client.hset(keys.use(bucket, "acme"), "input_tokens:month", packed(700_000, month[1]))
        assert not (await asked).allowed
        await redis_client.hset(keys.use(bucket, "acme"), "input_tokens:month", packed(0, month[1]))
        proxy.release.set()
        await asyncio.sleep(0.2)
        assert await counters(redis_client, bucket, "acme") == {"input_tokens:month": (0, month[1])}
        assert await redis_client.xlen(USAGE) == 1


async def test_two_gateways_share_one_limit(
    office: Running, short_folder: Path, redis_url: str, postgres_url: str, postgres: asyncpg.Connection
) -> None:
    """Two offices on the same stores admit one limit between them, and their two flushers write each event once."""
    async with running_office(short_folder, redis_url, postgres_url) as second:
        asked = [
            gateway.client.check("acme", "input_tokens", 20_000) for _ in range(40) for gateway in (office, second)
        ]
        decisions = await asyncio.gather(*asked)
        assert sum(decision.allowed for decision in decisions) == 50
        await written(second, "input_tokens", 1_000_000)
    assert await postgres.fetchval("SELECT count(*) FROM events") == 50
