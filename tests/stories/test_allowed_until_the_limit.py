"""A customer is allowed exactly up to its limit, and told why not beyond it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.v1.entitlement_pb2 import Reason

if TYPE_CHECKING:
    from tests.conftest import Running


async def test_allowed_until_the_limit_and_then_denied(office: Running) -> None:
    """A million tokens are admitted to the last one; the next is denied with reason, what is left and the way up."""
    first = await office.client.check("acme", "input_tokens", 999_999)
    assert (first.allowed, first.limit, first.used, first.remaining) == (True, 1_000_000, 999_999, 1)

    too_much = await office.client.check("acme", "input_tokens", 2)
    assert (too_much.allowed, too_much.reason, too_much.remaining) == (False, Reason.QUOTA_EXCEEDED, 1)
    assert list(too_much.upgrade_plans) == ["scale"]
    assert too_much.retry_after_ms > 0

    last = await office.client.check("acme", "input_tokens", 1)
    assert (last.allowed, last.remaining) == (True, 0)

    none_left = await office.client.check("acme", "input_tokens")
    assert (none_left.allowed, none_left.reason, none_left.remaining) == (False, Reason.QUOTA_EXCEEDED, 0)


async def test_a_hundred_at_once_admit_exactly_what_is_left(office: Running) -> None:
    """Of a hundred concurrent checks with fifty units left, exactly fifty are admitted."""
    await office.client.check("acme", "input_tokens", 1_000_000 - 50)
    decisions = await asyncio.gather(*(office.client.check("acme", "input_tokens") for _ in range(100)))
    assert sum(decision.allowed for decision in decisions) == 50
    assert sorted(decision.used for decision in decisions if decision.allowed) == list(range(999_951, 1_000_001))
