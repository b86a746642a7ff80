"""What each kind of limit says: alone, with others in a claim, with other claims in a call; all of them or none."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.counters import consume, keys
from gateway.counters.consume import PEEK
from gateway.counters.order import LIFETIME, Gcra, Hold, Key, Member, Order, Pool, Quota, Rolled, Seats, Sliding, Span
from tests.counters_seen import counters, fields, packed
from tests.doors.test_consume import FAR_MS, GRACE_MS, KINDS, MAX, USAGE, USE, Bucket, bucket

if TYPE_CHECKING:
    from gateway.counters.consume import Answer
    from gateway.counters.order import Limit

__all__ = ["bucket"]  # the fixture

DAY_MS = 86_400_000
EVENT = b'[2,"acme","calls","calls",0,3,"calls:month",1000,{"model":"a,b"},null,1]'
MONTH = Quota("calls:month", Span(1000, FAR_MS), 10)
RATE = Quota("calls/day", Span(0, DAY_MS), 3, kept=False)
SLIDING = Sliding("calls~day", DAY_MS, 10)
GCRA = Gcra("calls!second", 1_000_000, 1, 3)
ALLOWANCE = Member("calls:month", Span(1000, FAR_MS), 10)
GRANT = Member("calls+gift", Span(1000, FAR_MS), 5)
POOL = Pool((GRANT, ALLOWANCE), 1, 7, 0, 0)
SEATS = Seats(keys.seat(7, "acme", "editors"), "ann", 1000, 0, 2)


def order(*limits: Limit, quantity: int = 1, **fields: Any) -> Order:
    """Make an order of a customer `acme` against limits."""
    return Order(7, "acme", limits, quantity, version=3, event=EVENT, **fields)


def kinds(answers: list[Answer]) -> str:
    """Tell the letters of answers."""
    return "".join(answer.kind.decode() for answer in answers)


async def test_one_limit_that_refuses_refuses_all(bucket: Bucket) -> None:
    """Whichever it is, it is named, and no counter of any kind has changed."""
    full = [
        MONTH._replace(ceiling=0),
        RATE._replace(ceiling=0),
        SLIDING._replace(ceiling=0),
        Gcra("calls!second", 1_000_000, 0, 0),
        POOL._replace(members=(GRANT._replace(size=0), ALLOWANCE._replace(counter="pool:month", size=0))),
        SEATS._replace(ceiling=0),
    ]
    roomy = [
        MONTH,
        RATE,
        SLIDING,
        GCRA,
        POOL._replace(members=(GRANT, ALLOWANCE._replace(counter="pool:month"))),
        SEATS,
    ]
    before = await bucket.everything()
    for place, limit in enumerate(full):
        answer = await bucket.ask(1, order(*roomy[:place], limit, *full[place + 1 :]))
        assert (answer.kind, answer.decided) == (consume.REFUSED, place)
    assert await bucket.everything() == before
    answer = await bucket.ask(1, order(*roomy))
    assert KINDS[answer.kind] == "COUNTED"
    assert answer.states[:2] == ((1, 1000), (1, answer.now_ms - answer.now_ms % DAY_MS))
    assert answer.states[4:] == (((1, 1000, 5), (0, 1000, 10)), (1, 0))


@settings(max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.integers(MAX - 10**9, MAX) | st.integers(0, MAX),
    used=st.integers(0, 20),
    length_ms=st.integers(1000, DAY_MS),
    room=st.integers(-2, 2),
)
async def test_a_sliding_window_weighs_the_one_before_exactly(
    bucket: Bucket, before: int, used: int, length_ms: int, room: int
) -> None:
    """What used before counts by the share that is in reach, rounded down, whatever the numbers are."""
    await bucket.anew()
    now_ms = (await bucket.ask(PEEK, order(SLIDING))).now_ms
    start_ms = now_ms - now_ms % length_ms
    await bucket.redis.hset(USE, "calls~day", packed(used, start_ms, before.to_bytes(7, "big")))
    answer = await bucket.ask(PEEK, order(Sliding("calls~day", length_ms, MAX)))
    if answer.now_ms - answer.now_ms % length_ms == start_ms:
        weighed = int(Fraction(before * (length_ms - answer.now_ms + start_ms), length_ms)) + used
        assert answer.states == ((weighed, start_ms),)
        limit = Sliding("calls~day", length_ms, max(0, weighed + room))
        asked = await bucket.ask(PEEK, order(limit, quantity=2))
        if asked.now_ms == answer.now_ms:
            assert (asked.kind == consume.PEEKED) == (weighed + 2 <= limit.ceiling)


async def test_a_sliding_window_moves_on(bucket: Bucket) -> None:
    """The window that was open becomes the one before; what is older does not count; ahead of TIME it stays open."""
    start_ms = (await bucket.ask(PEEK, order(SLIDING))).now_ms // DAY_MS * DAY_MS
    limit = SLIDING._replace(ceiling=MAX)
    for since_ms, rest, before, began in (
        (start_ms - DAY_MS, 5, 9, start_ms),
        (start_ms - 2 * DAY_MS, 5, 0, start_ms),
        (start_ms + DAY_MS, 4, 4, start_ms + DAY_MS),
    ):
        await bucket.redis.hset(USE, "calls~day", packed(9, since_ms, rest.to_bytes(7, "big")))
        answer = await bucket.ask(int((await bucket.redis.hget(keys.head(7), "one")) or 0) + 1, order(limit))
        share = DAY_MS - max(0, answer.now_ms - began)
        used = 10 if began > start_ms else 1
        assert answer.states == ((before * share // DAY_MS + used, began),)
        held = (await fields(bucket.redis, 7, "acme"))["calls~day"]
        assert held == packed(used, began, before.to_bytes(7, "big"))
    assert await bucket.redis.pexpiretime(USE) == start_ms + 2 * DAY_MS + GRACE_MS


async def test_a_gcra_lets_a_burst_through_and_then_one_by_one(bucket: Bucket) -> None:
    """As much as the burst at once, and how long the rest has to wait is told to the millisecond."""
    assert kinds([await bucket.ask(number, order(GCRA)) for number in (1, 2, 3)]) == "CCC"
    refused = await bucket.ask(4, order(GCRA))
    arrival_us = int.from_bytes((await fields(bucket.redis, 7, "acme"))["calls!second"], "big")
    ((units, free_ms),) = refused.states
    assert (refused.kind, units) == (consume.REFUSED, 3)
    assert free_ms in {ceil((arrival_us - us) / 1000) for us in (refused.now_ms * 1000, refused.now_ms * 1000 + 999)}
    await bucket.redis.hset(USE, "calls!second", (refused.now_ms * 1000 - 1).to_bytes(7, "big"))
    again = await bucket.ask(4, order(GCRA, quantity=3))
    assert (again.kind, again.states) == (consume.COUNTED, ((3, 3000),))
    assert await bucket.redis.pexpiretime(USE) >= again.now_ms + 3000 + GRACE_MS / 2


async def test_a_pool_burns_in_its_order_and_then_goes_beyond(bucket: Bucket) -> None:
    """Each member to its end, then the base as far as it may; the event says what was taken of which."""
    beyond = POOL._replace(beyond=4)
    assert (await bucket.ask(1, order(beyond, quantity=3))).states == (((3, 1000, 5), (0, 1000, 10)),)
    assert (await bucket.ask(2, order(beyond, quantity=8))).states == (((5, 1000, 5), (6, 1000, 10)),)
    assert kinds([await bucket.ask(3, order(beyond, quantity=9)), await bucket.ask(3, order(POOL, quantity=5))]) == "RR"
    assert (await bucket.ask(3, order(beyond, quantity=8))).states == (((5, 1000, 5), (14, 1000, 10)),)
    assert (await bucket.ask(4, order(POOL._replace(beyond=None), quantity=2**40))).kind == consume.COUNTED
    told = [entry.get("moves") for _, entry in await bucket.redis.xrange(USAGE)]
    assert told == ["calls+gift 1000 3", "calls+gift 1000 2;calls:month 1000 6", None, None]


async def test_a_grant_is_passed_over_and_a_window_is_not(bucket: Bucket) -> None:
    """Before its time and after it a grant gives nothing; what has windows is asked for again."""
    for span in (Span(1000, 2000), Span(FAR_MS, FAR_MS + 1)):
        passed = POOL._replace(members=(GRANT._replace(span=span), ALLOWANCE))
        assert (await bucket.ask(PEEK, order(passed, quantity=11))).kind == consume.REFUSED
        assert (await bucket.ask(PEEK, order(passed, quantity=10))).kind == consume.PEEKED
        outside = POOL._replace(members=(GRANT, ALLOWANCE._replace(span=span)))
        assert (await bucket.ask(PEEK, order(outside))).kind == consume.WRONG_WINDOW
        alone = Pool((GRANT._replace(span=span),), 0, 7, 0, None)
        assert (await bucket.ask(PEEK, order(alone))).kind == consume.REFUSED


ROLLED = Rolled("calls:month>0", 6, maximum=6, minimum=1)


@pytest.mark.parametrize(
    ("base", "slot", "first", "left"),
    [
        (None, None, 6, 6),  # nothing was used, ever
        (None, None, 7, 0),  # before the first window that rolls over
        (packed(7, 500, (6).to_bytes(6, "big")), None, 0, 3),  # it stands in that window
        (packed(2, 500, (6).to_bytes(6, "big")), None, 0, 6),  # the most
        (packed(12, 500, (6).to_bytes(6, "big")), None, 0, 1),  # the least
        (packed(9, 400, (5).to_bytes(6, "big")), None, 0, 6),  # in an earlier one
        (packed(9, 400), None, 0, 0),  # nobody knows in which
        (packed(1, 1000, (7).to_bytes(6, "big")), None, 0, 0),  # it has rolled over without
        (packed(1, 1000, (7).to_bytes(6, "big")), packed(2, 6, (4).to_bytes(7, "big")), 0, 2),  # written down
        (None, packed(2, 5, (4).to_bytes(7, "big")), 0, 6),  # another window's
    ],
)
async def test_what_a_window_leaves_rolls_over(
    bucket: Bucket, base: bytes | None, slot: bytes | None, first: int, left: int
) -> None:
    """What was left of the window before is there once, and is written down when the base's window begins."""
    for name, value in (("calls:month", base), ("calls:month>0", slot)):
        if value is not None:
            await bucket.redis.hset(USE, name, value)
    pool = Pool((ROLLED, ALLOWANCE), 1, 7, first, 0)
    used = 1 if base is not None and base[7:13] == packed(0, 1000)[7:] else 0
    assert (await bucket.ask(PEEK, order(pool, quantity=left + 11 - used))).kind == consume.REFUSED
    answer = await bucket.ask(1, order(pool, quantity=left + 10 - used))
    assert answer.kind == consume.COUNTED
    ((slot_state, base_state),) = answer.states
    assert (slot_state[0], slot_state[1]) == (slot_state[2], 6)
    assert base_state == (10, 1000, 10)
    seen = await fields(bucket.redis, 7, "acme")
    assert seen["calls:month"] == packed(10, 1000, (7).to_bytes(6, "big"))
    if used == 0 or slot:
        assert seen["calls:month>0"] == packed(slot_state[0], 6, slot_state[2].to_bytes(7, "big"))


