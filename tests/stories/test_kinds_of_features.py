"""Each kind of feature is decided in its way: switches, settings, quotas with and without overage, rates."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from billing_core.periods import milliseconds_of
from gateway.v1.entitlement_pb2 import CheckEntitlementRequest as Request
from gateway.v1.entitlement_pb2 import Reason

if TYPE_CHECKING:
    from tests.conftest import Running

KINDS = """
product: kinds
currency: EUR
meters: {calls: {unit: calls, aggregation: sum}}
features:
  beta: {type: boolean}
  sso: {type: boolean}
  regions: {type: config}
  calls: {type: metered, meter: calls}
  bursts: {type: rate}
plans:
  basic:
    display_name: Basic
    billing_interval: month
    prices: [{meter: calls, model: per_unit, unit: "0.01"}]
    entitlements:
      beta: true
      regions: [eu, {"us": 2}]
      calls: {limit: 10, window: WINDOW, overage: OVERAGE}
      bursts: {limit: 3, window: second}
  pro:
    display_name: Pro
    billing_interval: month
    entitlements: {sso: true, calls: {limit: unlimited, window: month}, bursts: {limit: 30, window: second}}
"""


async def sell(office: Running, window: str = "month", overage: str = "deny") -> str:
    """Put a customer on the basic plan with this limit."""
    await office.client.apply_catalog(KINDS.replace("WINDOW", window).replace("OVERAGE", overage))
    customer = f"{window}-{overage}"
    await office.client.create_customer(customer)
    await office.client.create_subscription(customer, "basic")
    return customer


async def test_a_switch_a_setting_and_what_the_plan_lacks(office: Running) -> None:
    """On is allowed, a setting hands out its JSON, what the plan lacks is refused with the plan that has it."""
    customer = await sell(office)
    assert (await office.client.check(customer, "beta")).allowed
    assert (await office.client.check(customer, "regions")).value == '["eu",{"us":2}]'
    lacking = await office.client.check(customer, "sso")
    assert (lacking.reason, list(lacking.upgrade_plans)) == (Reason.FEATURE_NOT_IN_PLAN, ["pro"])
    unknown = await office.client.check(customer, "teleport")
    assert (unknown.reason, list(unknown.upgrade_plans)) == (Reason.FEATURE_UNKNOWN, [])


async def test_overage_is_allowed_and_told(office: Running) -> None:
    """A limit that allows overage admits everything and says how much lies above it."""
    customer = await sell(office, overage="allow")
    within = await office.client.check(customer, "calls", 10)
    above = await office.client.check(customer, "calls", 5)
    assert (within.allowed, within.overage, within.remaining) == (True, 0, 0)
    assert (above.allowed, above.overage, above.used) == (True, 5, 15)


async def test_a_claim_above_the_whole_limit_is_told_that_waiting_is_no_use(office: Running) -> None:
    """More than the ceiling can never be allowed, in any window."""
    customer = await sell(office)
    answer = await office.client.check(customer, "calls", 11)
    assert (answer.reason, answer.HasField("retry_after_ms")) == (Reason.REQUEST_EXCEEDS_LIMIT, False)


async def test_every_window_counts_and_says_when_it_ends(office: Running) -> None:
    """Minute to month and the billing period: the eleventh call is denied until the window's calendar end, in UTC."""
    while datetime.now(UTC).second >= 57:  # so that no window ends in the middle of this
        await asyncio.sleep(0.1)
    for window in ("minute", "hour", "day", "week", "month", "billing_period"):
        customer = await sell(office, window=window)
        assert (await office.client.check(customer, "calls", 10)).remaining == 0
        denied = await office.client.check(customer, "calls", 1)
        assert denied.reason == Reason.QUOTA_EXCEEDED
        now = datetime.now(UTC)
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        ends = {
            "minute": now.replace(second=0, microsecond=0) + timedelta(minutes=1),
            "hour": now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1),
            "day": today + timedelta(days=1),
            "week": today + timedelta(days=7 - today.weekday()),
            "month": (today.replace(day=1) + timedelta(days=32)).replace(day=1),
            "billing_period": _a_month_after(today),
        }[window]
        assert denied.resets_at_ms == milliseconds_of(ends)
        assert 0 < denied.retry_after_ms <= 32 * 86_400_000


async def test_a_rate_starts_anew_with_its_window(office: Running) -> None:
    """Three a second: the fourth is told how long to wait, and is allowed after that."""
    customer = await sell(office)
    async with asyncio.timeout(10):
        while (denied := await office.client.check(customer, "bursts")).allowed:
            pass
        assert (denied.reason, denied.limit) == (Reason.RATE_EXCEEDED, 3)
        assert 0 <= denied.retry_after_ms <= 1000
        await asyncio.sleep(denied.retry_after_ms / 1000 + 0.005)
        allowed = await office.client.check(customer, "bursts")
    assert (allowed.allowed, allowed.used) == (True, 1)


async def test_a_batch_decides_each_claim_for_itself(office: Running) -> None:
    """One denial in a batch does not touch its neighbours; decisions come in the order of the claims."""
    customer = await sell(office)
    claims = [
        Request(customer=customer, feature="calls", quantity=6),
        Request(customer=customer, feature="calls", quantity=6),
        Request(customer=customer, feature="beta"),
        Request(customer="stranger", feature="beta"),
        Request(customer=customer, feature="calls", quantity=4),
    ]
    answers = (await office.client.batch_check(claims)).decisions
    assert [answer.allowed for answer in answers] == [True, False, True, False, True]
    assert answers[3].reason == Reason.CUSTOMER_UNKNOWN
    assert answers[4].remaining == 0


def _a_month_after(day: datetime) -> datetime:
    year, month = divmod(day.year * 12 + day.month, 12)
    for last in range(day.day, 27, -1):
        try:
            return day.replace(year=year, month=month + 1, day=last)
        except ValueError:
            continue
    return day.replace(year=year, month=month + 1)
