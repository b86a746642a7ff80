"""What is changed in Postgres is what a running check decides by, within a second, on every gateway."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from gateway.client import GatewayError
from gateway.counters import keys
from gateway.v1.entitlement_pb2 import Reason
from tests.conftest import SAMPLE, running_office

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    import redis.asyncio

    from gateway.v1.entitlement_pb2 import CheckEntitlementResponse
    from tests.conftest import Running

SECOND_S = 1.0


async def seen_within_a_second(
    ask: Callable[[], Awaitable[CheckEntitlementResponse]], wanted: Callable[[CheckEntitlementResponse], bool]
) -> None:
    """Ask until the answer is as wanted."""
    started = time.monotonic()
    while not wanted(await ask()):
        assert time.monotonic() - started < SECOND_S
        await asyncio.sleep(0.01)


async def test_a_new_customer_and_subscription_reach_another_gateway(
    office: Running, short_folder: Path, redis_url: str, postgres_url: str
) -> None:
    """A gateway that knew the customer as unknown, then as without a plan, allows it within a second of each change."""
    async with running_office(short_folder, redis_url, postgres_url) as other:
        ask = lambda: other.client.check("newcomer", "input_tokens", peek=True)  # noqa: E731
        assert (await ask()).reason == Reason.CUSTOMER_UNKNOWN
        await office.client.create_customer("newcomer")
        await seen_within_a_second(ask, lambda answer: answer.reason == Reason.NO_SUBSCRIPTION)
        await office.client.create_subscription("newcomer", "developer")
        await seen_within_a_second(ask, lambda answer: answer.allowed)


async def test_a_changed_catalog_is_the_next_subscription_s_plan(office: Running) -> None:
    """A changed plan is a new version: who is on the old one stays there, who comes gets the new one."""
    changed = SAMPLE.replace("limit: 1000000,", "limit: 2000000,")
    applied = await office.client.apply_catalog(changed)
    assert [(plan.plan, plan.version, plan.created) for plan in applied.plans] == [
        ("developer", 2, True),
        ("scale", 1, False),
    ]
    await office.client.create_customer("newcomer")
    await office.client.create_subscription("newcomer", "developer")
    assert (await office.client.check("newcomer", "input_tokens", peek=True)).limit == 2_000_000
    assert (await office.client.check("acme", "input_tokens", peek=True)).limit == 1_000_000


async def test_applying_the_same_catalog_twice_changes_nothing(office: Running) -> None:
    """No plan gets a new version from a file that says the same."""
    again = await office.client.apply_catalog(SAMPLE + "\n# a comment\n")
    assert [(plan.version, plan.created) for plan in again.plans] == [(1, False), (1, False)]


async def test_validate_only_changes_nothing(office: Running) -> None:
    """The answer says what would become of each plan; the running gateway never hears of it."""
    would = await office.client.apply_catalog(SAMPLE.replace("99", "98"), validate_only=True)
    assert {plan.plan: plan.created for plan in would.plans}["scale"]
    assert not any(plan.created for plan in (await office.client.apply_catalog(SAMPLE)).plans)


async def test_a_bad_catalog_changes_nothing(office: Running) -> None:
    """Every problem is named with its line, and the catalog in force stays."""
    with pytest.raises(GatewayError, match=r"line \d+") as refused:
        await office.client.apply_catalog(SAMPLE.replace("meter: input_tokens", "meter: nonsense"))
    assert refused.value.misuse
    assert (await office.client.check("acme", "input_tokens")).allowed


async def test_booleans_and_configs_never_touch_redis(office: Running, redis_client: redis.asyncio.Redis) -> None:
    """A hundred checks of a switch and a setting leave no trace in Redis's command statistics of scripts and reads."""
    await office.client.check("acme", "max_seats")
    await redis_client.config_resetstat()
    for _ in range(50):
        assert (await office.client.check("acme", "priority_queue")).reason == Reason.FEATURE_OFF
        assert (await office.client.check("acme", "max_seats")).value == "5"
    stats = await redis_client.info("commandstats")
    assert "cmdstat_evalsha" not in stats
    doc_reads = sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("get", "mget"))
    assert doc_reads < 20, "the publisher looks for its mark now and then; a hundred checks would be a hundred"


@pytest.mark.usefixtures("office")
async def test_documents_that_were_lost_are_published_again(redis_client: redis.asyncio.Redis) -> None:
    """A Redis without documents gets all of them again from Postgres; meanwhile nobody is called unknown."""
    await redis_client.delete(keys.PUBLISHED, "doc:l:acme", "plan:developer:1")
    started = time.monotonic()
    while await redis_client.get(keys.PUBLISHED) in (None, keys.PUBLISHING):
        assert time.monotonic() - started < SECOND_S
        await asyncio.sleep(0.01)
    assert await redis_client.exists("doc:l:acme", "plan:developer:1") == 2
