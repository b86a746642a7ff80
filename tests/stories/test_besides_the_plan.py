"""What one customer has besides its plan decides its checks: a status, a trial, an override, an add-on, licences."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from gateway.records import overrides, terms
from gateway.records.database import Database
from gateway.v1.entitlement_pb2 import Reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.records.database import Connection
    from gateway.v1.entitlement_pb2 import CheckEntitlementResponse
    from tests.conftest import Running

CATALOG = """
product: shop
currency: EUR
meters: {calls: {}}
features:
  beta: {type: boolean}
  jobs: {type: concurrency}
  history: {type: boolean, when: {suspended: allow}}
  calls: {type: metered, meter: calls}
  seats: {type: licence}
plans:
  basic:
    billing_interval: month
    entitlements: {beta: false, history: true, calls: {limit: 10, window: year}, seats: {limit: per_subscription},
                   jobs: {limit: 3}}
add_ons:
  early: {entitlements: {beta: true, seats: {limit: 5}}}
"""

WHO = "resident"


async def sell(office: Running) -> None:
    """Sell the plan to a customer."""
    await office.client.apply_catalog(CATALOG)
    await office.client.create_customer(WHO)
    await office.client.create_subscription(WHO, "basic")


async def change(postgres_url: str, how: Callable[[Connection, terms.Held], Awaitable[object]]) -> None:
    """Change what the customer has, as a command does."""
    database = await Database.open(postgres_url)
    try:
        async with database.transaction() as transaction, terms.changing(transaction, WHO) as held:
            await how(transaction, held)
    finally:
        await database.close()


async def answered(office: Running, feature: str, reason: Reason, quantity: int = 1) -> CheckEntitlementResponse:
    """Peek until the change has come to the gateway: that takes less than a second."""
    async with asyncio.timeout(5):
        while (answer := await office.client.check(WHO, feature, quantity, peek=True)).reason != reason:
            await asyncio.sleep(0.02)
    return answer


async def test_who_is_suspended_is_refused_but_where_the_catalog_allows(office: Running, postgres_url: str) -> None:
    """A limit refuses and counts nothing, a feature whose policy allows it goes on; active again, all is back."""
    await sell(office)
    assert (await office.client.check(WHO, "calls", 4)).allowed
    await change(postgres_url, lambda transaction, held: terms.set_status(transaction, held, terms.Status.SUSPENDED))
    refused = await answered(office, "calls", Reason.CUSTOMER_SUSPENDED)
    assert (refused.allowed, refused.HasField("used")) == (False, False)
    assert (await office.client.check(WHO, "history")).allowed
    await change(postgres_url, lambda transaction, held: terms.set_status(transaction, held, terms.Status.ACTIVE))
    assert (await answered(office, "calls", Reason.OK)).used == 4


async def test_a_trial_is_over_without_anybody_s_doing(office: Running, postgres_url: str) -> None:
    """A claim that was allowed a moment ago is refused when the trial ends, though no document changed."""
    await sell(office)
    ends_at = datetime.now(UTC) + timedelta(seconds=1.5)
    await change(postgres_url, lambda transaction, held: terms.set_trial(transaction, held, ends_at))
    assert (await office.client.check(WHO, "history")).allowed
    await answered(office, "history", Reason.TRIAL_OVER)
    assert datetime.now(UTC) >= ends_at - timedelta(milliseconds=50)
    assert (await office.client.check(WHO, "calls")).reason == Reason.TRIAL_OVER


async def test_an_override_and_an_add_on_give_more(office: Running, postgres_url: str) -> None:
    """What was used stays used: the override's limit has the plan's window. An add-on switches on, and adds seats."""
    await sell(office)
    assert (await office.client.check(WHO, "calls", 10)).allowed
    assert (await office.client.check(WHO, "calls")).reason == Reason.QUOTA_EXCEEDED
    assert (await office.client.check(WHO, "beta")).reason == Reason.FEATURE_OFF

    async def give(transaction: Connection, held: terms.Held) -> None:
        await overrides.put(transaction, held, "calls", '{"limit": 12, "window": "year"}', None)
        await terms.set_add_on(transaction, held, "early", 2)
        await terms.set_licences(transaction, held, "seats", 3)

    await change(postgres_url, give)
    more = await answered(office, "calls", Reason.OK)
    assert (more.limit, more.used, more.remaining) == (12, 10, 2)
    assert (await office.client.check(WHO, "beta")).allowed
    assert (await office.client.check(WHO, "seats", 13)).limit == 13
    assert (await office.client.check(WHO, "seats", 14)).reason == Reason.SEATS_EXCEEDED


async def test_a_day_begins_by_the_customer_s_clocks(office: Running, postgres_url: str) -> None:
    """A year's limit ends with the year of the zone that its customer lives in."""
    await sell(office)
    utc = (await office.client.check(WHO, "calls")).resets_at_ms
    await change(postgres_url, lambda transaction, held: terms.set_timezone(transaction, held, "Pacific/Kiritimati"))
    async with asyncio.timeout(5):
        while (answer := await office.client.check(WHO, "calls", peek=True)).resets_at_ms == utc:
            await asyncio.sleep(0.02)
    assert utc - answer.resets_at_ms == 14 * 3_600_000


async def test_a_slot_is_asked_for_and_not_taken(office: Running) -> None:
    """A check of what runs so many times at once tells whether there is one more; only a reservation takes it."""
    await sell(office)
    answers = [await office.client.check(WHO, "jobs") for _ in range(4)]
    assert [(answer.allowed, answer.used) for answer in answers] == [(True, 0)] * 4
