"""A use is given back once, never more than was used, at its own moment, and from the counters that took it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import (
    AlreadyExistsError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    NotFoundError,
    PreconditionError,
)
from gateway.records import customers, usage
from gateway.records.database import Database
from gateway.records.usage import EventRow, Kind, Move
from gateway.refunding import Refunded, given_back, refund

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

AT = datetime(2025, 12, 2, 10, 30, tzinfo=UTC)
BUCKET, START = "l9", 1_764_547_200_000
USE = EventRow(
    *("gw-1", AT, "acme", "calls", "calls", 10, 1),
    moves=(Move("calls:month", START, 6), Move("calls+7", 1, 4), Move("calls:month:model=a", START, 10)),
)


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    """A database with two customers, and a use, a reservation and its end, of the one."""
    opened = await Database.open(postgres_url)
    reserve = replace(
        USE, event_id="gw-2", quantity=0, kind=Kind.RESERVE, moves=(Move("calls:month", START, 9), Move("calls#", 1, 1))
    )
    end = replace(
        USE,
        event_id="gw-2.end",
        quantity=5,
        kind=Kind.END,
        moves=(Move("calls:month", START, -4), Move("calls#", 1, -1)),
    )
    held = replace(reserve, event_id="gw-3")
    released = (
        replace(reserve, event_id="gw-4"),
        replace(end, event_id="gw-4.end", quantity=0, moves=(Move("calls:month", START, -9),)),
    )
    old = replace(USE, event_id="gw-5", moves=None)
    async with opened.transaction() as transaction:
        for customer in ("acme", "zeta"):
            await customers.add(transaction, customer, 9)
        await usage.write(transaction, BUCKET, [USE, reserve, end, held, *released, old])
    yield opened
    await opened.close()


async def give_back(database: Database, *told: Any, customer: str = "acme", **more: Any) -> Refunded:
    """Refund in a transaction of its own."""
    async with database.transaction() as transaction:
        event_id, quantity = told
        return await refund(
            transaction, customer, event_id, quantity, more.get("reason", ""), more.get("request_id", "")
        )


async def totals(postgres: asyncpg.Connection) -> dict[str, int]:
    """Read what each counter comes to, and the meter."""
    counters = await postgres.fetch("SELECT counter, used FROM counter_totals")
    metered = await postgres.fetchval("SELECT sum(quantity) FROM usage_totals")
    return {row["counter"]: int(row["used"]) for row in counters} | {"": int(metered)}


async def test_a_part_of_a_use_is_given_back(database: Database, postgres: asyncpg.Connection) -> None:
    """Who took last gives back first; beside it the dimension's counter; at the use's own moment, in one commit."""
    before = await totals(postgres)
    done = await give_back(database, "gw-1", 5, reason="it failed", request_id="r-1")
    assert (done.event_id, done.quantity, done.reason, done.replayed) == ("gw-1", 5, "it failed", False)
    row = await postgres.fetchrow("SELECT * FROM events WHERE event_id = 'gw-1.refund'")
    assert (row["quantity"], row["kind"], row["at"], row["meter"]) == (-5, Kind.REFUND, AT, "calls")
    after = await totals(postgres)
    assert {name: after[name] - before[name] for name in after} == {
        "calls:month": -1,
        "calls+7": -4,
        "calls:month:model=a": -5,
        "calls#": 0,
        "": -5,
    }
    (told,) = await postgres.fetch("SELECT bucket, number, customer, event_id, moves::text FROM outbox")
    assert tuple(told)[:4] == (BUCKET, 1, "acme", "gw-1.refund")
    assert all(
        f'["{counter}", {start}, 0, -{amount}]' in told["moves"]
        for counter, start, amount in (("calls+7", 1, 4), ("calls:month", START, 1))
    )
    assert await postgres.fetchval("SELECT sum(events) FROM usage_totals") == 3, "a refund is no use"


async def test_a_repeat_gets_the_first_answer(database: Database, postgres: asyncpg.Connection) -> None:
    """Under its request's id or without: nothing is given back twice; anything else is refused."""
    first = await give_back(database, "gw-1", 5, request_id="r-1")
    after = await totals(postgres)
    for repeat in (("gw-1", 5, "r-1"), ("gw-1", 5, ""), ("gw-1", 5, "r-2")):
        again = await give_back(database, *repeat[:2], request_id=repeat[2])
        assert again == replace(first, replayed=True)
    for other in (("gw-2", 5), ("gw-1", 4), ("gw-1", None)):
        with pytest.raises(IdempotencyKeyReusedError):
            await give_back(database, *other, request_id="r-1")
    with pytest.raises(AlreadyExistsError, match="5 were refunded"):
        await give_back(database, "gw-1", 4)
    assert await totals(postgres) == after
    assert await postgres.fetchval("SELECT count(*) FROM outbox") == 1