async def test_a_seat_is_taken_once_while_its_subject_is_active(bucket: Bucket) -> None:
    """Whoever is active holds one; who is not is dropped, and a full house still serves those in it."""
    bob, eve = SEATS._replace(subject="bob"), SEATS._replace(subject="eve")
    asked = [await bucket.ask(number, order(seats)) for number, seats in enumerate((SEATS, SEATS, bob, eve, SEATS), 1)]
    assert kinds(asked) == "CCCRC"
    assert [answer.states for answer in asked] == [((1, 0),), ((1, 0),), ((2, 0),), ((2, 0),), ((2, 0),)]
    await bucket.redis.zadd(SEATS.key, {"bob": 999})
    assert (await bucket.ask(6, order(eve))).states == ((2, 0),)
    assert sorted(await bucket.redis.zrange(SEATS.key, 0, -1)) == ["ann", "eve"]
    recent = eve._replace(since_ms=0, active_ms=60_000, ceiling=1)
    await bucket.redis.zadd(SEATS.key, {"ann": (await bucket.ask(PEEK, order(recent))).now_ms - 61_000})
    assert (await bucket.ask(7, order(recent))).states == ((1, 0),)
    assert 0 < await bucket.redis.pttl(SEATS.key) <= 60_000 + GRACE_MS
    both = await bucket.ask_many([(8, order(SEATS._replace(subject="a"))), (9, order(SEATS._replace(subject="b")))])
    assert kinds(both) == "CR"


