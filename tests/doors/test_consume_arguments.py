"""consume.lua refuses what no gateway of ours sends: an error that says what was wrong, and nothing is written."""

from __future__ import annotations

import hashlib
import struct

import pytest
import redis.exceptions

from gateway.counters import consume
from gateway.counters.consume import SCRIPT, Answer
from gateway.counters.order import Order, Quota, Span
from gateway.errors import StoreCorruptError
from tests.doors.test_consume import DUE, DUES, FAR_MS, HEAD, HOLD, LINE, USAGE, USE, Bucket, bucket

__all__ = ["bucket"]  # the fixture

NO_NUMBERS = ["", " 7 ", "7 ", "7\0", "7\n", "\u0667", "0x10", "nan", "inf"]
NOT_WHOLE = [*NO_NUMBERS, "-1", "-0", "+1", "1.5", "1.0", "1e3", "007", str(2**53)]
NUMBERS = {"quantity": 1, "version": 3, "window_start_ms": 1000, "window_end_ms": FAR_MS, "ceiling": 10}


def argv(key: str = "", number: str = "1", **changes: int) -> list[str | bytes]:
    """Make the arguments of one claim, with changes to its numbers."""
    numbers = NUMBERS | changes
    return [LINE, "one", "calls", struct.pack(f">{len(numbers)}Q", *numbers.values()), "claim", key, number]


async def test_a_number_that_is_none_is_refused_by_name(bucket: Bucket) -> None:
    """Lua would take several of them for numbers; each is an error that names the argument, and nothing is written."""
    before = await bucket.everything()
    for bad in NOT_WHOLE:
        assert "BADARG number is " in await bucket.refusal(*argv(number=bad))
    for bad in [*NOT_WHOLE[1:], "0"]:
        assert "BADARG remember_ms is " in await bucket.refusal(*argv(key=f"digest fingerprint {bad}"))
    assert await bucket.everything() == before


async def test_a_number_out_of_range_is_refused_and_shown(bucket: Bucket) -> None:
    """What is sent as eight bytes may be too large to be exact, or nothing where something is expected."""
    before = await bucket.everything()
    for name in NUMBERS:
        start = name == "window_start_ms"
        for bad in (2**48 if start else 2**53, 2**64 - 1, *([] if start or name == "ceiling" else [0])):
            assert f"{name} {float(bad):.0f}" in (await bucket.refusal(*argv(**{name: bad}))).replace(" is ", " ")
    assert await bucket.everything() == before


async def test_arguments_that_do_not_fit_are_refused(bucket: Bucket) -> None:
    """Too few or too many, numbers cut short, half a key, a key without its place: an error, and nothing is written."""
    before = await bucket.everything()
    whole = argv()
    for count in range(len(whole)):
        assert "BADARG" in await bucket.refusal(*whole[:count])
    for numbers in (b"", b"\0" * 8, whole[3][:-1], whole[3] + b"\0", whole[3] + b"\0" * 8):
        assert "BADARG numbers have " in await bucket.refusal(*whole[:3], numbers, *whole[4:])
    for key in ("digest", "digest fingerprint", "digest fingerprint 1 2", " ", "digest  1000"):
        assert "BADARG" in await bucket.refusal(*argv(key=key))
    for few in ([HEAD, USAGE, DUE, USE, HOLD, DUES], [HEAD, USAGE, DUE, USE, HOLD], []):
        with pytest.raises(redis.exceptions.ResponseError, match="BADARG"):
            await bucket.redis.eval(SCRIPT, len(few), *few, *argv(key="digest fingerprint 1000"))
    assert await bucket.everything() == before


def test_what_the_counting_script_never_answers_is_corrupt() -> None:
    """A reply of another shape is not taken for an answer, and what is sent by digest is the script itself."""
    order = Order(7, "acme", (Quota("calls", Span(0, 1000), None),), 1, 1)
    said = bytes(8) + b"C\0\2" + bytes(16) + b"\0\x031-0"
    assert consume.read(said, order) == Answer(b"C", states=((0, 0),), stream_id=b"1-0")
    wrong = (
        said[:-1],
        said + b"\0",
        said.replace(b"C", b"c"),
        said.replace(b"C\0", b"C\1"),
        said.replace(b"\2", b"\1"),
    )
    for reply in (None, 1, [], [said], b"", b"COUNTED", *wrong, said * 2):
        with pytest.raises(StoreCorruptError, match="answered"):
            consume.read(reply, order)
    for reply in (None, said, said * 3, *(said + other for other in wrong), b"COUNTED"):
        with pytest.raises(StoreCorruptError, match="answered"):
            consume.read_many(reply, [order, order])
    assert hashlib.sha1(consume.SCRIPT.encode()).hexdigest() == consume.SHA  # noqa: S324 - Redis's choice