async def test_many_at_once_give_back_once(database: Database, postgres: asyncpg.Connection) -> None:
    """Ten refunds of one use at the same moment: one gives back, nine get its answer."""
    before = await totals(postgres)
    done = await asyncio.gather(*(give_back(database, "gw-1", None) for _ in range(10)))
    assert sorted(one.replayed for one in done) == [False] + [True] * 9
    assert (await totals(postgres))[""] == before[""] - 10


async def test_a_request_id_is_of_one_request(database: Database) -> None:
    """Two events under one id at the same moment: one is given back, the other is told so."""
    done = await asyncio.gather(
        *(give_back(database, event_id, None, request_id="r-1") for event_id in ("gw-1", "gw-2", "gw-5")),
        return_exceptions=True,
    )
    assert sorted(isinstance(one, Refunded) for one in done) == [False, False, True]
    assert sum(isinstance(one, IdempotencyKeyReusedError) for one in done) == 2


@pytest.mark.parametrize("named", ["gw-2", "gw-2.end"])
async def test_of_a_reservation_what_was_really_used_is_given_back(
    database: Database, postgres: asyncpg.Connection, named: str
) -> None:
    """Its end says how much; the slot that it held is back already, and is not given back again."""
    before = await totals(postgres)
    with pytest.raises(InvalidRequestError, match="6 is more than the 5 that were used"):
        await give_back(database, named, 6)
    assert (await give_back(database, named, None)).quantity == 5
    after = await totals(postgres)
    assert {name: before[name] - after[name] for name in ("calls:month", "calls#", "")} == {
        "calls:month": 5,
        "calls#": 0,
        "": 5,
    }


async def test_a_use_that_told_no_counters_is_given_back_in_the_records(
    database: Database, postgres: asyncpg.Connection
) -> None:
    """As older gateways wrote it: the bill is right, and live counters hear nothing."""
    assert (await give_back(database, "gw-5", None)).quantity == 10
    assert await postgres.fetchval("SELECT count(*) FROM outbox") == 0
    assert await postgres.fetchval("SELECT moves::text FROM events WHERE event_id = 'gw-5.refund'") == "[]"


@pytest.mark.parametrize(
    ("told", "error", "says"),
    [
        (("gw-9", None), NotFoundError, "use gw-9 of customer acme"),
        (("gw-1", 11), InvalidRequestError, "11 is more than the 10"),
        (("gw-1", 0), InvalidRequestError, "quantity: 0 is out of range"),
        (("gw-3", None), PreconditionError, "gw-3 is still held"),
        (("gw-4", None), PreconditionError, "nothing of it was used"),
        (("gw-1.refund", None), NotFoundError, "use gw-1.refund"),
        (("OK:7", None), InvalidRequestError, "decision_id"),
        (("", None), InvalidRequestError, "decision_id"),
    ],
)
async def test_what_cannot_be_given_back_is_refused(
    database: Database, postgres: asyncpg.Connection, told: tuple[str, int | None], error: type[Exception], says: str
) -> None:
    """What is not written down, more than was used, what is still held or was never used: nothing changes."""
    before = await totals(postgres)
    with pytest.raises(error, match=says):
        await give_back(database, *told)
    assert await totals(postgres) == before


async def test_somebody_else_s_use_is_not_there(database: Database) -> None:
    """A customer is told of no other's decisions, and what else is ill-formed is named."""
    with pytest.raises(NotFoundError, match="of customer zeta"):
        await give_back(database, "gw-1", None, customer="zeta")
    for field, more in {
        "customer": {"customer": "a b"},
        "reason": {"reason": "a\nb"},
        "request_id": {"request_id": "é"},
    }.items():
        with pytest.raises(InvalidRequestError, match=field):
            await give_back(database, "gw-1", None, **more)


_MOVES = st.lists(
    st.builds(Move, st.sampled_from(["f:month", "f+1", "f+2", "f:month>0"]), st.integers(1, 2), st.integers(1, 50)),
    min_size=1,
)


@given(moves=_MOVES, share=st.floats(0, 1))
def test_what_is_given_back_adds_up(moves: list[Move], share: float) -> None:
    """The counters of the limit give back all that is asked, none more than it took; those beside it the same again."""
    took = sum(move.amount for move in moves)
    quantity = max(1, int(took * share))
    beside = [Move("f:month:model=a:b", 1, took), Move("f#", 1, 1)]
    returned = given_back([*moves, *beside], "f", quantity)
    assert sum(-move.amount for move in returned if move.counter != beside[0].counter) == quantity
    assert [-move.amount for move in returned if move.counter == beside[0].counter] == [quantity]
    for move in returned:
        assert 0 < -move.amount <= sum(one.amount for one in [*moves, *beside] if one[:2] == move[:2])
    rest = given_back([*moves, *beside, *returned], "f", took)
    assert sum(-move.amount for move in rest if move.counter != beside[0].counter) == took - quantity
