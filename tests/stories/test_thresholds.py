"""When a customer nears a limit, each level of it is written down once, with the usage that reached it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway.records import thresholds as records
from gateway.records import usage
from gateway.records.database import Database
from gateway.records.usage import CounterTotal, EventRow, Move
from gateway.thresholds import Thresholds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from tests.conftest import Running

MONTH = 1_764_547_200_000
AT = datetime(2025, 12, 2, tzinfo=UTC)
COUNTER = "input_tokens:month"
LIMIT = 1_000_000
"""Of the sample's developer plan, with levels 80, 90 and 100."""


@pytest.fixture
async def database(office: Running) -> AsyncIterator[Database]:
    """A pool on the database in which `acme` is on the developer plan."""
    opened = await Database.open(office.postgres_url)
    yield opened
    await opened.close()


class Writing:
    """Writes uses as the flusher does, each batch in a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._thresholds = Thresholds()
        self._number = 0

    async def use(self, *quantities: int, window_start: int = MONTH, counter: str = COUNTER) -> list[tuple[int, int]]:
        """Write a batch; returns each new crossing's level and ceiling."""
        rows = []
        for quantity in quantities:
            self._number += 1
            moves = (Move(counter, window_start, quantity),)
            feature = counter.partition(":")[0]
            row = EventRow(f"e-{self._number}", AT, "acme", feature, feature, abs(quantity), 1, moves=moves)
            rows.append(row if quantity > 0 else replace(row, quantity=quantity, kind=usage.Kind.REFUND))
        async with self._database.transaction() as transaction:
            changed = await usage.write(transaction, "l1", rows)
            crossed = await self._thresholds.cross(transaction, changed)
        return sorted((one.level, one.ceiling) for one in crossed)


async def override(postgres: asyncpg.Connection, feature: str, expires_at: datetime | None = None, **says: Any) -> None:
    """Give `acme` an entitlement of its own, as the command does."""
    await postgres.execute(
        "INSERT INTO overrides (customer, feature, entitlement, expires_at) VALUES ('acme', $1, $2, $3)"
        " ON CONFLICT (customer, feature) DO UPDATE SET entitlement = excluded.entitlement",
        feature,
        json.dumps(says),
        expires_at,
    )
    await postgres.execute("UPDATE customers SET document_version = document_version + 1")


async def test_a_level_is_written_down_within_a_second(office: Running, postgres: asyncpg.Connection) -> None:
    """One check that reaches two levels at once: two rows, with who, what, which window and how much was used."""
    await office.client.check("acme", "input_tokens", 900_000)
    async with asyncio.timeout(1):
        while len(rows := await postgres.fetch("SELECT * FROM threshold_crossings ORDER BY level")) < 2:
            await asyncio.sleep(0.01)
    assert [(row["level"], row["ceiling"], row["used"]) for row in rows] == [(80, LIMIT, 900_000), (90, LIMIT, 900_000)]
    assert {(row["customer"], row["feature"], row["counter"]) for row in rows} == {("acme", "input_tokens", COUNTER)}
    start_ms = await postgres.fetchval("SELECT extract(epoch FROM date_trunc('month', now(), 'UTC'))::bigint * 1000")
    assert {row["window_start"] for row in rows} == {start_ms}


async def test_each_level_is_reached_once_and_exactly(database: Database) -> None:
    """One unit below is not reached, the unit itself is; neither another batch nor what is given back repeats it."""
    writing = Writing(database)
    assert await writing.use(799_999) == []
    assert await writing.use(1) == [(80, LIMIT)]
    assert await writing.use(1, 1, 1) == []
    assert await writing.use(-700_000) == []
    assert await writing.use(699_997) == []
    assert await writing.use(100_000, 50_000, 50_000, 5) == [(90, LIMIT), (100, LIMIT)]
    assert await writing.use(1) == []
    assert await writing.use(800_000, window_start=MONTH + 1) == [(80, LIMIT)]


async def test_another_counter_of_the_feature_reaches_nothing(database: Database) -> None:
    """What a grant or a rate takes is no use of the plan's limit."""
    writing = Writing(database)
    assert await writing.use(LIMIT, counter="input_tokens+7") == []
    assert await writing.use(LIMIT, counter="input_tokens:day") == []
    assert await writing.use(LIMIT, counter="output_tokens:month") == []


async def test_a_limit_that_was_changed_has_levels_of_its_own(database: Database, postgres: asyncpg.Connection) -> None:
    """Raised, it is reached again at the new number; lowered below what was used, with the next use."""
    writing = Writing(database)
    assert await writing.use(LIMIT) == [(80, LIMIT), (90, LIMIT), (100, LIMIT)]
    await override(postgres, "input_tokens", limit=2 * LIMIT, window="month", thresholds=[80])
    assert await writing.use(599_999) == []
    assert await writing.use(1) == [(80, 2 * LIMIT)]
    await override(postgres, "input_tokens", limit=10, window="month", thresholds=[50, 200])
    assert await writing.use(1) == [(50, 10), (200, 10)]
    await override(postgres, "input_tokens", limit="unlimited", window="month")
    assert await writing.use(LIMIT) == []


async def test_an_override_that_is_over_gives_way_to_the_plan(database: Database, postgres: asyncpg.Connection) -> None:
    """While it holds the plan's levels are not watched, and from its end on they are, without any change."""
    ends = datetime.now(UTC) + timedelta(seconds=1)
    await override(postgres, "input_tokens", ends, limit=100, window="day", thresholds=[100])
    writing = Writing(database)
    assert await writing.use(LIMIT) == []
    assert await writing.use(100, counter="input_tokens:day") == [(100, 100)]
    while datetime.now(UTC) < ends:
        await asyncio.sleep(0.05)
    assert await writing.use(100, counter="input_tokens:day", window_start=MONTH + 1) == []
    assert await writing.use(1) == [(80, LIMIT), (90, LIMIT), (100, LIMIT)]


async def test_a_batch_that_is_undone_leaves_no_level(database: Database, postgres: asyncpg.Connection) -> None:
    """Levels stand and fall with the totals that reached them."""
    thresholds = Thresholds()
    total = CounterTotal("acme", COUNTER, MONTH, LIMIT)

    async def cross_and_fail() -> None:
        async with database.transaction() as transaction:
            assert len(await thresholds.cross(transaction, [total])) == 3
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await cross_and_fail()
    assert await postgres.fetchval("SELECT count(*) FROM threshold_crossings") == 0
    async with database.transaction() as transaction:
        assert len(await thresholds.cross(transaction, [total])) == 3
        assert await records.cross(transaction, []) == []
        assert await thresholds.cross(transaction, [CounterTotal("nobody", COUNTER, MONTH, LIMIT)]) == []