async def test_an_atomic_call_counts_all_or_none(bucket: Bucket) -> None:
    """One that is refused leaves every counter as it was, and the others say that there is room."""
    few, many = order(MONTH, RATE, quantity=3, key=Key("digest", "print", 60_000)), order(MONTH, quantity=8)
    before = await bucket.everything()
    assert kinds(await bucket.ask_many([(1, few), (2, many)], atomic=True)) == "PR"
    assert await bucket.everything() == before
    stale = replace(order(MONTH), version=1)
    assert kinds(await bucket.ask_many([(1, few), (2, order(MONTH))], atomic=True)) == "CC"
    before = await bucket.everything()
    answers = await bucket.ask_many([(1, few), (3, order(MONTH)), (4, stale)], atomic=True)
    assert kinds(answers) == "CPV"
    assert answers[1].states == ((4, 1000),)
    assert await bucket.everything() == before
    assert kinds(await bucket.ask_many([(1, few), (3, order(MONTH)), (4, stale)])) == "CCV"


async def test_a_counter_without_end_keeps_the_hash(bucket: Bucket) -> None:
    """What is counted for a lifetime does not expire with a month, alone or beside others."""
    for number, limits in enumerate([(MONTH,), (Quota("calls:lifetime", LIFETIME, 10),)], 1):
        await bucket.ask(number, order(*limits))
    assert await bucket.redis.pexpiretime(USE) == -1
    await bucket.redis.delete(USE)
    await bucket.ask(3, order(MONTH))
    await bucket.ask(4, order(POOL._replace(members=(GRANT._replace(span=Span(1000, MAX)), ALLOWANCE))))
    assert await bucket.redis.pexpiretime(USE) == -1
    assert await counters(bucket.redis, 7, "acme") == {"calls:month": (1, 1000), "calls+gift": (1, 1000)}


