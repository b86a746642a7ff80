"""The stream of usage events: read back as it was written, kept aside when it is broken, trimmed when it is old."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gateway.counters import keys, usage
from gateway.counters.connection import Address, Connection
from gateway.counters.usage import LOOK_BACK_MS, SCHEMA, StreamId, UnreadableEntry, UsageEvent, pack_claim
from gateway.errors import StoreCorruptError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import redis.asyncio

BUCKET = 7
STREAM = keys.usage(BUCKET)
MONTH_MS = 1_763_000_000_000
CLAIM = [SCHEMA, "acme", "calls", "calls", 5, 3, "calls:month", MONTH_MS, None, None, usage.USE]
OLD_CLAIM = [1, "acme", "calls", "calls", 5, 3]
"""As the first schema had it."""

BEGINNING = StreamId(0, 0)
NOW_MS = 1_800_000_000_000
"""Entries get their ids from the tests."""


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[Connection]:
    """A connection of ours."""
    opened = await Connection.open(Address.parse(redis_url))
    yield opened
    opened.close()


def entry(**changes: str | bytes) -> dict[str, str | bytes]:
    """Make the fields of a good entry, with changes."""
    return {"id": "gateway-1", "at": "1764000000000", "claim": msgspec.json.encode(CLAIM), **changes}


def packed(place: int, value: object) -> bytes:
    """Make a packed claim with one wrong place."""
    return msgspec.json.encode([*CLAIM[:place], value, *CLAIM[place + 1 :]])


async def test_what_was_written_is_read(connection: Connection, redis_client: redis.asyncio.Redis) -> None:
    """Every part of an event comes back, with its place in the stream and the bucket's line."""
    assert await usage.read(connection, BUCKET, BEGINNING, 10) == usage.Reading(None, [])
    await redis_client.hset(keys.head(BUCKET), "line", "d:1:r")
    told = {"model": "a b;c=1 2", "region": "~"}
    claim = pack_claim(
        *("a.b-c_d@e", "calls", "meter", 2**53 - 1, 2, "calls:month", 7),
        dimensions=told,
        subject="u@1",
        kind=usage.LATE,
    )
    await redis_client.xadd(STREAM, {"id": "gw-7", "at": "1764000000123", "claim": claim}, "1764000000125-3")
    read = await usage.read(connection, BUCKET, BEGINNING, 10)
    (event,) = read.entries
    assert isinstance(event, UsageEvent)
    assert (read.line, event.stream_id, event.id, event.at_ms) == ("d:1:r", (1764000000125, 3), "gw-7", 1764000000123)
    said = (SCHEMA, "a.b-c_d@e", "calls", "meter", 2**53 - 1, 2, "calls:month", 7, told, "u@1", usage.LATE)
    assert msgspec.structs.astuple(event.claim) == said
    assert event.moves == (("calls:month", 7, 2**53 - 1),)


async def moves_of(connection: Connection, client: redis.asyncio.Redis, **fields: str | bytes) -> object:
    """Read one entry's moves; of a broken one, why."""
    await client.delete(STREAM)
    await client.xadd(STREAM, entry(**fields), "1-0")
    (event,) = (await usage.read(connection, BUCKET, BEGINNING, 1)).entries
    return event.moves if isinstance(event, UsageEvent) else event.why


async def test_an_entry_of_the_first_schema_is_still_read(
    connection: Connection, redis_client: redis.asyncio.Redis
) -> None:
    """What lay in a stream when its reader was upgraded is written down; which counter it moved, it does not tell."""
    assert await moves_of(connection, redis_client, claim=msgspec.json.encode(OLD_CLAIM)) is None
    assert "schema 1" in str(await moves_of(connection, redis_client, claim=b'[1,"acme","calls",null,5,3]'))
    assert "schema 1" in str(await moves_of(connection, redis_client, claim=msgspec.json.encode(OLD_CLAIM), moves=""))


@pytest.mark.parametrize(
    ("counter", "start_ms"),
    [
        ("calls:second", 1_764_000_061_000),
        ("calls:minute", 1_764_000_060_000),
        ("calls:hour:model=a:day/b", 1_764_000_000_000),
        ("calls+pack.hour:minute", 1_764_000_060_000),
        ("calls/minute", 1_764_000_060_000),
    ],
)
async def test_a_short_window_s_start_follows_from_the_moment(
    connection: Connection, redis_client: redis.asyncio.Redis, counter: str, start_ms: int
) -> None:
    """Where the script computes the window, its start is found again by the length that the counter's name tells."""
    claim = pack_claim("acme", "calls", "calls", 5, 3, counter)
    assert await moves_of(connection, redis_client, claim=claim, at="1764000061234") == ((counter, start_ms, 5),)


