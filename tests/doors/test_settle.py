"""settle.lua ends a reservation once, gives back what was not used, and loses nothing that was."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from gateway.counters import consume, keys, settle
from gateway.counters.connection import ReplyError
from gateway.counters.footing import Footing
from gateway.counters.order import LIFETIME, Hold, Key, Pool, Quota, Span
from gateway.counters.settle import Commit, Extend, Release, Settled
from gateway.errors import StoreCorruptError, StoreUnavailableError
from tests.counters_seen import counters, packed
from tests.doors.test_consume import DUE, DUES, FAR_MS, HEAD, HOLD, LINE, MAX, USAGE, USE, Bucket, bucket
from tests.doors.test_limits import ALLOWANCE, DAY_MS, GRANT, MONTH, POOL, order

if TYPE_CHECKING:
    from gateway.counters.settle import Action

__all__ = ["bucket"]  # the fixture

FOOTING = Footing.of(LINE, "one")
LONG, SHORT = Hold(60_000), Hold(1)
WIDE = Pool((GRANT, ALLOWANCE._replace(size=100)), 1, 7, 0, 0)


async def sent(bucket: Bucket, packed_call: bytes) -> Any:
    """Send a call as a gateway does."""
    answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    bucket.connection.send(packed_call, answered.set_result)
    return await answered


async def settled(bucket: Bucket, reservation: str, action: Action, number: int = 900) -> Settled:
    """Settle a reservation of `acme`."""
    await bucket.connection.call("SCRIPT", "LOAD", settle.SCRIPT)
    reply = await sent(bucket, settle.command(FOOTING, 7, "acme", reservation, action, number))
    assert not isinstance(reply, ReplyError), reply
    return settle.read(reply)


async def events(bucket: Bucket) -> list[tuple[str, int, int, str]]:
    """List the events after the reservation's: id, quantity, kind, moves."""
    rows = [fields for _, fields in await bucket.redis.xrange(USAGE)][1:]
    return [
        (row["id"], int(row["claim"].split(",")[4]), int(row["claim"][-2]), row.get("moves", "none")) for row in rows
    ]


@pytest.mark.parametrize(
    ("action", "left", "moves"),
    [
        (Commit(12), {"calls+gift": (5, 1000), "calls:month": (7, 1000)}, ""),
        (Commit(9), {"calls+gift": (5, 1000), "calls:month": (4, 1000)}, "calls:month 1000 -3"),
        (Commit(2), {"calls+gift": (2, 1000), "calls:month": (0, 1000)}, "calls+gift 1000 -3;calls:month 1000 -7"),
        (Commit(0), {"calls+gift": (0, 1000), "calls:month": (0, 1000)}, "calls+gift 1000 -5;calls:month 1000 -7"),
        (Commit(500), {"calls+gift": (5, 1000), "calls:month": (495, 1000)}, "calls:month 1000 488"),
        (Commit(MAX), {"calls+gift": (5, 1000), "calls:month": (MAX - 5, 1000)}, f"calls:month 1000 {MAX - 12}"),
        (Release(), {"calls+gift": (0, 1000), "calls:month": (0, 1000)}, "calls+gift 1000 -5;calls:month 1000 -7"),
    ],
)
async def test_what_was_really_used_stays_counted(
    bucket: Bucket, action: Action, left: dict[str, tuple[int, int]], moves: str
) -> None:
    """Of a pool what burned first is kept first, and what exceeds all goes on the base, over its size."""
    await bucket.ask(1, order(WIDE, quantity=12, hold=LONG))
    assert await bucket.redis.zrange(DUE, 0, -1) == ["acme"]
    answer = await settled(bucket, "one-1", action)
    quantity = action.quantity if isinstance(action, Commit) else 0
    assert (answer.kind, answer.quantity) == (settle.ENDED, quantity)
    assert answer.how == (settle.COMMITTED if isinstance(action, Commit) else settle.RELEASED)
    assert await counters(bucket.redis, 7, "acme") == left
    assert {one.counter: (one.used, one.start_ms) for one in answer.held} == left
    assert await events(bucket) == [("one-1.end", quantity, 2, moves)]
    assert await bucket.redis.hexists(USE, ".d") is False


