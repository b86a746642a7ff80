"""Usage that is told afterwards is written down once, at its own moment, and counted where its window is open."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from billing_core.periods import Interval, calendar_period
from gateway.catalog_file import parse_catalog, write_catalog
from gateway.counters.keys import bucket_of, tag
from gateway.decision import keyed_event_id
from gateway.errors import InvalidRequestError
from gateway.ingesting import Ingesting, LateUse
from gateway.records import catalogs, customers, outbox
from gateway.records.database import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

CATALOG = """
product: kinds
currency: EUR
meters: {calls: {unit: calls, aggregation: sum}}
features:
  beta: {type: boolean}
  calls: {type: metered, meter: calls}
  kept: {type: metered, meter: calls}
  short: {type: metered, meter: calls}
plans:
  basic:
    billing_interval: month
    entitlements:
      beta: true
      calls: {limit: 10, window: month, thresholds: [80, 100], by: {dimension: model, limits: {a: 5}, other: 3}}
      kept: {limit: 10, window: month, rollover: {maximum: 5}}
      short: {limit: 10, window: minute}
"""
USE = LateUse("key-1", "acme", "calls", 4)


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    """Sell the catalog to `acme`; `umbrella` has no subscription."""
    opened = await Database.open(postgres_url)
    catalog = parse_catalog(CATALOG)
    async with opened.transaction() as transaction:
        definitions = {plan: write_catalog(catalog.narrowed_to(plan)) for plan in catalog.plans}
        await catalogs.apply(transaction, catalog.product, CATALOG, definitions, validate_only=False)
        for customer in ("acme", "umbrella"):
            await customers.add(transaction, customer, bucket_of(customer))
        await customers.subscribe(transaction, "acme", "basic")
    yield opened
    await opened.close()


async def live(database: Database) -> list[tuple[str, int, int, int]]:
    """Read what the live counters of `acme` are to hear."""
    bucket = tag(bucket_of("acme"))
    async with database.transaction() as transaction:
        return [move for row in await outbox.behind(transaction, {bucket: 0}, 100) for move in row.moves]


async def test_a_use_of_this_month_is_written_down_and_counted(
    database: Database, postgres: asyncpg.Connection
) -> None:
    """One row with all that was told, totals, the levels it reached, and a row for each counter that is live."""
    told = replace(USE, quantity=9, dimensions={"model": "a"}, subject="u@1")
    (taken,) = await Ingesting(database).ingest([told])
    assert (taken.event_id, taken.replayed, taken.error) == (keyed_event_id("acme", "key-1"), False, None)
    row = await postgres.fetchrow("SELECT * FROM events")
    assert (row["event_id"], row["quantity"], row["meter"], row["kind"]) == (taken.event_id, 9, "calls", 5)
    assert (row["dimensions"], row["subject"], row["stream_ms"]) == ('{"model": "a"}', "u@1", None)
    assert timedelta() <= datetime.now(UTC) - row["at"] < timedelta(seconds=30)
    month = calendar_period(Interval.MONTH, row["at"])
    assert await live(database) == [
        ("calls:month", month.start_ms, month.end_ms, 9),
        ("calls:month:model=a", month.start_ms, month.end_ms, 9),
    ]
    assert await postgres.fetchval("SELECT sum(quantity) FROM usage_totals") == 9
    assert await postgres.fetchval("SELECT level FROM threshold_crossings") == 80


async def test_it_counts_by_its_own_moment(database: Database, postgres: asyncpg.Connection) -> None:
    """What lies in a window that is over is in its total and in no live counter; unnamed values share one."""
    now = datetime.now(UTC)
    uses = [
        replace(USE, idempotency_key="old", at=now - timedelta(days=34), dimensions={"model": "zzz"}),
        replace(USE, idempotency_key="minutes", feature="short", at=now - timedelta(minutes=3)),
    ]
    assert [one.error for one in await Ingesting(database).ingest(uses)] == [None, None]
    month = calendar_period(Interval.MONTH, now - timedelta(days=34))
    totals = {row["counter"]: row["window_start"] for row in await postgres.fetch("SELECT * FROM counter_totals")}
    minute_ms = calendar_period(Interval.MINUTE, now - timedelta(minutes=3)).start_ms
    assert totals == {"calls:month": month.start_ms, "calls:month:model": month.start_ms, "short:minute": minute_ms}
    assert await live(database) == []


async def test_a_window_with_something_kept_is_not_opened_from_here(database: Database) -> None:
    """Who counts what was left of the window before opens it; late usage only adds to it."""
    await Ingesting(database).ingest([replace(USE, feature="kept")])
    ((counter, _, end_ms, amount),) = await live(database)
    assert (counter, end_ms, amount) == ("kept:month", 0, 4)


async def test_a_repeat_is_taken_once(database: Database, postgres: asyncpg.Connection) -> None:
    """In one batch, in the next, and in ten at once; the same key with anything else is refused."""
    ingesting, at = Ingesting(database), datetime.now(UTC) - timedelta(hours=1)
    use = replace(USE, at=at)
    first, second = await ingesting.ingest([use, use])
    assert (first.event_id, first.replayed, second.replayed) == (second.event_id, False, True)
    assert [one.replayed for one in await ingesting.ingest([use])] == [True]
    assert [one.replayed for one in await Ingesting(database).ingest([replace(use, at=None)])] == [True]
    for other in (
        replace(use, quantity=5),
        replace(use, feature="short"),
        replace(use, at=at + timedelta(seconds=1)),
        replace(use, dimensions={"model": "a"}),
        replace(use, subject="u"),
    ):
        (taken,) = await ingesting.ingest([other])
        assert taken.error is not None
        assert taken.error.reason == "IDEMPOTENCY_KEY_REUSED"
    many = await asyncio.gather(*(Ingesting(database).ingest([replace(use, idempotency_key="k2")]) for _ in range(10)))
    assert sorted(one.replayed for (one,) in many) == [False] + [True] * 9
    assert await postgres.fetchval("SELECT count(*) FROM events") == 2
    assert [amount for *_, amount in await live(database)] == [4, 4]


async def test_each_use_is_taken_for_itself(database: Database, postgres: asyncpg.Connection) -> None:
    """What is wrong with one is said in its place; the others are written down."""
    now = datetime.now(UTC)
    wrong = {
        "customer nobody": replace(USE, customer="nobody"),
        "umbrella has no subscription": replace(USE, customer="umbrella"),
        "'calls!' is ill-formed": replace(USE, feature="calls!"),
        "none is not in plan basic": replace(USE, feature="none"),
        "beta is not metered": replace(USE, feature="beta"),
        "quantity: 0": replace(USE, quantity=0),
        "idempotency_key": replace(USE, idempotency_key=""),
        "more than 35 days ago": replace(USE, at=now - timedelta(days=35, seconds=1)),
        "more than 5 minutes ahead": replace(USE, at=now + timedelta(minutes=5, seconds=30)),
        "dimensions: there are 17": replace(USE, dimensions={f"d{number}": "x" for number in range(17)}),
        "dimensions.model: is ill-formed": replace(USE, dimensions={"model": "a,b"}),
        "subject": replace(USE, subject="a b"),
    }
    right = [
        replace(USE, idempotency_key="first"),
        replace(USE, idempotency_key="last", at=now + timedelta(minutes=4)),
        replace(USE, idempotency_key="oldest", at=now - timedelta(days=34, hours=23)),
    ]
    taken = await Ingesting(database).ingest([right[0], *wrong.values(), *right[1:]])
    assert [one.error for one in (taken[0], *taken[-2:])] == [None] * 3
    for says, one in zip(wrong, taken[1:-2], strict=True):
        assert one.error is not None, says
        assert one.event_id == ""
        with pytest.raises(type(one.error), match=says):
            raise one.error
    assert await postgres.fetchval("SELECT count(*) FROM events") == 3


async def test_a_batch_is_bounded_and_added_up(database: Database) -> None:
    """1 to 1,000 uses; a thousand on one counter are one move of it."""
    for count in (0, 1001):
        with pytest.raises(InvalidRequestError, match=f"there are {count}; expected 1 to 1000"):
            await Ingesting(database).ingest([USE] * count)
    uses = [replace(USE, idempotency_key=f"k-{number}", quantity=1) for number in range(1000)]
    taken = await Ingesting(database).ingest(uses)
    assert all(one.error is None for one in taken)
    assert [amount for *_, amount in await live(database)] == [1000]