async def test_an_entry_tells_what_each_counter_took(connection: Connection, redis_client: redis.asyncio.Redis) -> None:
    """Several counters, also of a value with spaces and semicolons; less than nothing; and nothing at all."""
    reserve = pack_claim("acme", "calls", "calls", 0, 3, "calls:month", MONTH_MS, kind=usage.RESERVE)
    odd = "calls:month:model=a b;c 1;d"
    for text, moves in {
        f"calls:month {MONTH_MS} 3;calls+17 1 2": (("calls:month", MONTH_MS, 3), ("calls+17", 1, 2)),
        f"{odd} 5 1;calls# 1 1;": ((odd, 5, 1), ("calls#", 1, 1)),
        "calls:minute 0 -4": (("calls:minute", 1_764_000_000_000, -4),),
        "": (),
    }.items():
        assert await moves_of(connection, redis_client, claim=reserve, moves=text) == moves
    assert await moves_of(connection, redis_client, claim=reserve) == ()


async def test_a_stream_is_read_in_pieces(connection: Connection, redis_client: redis.asyncio.Redis) -> None:
    """Each piece begins behind the last one's end; together they are the stream, in its order."""
    for number in range(10):
        await redis_client.xadd(STREAM, entry(id=f"gw-{number}"), f"{5 + number // 4}-{number}")
    mark, found = BEGINNING, []
    while piece := (await usage.read(connection, BUCKET, mark, 3)).entries:
        assert len(piece) <= 3
        mark = piece[-1].stream_id
        found += [one.id for one in piece if isinstance(one, UsageEvent)]
    assert found == [f"gw-{number}" for number in range(10)]


BROKEN = {
    "no id": {"at": "1", "claim": b"[]"},
    "no claim": {"id": "gw-1", "at": "1"},
    "another id": entry(id="GW 1"),
    "a long id": entry(id="g" * 65),
    "no moment": entry(at="1.5"),
    "an empty moment": entry(at=""),
    "no JSON": entry(claim="["),
    "no array": entry(claim="{}"),
    "not UTF-8": entry(claim=b'[2,"\xff","calls","calls",5,3,"calls:month",1,null,null,0]'),
    "too short": entry(claim=msgspec.json.encode(CLAIM[:5])),
    "too short for its schema": entry(claim=msgspec.json.encode(CLAIM[:6])),
    "an older schema": entry(claim=packed(0, 0)),
    "another customer": entry(claim=packed(1, "ac me")),
    "an empty customer": entry(claim=packed(1, "")),
    "a line's end": entry(claim=packed(1, "acme\n")),
    "a long feature": entry(claim=packed(2, "f" * 65)),
    "no meter in the first schema": entry(claim=msgspec.json.encode([*OLD_CLAIM[:3], None, 5, 3])),
    "an empty meter": entry(claim=packed(3, "")),
    "nothing used": entry(claim=packed(4, 0)),
    "too much used": entry(claim=packed(4, 2**53)),
    "a fraction used": entry(claim=packed(4, 1.5)),
    "no version": entry(claim=packed(5, 0)),
    "a counter without a limit": entry(claim=packed(6, "calls")),
    "a counter with a comma": entry(claim=packed(6, "calls:month:model=a,b")),
    "a counter of another feature": entry(claim=packed(6, "call:month")),
    "a counter of a longer feature": entry(claim=packed(6, "calls.more:month")),
    "no start of a window that has no length": entry(claim=packed(7, 0)),
    "a window before 1970": entry(claim=packed(7, -1)),
    "no dimensions, and yet some": entry(claim=packed(8, {})),
    "too many dimensions": entry(claim=packed(8, {f"d{number}": "x" for number in range(17)})),
    "a dimension's empty value": entry(claim=packed(8, {"model": ""})),
    "a dimension's value with a comma": entry(claim=packed(8, {"model": "a,b"})),
    "a dimension's ill-formed name": entry(claim=packed(8, {"the model": "a"})),
    "an ill-formed subject": entry(claim=packed(9, "a b")),
    "a kind there is not": entry(claim=packed(10, 4)),
    "held and billed": entry(claim=packed(10, usage.RESERVE)),
    "moves of another feature": entry(moves="call:month 1 5"),
    "moves without a start": entry(moves="calls:month 5"),
    "moves by a fraction": entry(moves="calls:month 1 0.5"),
    "moves beyond exactness": entry(moves=f"calls:month 1 {2**53}"),
    "moves with a zero before": entry(moves="calls:month 1 05"),
    "moves with something behind": entry(moves="calls:month 1 5; "),
    "moves that are not UTF-8": entry(moves=b"calls:month \xff 5"),
}


@pytest.mark.parametrize("fields", BROKEN.values(), ids=BROKEN)
async def test_a_broken_entry_is_kept_aside(
    connection: Connection, redis_client: redis.asyncio.Redis, fields: dict[str, str | bytes]
) -> None:
    """It comes with its place, what it holds and why it is none; the entries around it are read."""
    await redis_client.xadd(STREAM, entry(id="before"), "1-0")
    await redis_client.xadd(STREAM, fields, "2-0")
    await redis_client.xadd(STREAM, entry(id="after"), "3-0")
    before, broken, after = (await usage.read(connection, BUCKET, BEGINNING, 10)).entries
    assert (isinstance(before, UsageEvent), isinstance(after, UsageEvent)) == (True, True)
    assert isinstance(broken, UnreadableEntry)
    assert (broken.stream_id, list(broken.fields), bool(broken.why)) == ((2, 0), list(fields), True)