async def test_whoever_settles_again_gets_the_first_answer(bucket: Bucket) -> None:
    """By the same call it is the same answer, by another one that it had ended; nothing more is written."""
    await bucket.ask(1, order(MONTH, quantity=5, hold=LONG))
    first = await settled(bucket, "one-1", Commit(3), 7)
    assert (await bucket.redis.xrange(USAGE))[0][1]["moves"] == "calls:month 1000 5"
    before = await bucket.everything()
    assert await settled(bucket, "one-1", Commit(3), 7) == replace(first, stream_id=b"")
    for action in (Commit(3), Commit(4), Release(), Extend(1000)):
        again = await settled(bucket, "one-1", action, 8)
        assert again == replace(first, kind=settle.ENDED_BEFORE, stream_id=b"")
    assert (await settled(bucket, "one-2", Release())).kind == settle.UNKNOWN
    assert await bucket.everything() == before


async def test_what_is_due_ends_with_whatever_is_asked_next(bucket: Bucket) -> None:
    """Up to four end with a call of the customer, a peek as well, each with its event; the rest with later ones."""
    for number in range(1, 7):
        await bucket.ask(number, order(MONTH, hold=SHORT))
    await asyncio.sleep(0.005)
    # the reservations that were already due ended with those that came behind them
    await bucket.ask(consume.PEEK, order(MONTH, peek=True))
    await bucket.ask(consume.PEEK, order(MONTH, peek=True))
    assert await counters(bucket.redis, 7, "acme") == {"calls:month": (0, 1000)}
    ended = [event for event in await events(bucket) if event[0].endswith(".end")]
    assert sorted(ended) == [(f"one-{n}.end", 0, 2, "calls:month 1000 -1") for n in range(1, 7)]
    assert await bucket.redis.hexists(USE, ".d") is False


async def test_no_more_than_four_end_with_one_call(bucket: Bucket) -> None:
    """The others are seen as held until the next call, or until the keeper sweeps."""
    await bucket.ask_many([(number, order(MONTH, hold=SHORT)) for number in range(1, 8)])
    await asyncio.sleep(0.005)
    assert (await bucket.ask(consume.PEEK, order(MONTH, peek=True))).states == ((3, 1000),)
    now_ms = (await bucket.ask(8, order(MONTH))).now_ms
    assert await counters(bucket.redis, 7, "acme") == {"calls:month": (1, 1000)}
    await bucket.ask_many([(number, order(MONTH, hold=SHORT)) for number in range(11, 17)])
    await asyncio.sleep(0.005)
    assert await settle.due(bucket.connection, 7, now_ms + 5000, 10) == ["acme"]
    await bucket.connection.call("SCRIPT", "LOAD", settle.SCRIPT)
    ended = [settle.read_sweep(await sent(bucket, settle.sweep(FOOTING, 7, "acme", 5, 1))) for _ in range(3)]
    assert ended == [5, 1, 0]
    assert await settle.due(bucket.connection, 7, now_ms + 5000, 10) == []


async def test_what_is_committed_late_is_recorded_once(bucket: Bucket) -> None:
    """After its end a commit counts on the base, over any ceiling; a second one gets the first answer."""
    await bucket.ask(1, order(POOL, quantity=15, hold=SHORT))
    await asyncio.sleep(0.005)
    late = await settled(bucket, "one-1", Commit(14), 1)
    assert (late.kind, late.how, late.quantity) == (settle.LATE, settle.COMMITTED_LATE, 14)
    assert await counters(bucket.redis, 7, "acme") == {"calls+gift": (0, 1000), "calls:month": (14, 1000)}
    assert await settled(bucket, "one-1", Commit(9), 2) == replace(late, kind=settle.ENDED_BEFORE, stream_id=b"")
    assert await settled(bucket, "one-1", Commit(14), 1) == replace(late, stream_id=b"")
    given_back = "calls+gift 1000 -5;calls:month 1000 -10"
    assert await events(bucket) == [("one-1.end", 0, 2, given_back), ("one-1.late", 14, 3, "calls:month 1000 14")]