async def test_a_plain_claim_keeps_what_a_pool_knows(bucket: Bucket) -> None:
    """What a pool knows of a window is not lost when a quota counts in it; a counter is not named twice."""
    value = packed(2, 1000, (7).to_bytes(6, "big"))
    await bucket.redis.hset(USE, "calls:month", value)
    await bucket.ask(1, order(MONTH))
    assert (await fields(bucket.redis, 7, "acme"))["calls:month"] == packed(3, 1000, value[13:])
    assert (await bucket.ask(2, order(MONTH, MONTH))).kind == b"BADARG"


async def test_too_much_is_not_held(bucket: Bucket) -> None:
    """The thousandth reservation of a customer is the last one, until one has ended."""
    held = order(Quota("calls#", LIFETIME, None), hold=Hold(DAY_MS))
    for first in range(0, 960, 64):
        assert kinds(await bucket.ask_many([(first + n, held) for n in range(1, 65)])) == "C" * 64
    assert kinds(await bucket.ask_many([(960 + n, held) for n in range(1, 42)])) == "C" * 40 + "H"
    assert (await bucket.ask(PEEK, replace(held, peek=True))).kind == consume.TOO_MUCH_HELD
    assert (await bucket.ask(2000, order(MONTH))).kind == consume.COUNTED