async def test_an_entry_of_a_newer_schema_stops_the_bucket(
    connection: Connection, redis_client: redis.asyncio.Redis
) -> None:
    """What a newer gateway wrote is neither guessed nor put aside."""
    for claim in (packed(0, SCHEMA + 1), b"[3]", b'[99,{"whatever":"comes"}]'):
        await redis_client.delete(STREAM)
        await redis_client.xadd(STREAM, entry(claim=claim), "1-0")
        with pytest.raises(StoreCorruptError, match="upgrade"):
            await usage.read(connection, BUCKET, BEGINNING, 10)


@settings(deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.dictionaries(st.binary(max_size=6), st.binary(max_size=600), min_size=1, max_size=4))
async def test_any_bytes_are_kept_aside_as_printable_text(
    connection: Connection, redis_client: redis.asyncio.Redis, fields: dict[bytes, bytes]
) -> None:
    """Whatever stands in the stream can be stored as text in Postgres."""
    await redis_client.delete(STREAM)
    await redis_client.xadd(STREAM, fields, "1-0")
    (broken,) = (await usage.read(connection, BUCKET, BEGINNING, 10)).entries
    assume(isinstance(broken, UnreadableEntry))
    assert isinstance(broken, UnreadableEntry)
    shown = "".join([*broken.fields, *broken.fields.values()])
    assert shown.isascii()
    assert not shown or shown.isprintable()


@pytest.mark.parametrize(("watermark_ms", "trimmed"), [(0, 0), (30_001, 1), (30_000, 2), (10_000, 2), (1, 2)])
async def test_only_what_is_old_and_written_down_is_trimmed(
    connection: Connection, redis_client: redis.asyncio.Redis, watermark_ms: int, trimmed: int
) -> None:
    """Ages in ms: what lies behind the watermark stays, and so does what a claim asked again may look for."""
    assert LOOK_BACK_MS == 10_000
    names = [f"{NOW_MS - age_ms}-5" for age_ms in (60_000, 30_000, 10_000, 9_999, 1)]
    for name in names:
        await redis_client.xadd(STREAM, entry(), name)
    watermark = StreamId(NOW_MS - watermark_ms, 5) if watermark_ms else BEGINNING
    await usage.trim(connection, BUCKET, watermark, NOW_MS)
    assert [name for name, _ in await redis_client.xrange(STREAM)] == names[trimmed:]


async def test_trimming_stops_at_the_very_entry(connection: Connection, redis_client: redis.asyncio.Redis) -> None:
    """Of entries of one millisecond, the watermark's is dropped and the next one stays."""
    for number in (1, 2, 3):
        await redis_client.xadd(STREAM, entry(), f"5-{number}")
    await usage.trim(connection, BUCKET, StreamId(5, 2), NOW_MS)
    assert [name for name, _ in await redis_client.xrange(STREAM)] == ["5-3"]


async def test_an_event_is_found_by_its_whole_id(connection: Connection, redis_client: redis.asyncio.Redis) -> None:
    """Among more entries than one look brings, if it is young enough; a part of an id is another id."""
    async with redis_client.pipeline() as pipeline:
        pipeline.xadd(STREAM, entry(id="old"), f"{NOW_MS - LOOK_BACK_MS - 1}-0")
        pipeline.xadd(STREAM, entry(id="edge"), f"{NOW_MS - LOOK_BACK_MS}-0")
        for number in range(1200):
            pipeline.xadd(STREAM, entry(id=f"gw-{number}"), f"{NOW_MS - 1000 + number // 3}-{number}")
        await pipeline.execute()
    sought = [b"gw-1199", b"gw-700", b"gw-0", b"edge", b"old", b"gw-", b"gw-1200", b"w-1", b""]
    found = [await usage.find(connection, BUCKET, event_id, NOW_MS - LOOK_BACK_MS) for event_id in sought]
    assert found == [1764000000000] * 4 + [None] * 5
    assert not await usage.find(connection, BUCKET + 1, b"gw-1", NOW_MS - LOOK_BACK_MS)


async def test_the_last_id_outlives_its_entry(connection: Connection, redis_client: redis.asyncio.Redis) -> None:
    """A stream that was trimmed empty still tells how far it came; none tells nothing."""
    assert await usage.last_id(connection, BUCKET) == BEGINNING
    await redis_client.xadd(STREAM, entry(), "17-4")
    await redis_client.xtrim(STREAM, maxlen=0, approximate=False)
    assert await usage.last_id(connection, BUCKET) == StreamId(17, 4)


@settings(deadline=None, database=None)
@given(
    one=st.tuples(st.integers(0, 2**50), st.integers(0, 9)), other=st.tuples(st.integers(0, 2**50), st.integers(0, 9))
)
def test_stream_ids_read_as_written_and_order_as_the_stream(one: tuple[int, int], other: tuple[int, int]) -> None:
    """By the millisecond, then by the number in it, never as text."""
    first, second = StreamId(*one), StreamId(*other)
    assert StreamId.parse(str(first)) == first
    assert (first < second) == (one < other)