async def test_what_is_due_is_over_however_many_are(bucket: Bucket) -> None:
    """The one that is settled has ended as well, though four others do in that call."""
    await bucket.ask_many([(number, order(MONTH, hold=SHORT)) for number in range(1, 8)])
    await asyncio.sleep(0.005)
    assert (await settled(bucket, "one-7", Extend(1000))).how == settle.EXPIRED
    assert (await settled(bucket, "one-6", Commit(1))).kind == settle.LATE
    assert await counters(bucket.redis, 7, "acme") == {"calls:month": (1, 1000)}


async def test_a_reservation_is_kept_longer_and_never_shorter(bucket: Bucket) -> None:
    """It is due later, so are customer and bucket, and the hash lives until then."""
    await bucket.ask(1, order(MONTH._replace(span=Span(0, 1000)), hold=LONG))
    long = replace(order(MONTH._replace(span=Span(0, 1000)), hold=Hold(DAY_MS)), customer="bolt")
    due_ms = (await bucket.ask(2, long)).now_ms + DAY_MS
    assert await bucket.redis.pexpiretime(keys.use(7, "bolt")) > due_ms
    held = await settled(bucket, "one-1", Extend(DAY_MS))
    assert (held.kind, held.at_ms) == (settle.EXTENDED, held.now_ms + DAY_MS)
    assert (await settled(bucket, "one-1", Extend(1))).at_ms == held.at_ms
    assert await bucket.redis.zscore(DUES, "one-1") == await bucket.redis.zscore(DUE, "acme") == held.at_ms
    assert await bucket.redis.hget(USE, ".d") == str(held.at_ms)
    assert await bucket.redis.pexpiretime(USE) > held.at_ms


async def test_a_slot_is_free_again_whatever_was_used(bucket: Bucket) -> None:
    """Concurrency is given back whole; without a meter nothing is written to the stream."""
    slot = replace(order(Quota("calls#", LIFETIME, 1), hold=LONG), event=None)
    assert [(await bucket.ask(number, slot)).kind for number in (1, 2)] == [consume.COUNTED, consume.REFUSED]
    await settled(bucket, "one-1", Commit(1000))
    assert await counters(bucket.redis, 7, "acme") == {"calls#": (0, 1)}
    assert await bucket.redis.xlen(USAGE) == 0


async def test_what_is_released_of_a_window_that_is_over_moves_no_counter(bucket: Bucket) -> None:
    """The event says what was given back; the window that runs is not touched."""
    await bucket.ask(1, order(MONTH, quantity=5, hold=LONG))
    await bucket.redis.hset(USE, "calls:month", packed(2, 2000))
    await settled(bucket, "one-1", Release())
    assert await counters(bucket.redis, 7, "acme") == {"calls:month": (2, 2000)}
    assert await events(bucket) == [("one-1.end", 0, 2, "calls:month 1000 -5")]
    await bucket.ask(2, order(MONTH._replace(span=Span(2000, FAR_MS)), hold=LONG))
    await bucket.redis.delete(USE)
    await settled(bucket, "one-2", Release())
    assert not await bucket.redis.exists(USE)


async def test_a_key_reserves_once_as_long_as_it_is_held(bucket: Bucket) -> None:
    """When the key itself is forgotten, the reservation under it still says that it was counted."""
    held = order(MONTH, quantity=5, hold=LONG, key=Key("digest", "print", 60_000))
    assert [(await bucket.ask(number, held)).kind for number in (1, 2)] == [consume.COUNTED, consume.REPLAYED]
    await bucket.redis.delete(keys.idempotency(7, "acme", "digest"))
    assert (await bucket.ask(3, held)).kind == consume.REPLAYED
    assert (await settled(bucket, "digest", Commit(5))).kind == settle.ENDED
    assert (await bucket.ask(4, held)).kind == consume.REPLAYED


