"""A catalog of many plans is applied and published, and a customer of one of them is told of the next few."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.catalog_file.nodes import BYTES_MAX
from gateway.client import GatewayError
from gateway.rpc.services import CATALOG_MESSAGE_BYTES_MAX
from gateway.v1.entitlement_pb2 import Reason
from tests.conftest import SAMPLE

if TYPE_CHECKING:
    import asyncpg
    import redis.asyncio

    from tests.conftest import Running

PLANS, FEATURES = 200, 10
DOCUMENT_BYTES_MAX = 200 + 200 * FEATURES
ENVELOPE_BYTES_MAX = 1024 * 1024
"""A file needs no more than this around it to be a message."""


def ladder() -> str:
    """Write plans from the highest to the lowest, each with more of every feature than the next."""
    names = [f"feature_{place}" for place in range(FEATURES)]
    lines = [
        "product: ladder",
        "currency: USD",
        "features:",
        *(f"  {name}: {{type: rate}}" for name in names),
        "plans:",
    ]
    for place in reversed(range(PLANS)):
        limits = ", ".join(f"{name}: {{limit: {place}, window: minute}}" for name in names)
        lines.append(f"  plan_{place}: {{billing_interval: month, entitlements: {{{limits}}}}}")
    return "\n".join(lines)


async def test_many_plans_are_published_and_the_next_few_are_named(
    office: Running, postgres: asyncpg.Connection, redis_client: redis.asyncio.Redis
) -> None:
    """Each plan's document stays as small as its own features, and a denial names the next step up first."""
    applied = await office.client.apply_catalog(ladder())
    assert [(plan.version, plan.created) for plan in applied.plans] == [(1, True)] * PLANS
    await office.client.create_customer("climber")
    await office.client.create_subscription("climber", "plan_0")
    async with asyncio.timeout(20):
        while await postgres.fetchval("SELECT count(*) FROM publications"):
            await asyncio.sleep(0.02)
    sizes = [await redis_client.strlen(f"plan:plan_{place}:1") for place in range(PLANS)]
    assert 0 < min(sizes) <= max(sizes) < DOCUMENT_BYTES_MAX
    denied = await office.client.check("climber", "feature_3")
    assert (denied.allowed, denied.reason) == (False, Reason.REQUEST_EXCEEDS_LIMIT)
    assert list(denied.upgrade_plans) == ["plan_1", "plan_2", "plan_3", "plan_4", "plan_5"]


async def test_the_largest_file_passes_every_door(office: Running) -> None:
    """A catalog of 3 MiB is taken; one byte more is refused for what it is, and not for the size of its message."""
    room = BYTES_MAX - len(SAMPLE.encode())
    largest = SAMPLE + "#" + "x" * (room - 1)
    assert len((await office.client.apply_catalog(largest)).plans) == 2
    with pytest.raises(GatewayError, match=f"too large; expected at most {BYTES_MAX} bytes"):
        await office.client.apply_catalog(largest + "x")
    assert BYTES_MAX + ENVELOPE_BYTES_MAX <= CATALOG_MESSAGE_BYTES_MAX