async def test_an_end_is_forgotten_after_a_day(bucket: Bucket) -> None:
    """Whoever has something to forget is in `due`, and is forgotten with what comes next."""
    await bucket.ask(1, order(MONTH, hold=LONG))
    end_ms = (await settled(bucket, "one-1", Release())).now_ms
    assert await bucket.redis.zscore(DUE, "acme") == end_ms + DAY_MS
    assert await bucket.redis.zscore(DUES, "one-1") == 10**15 + end_ms + DAY_MS
    await bucket.redis.zadd(DUES, {"one-1": 10**15 + end_ms})
    assert (await settled(bucket, "other", Release())).kind == settle.UNKNOWN
    assert not await bucket.redis.exists(HOLD, DUES, DUE)


@pytest.mark.parametrize("key", [HEAD, USAGE, DUE, USE, HOLD, DUES])
@pytest.mark.parametrize("due", [False, True])
async def test_nothing_is_written_where_a_key_is_not_ours(bucket: Bucket, key: str, due: bool) -> None:
    """Whichever it is, reserving, settling and ending what is due fail before the first write."""
    await bucket.ask(1, order(MONTH, hold=SHORT if due else LONG))
    await asyncio.sleep(0.005)
    await bucket.redis.delete(key)
    await bucket.redis.execute_command(*(("SET", key, "x") if key != DUE else ("HSET", key, "x", "x")))
    before = await bucket.everything()
    await bucket.connection.call("SCRIPT", "LOAD", settle.SCRIPT)
    for call in (
        consume.command(FOOTING, order(MONTH, hold=LONG), 2),
        settle.command(FOOTING, 7, "acme", "one-1", Commit(1), 3),
    ):
        assert isinstance(await sent(bucket, call), ReplyError)
    assert await bucket.everything() == before


async def test_what_a_gateway_would_not_send_is_refused(bucket: Bucket) -> None:
    """Another action, numbers that are none, too much, no reservation: an error, and nothing is written."""
    await bucket.ask(1, order(MONTH, hold=LONG))
    before = await bucket.everything()
    whole = [HEAD, USAGE, DUE, USE, HOLD, DUES, LINE, "one", 1, "commit", 1, "one-1"]
    for place, bad in (
        *((8, bad) for bad in (0, -1, "x", "01", 2**53)),
        *((9, bad) for bad in ("", "Commit", "end")),
        *((10, bad) for bad in (-1, "1.0", "", 2**53)),
        (11, ""),
    ):
        call = [*whole[:place], bad, *whole[place + 1 :]]
        with pytest.raises(StoreUnavailableError, match="BADARG"):
            await bucket.connection.call("EVAL", settle.SCRIPT, 6, *call)
    for action, amount, named in (
        ("extend", 0, "a"),
        ("extend", DAY_MS + 1, "a"),
        ("sweep", 65, ""),
        ("sweep", 1, "a"),
    ):
        with pytest.raises(StoreUnavailableError, match="BADARG"):
            await bucket.connection.call("EVAL", settle.SCRIPT, 6, *whole[:9], action, amount, named)
    for count in (5, 7):
        with pytest.raises(StoreUnavailableError, match="BADARG"):
            await bucket.connection.call("EVAL", settle.SCRIPT, count, *whole)
    for line, gateway in (("other", "one"), (LINE, "three")):
        packed_call = settle.command(Footing.of(line, gateway), 7, "acme", "one-1", Release(), 1)
        assert settle.read(await sent(bucket, packed_call)).kind in {consume.FENCED, consume.UNREGISTERED}
    assert await bucket.everything() == before


def test_what_the_script_never_answers_is_corrupt() -> None:
    """A reply of another shape is not taken for an answer."""
    said = bytes(8) + b"Ec" + bytes(16) + b"\1\5calls" + bytes(16)
    assert settle.read(said).held == (("calls", 0, 0),)
    for reply in (None, 1, b"", said[:-1], said[:26], said.replace(b"Ec", b"ec"), said.replace(b"Ec", b"EC")):
        with pytest.raises(StoreCorruptError, match="answered"):
            settle.read(reply)
        with pytest.raises(StoreCorruptError, match="answered"):
            settle.read_sweep(reply)
