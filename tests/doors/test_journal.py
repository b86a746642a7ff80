"""A journal gives back what was admitted last, entry by entry, whatever became of the bytes around them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import PreconditionError, StoreCorruptError
from gateway.journal import Journal, read
from gateway.journal.entry import BODY_BYTES_MAX
from gateway.journal.ring import BYTES_MIN, HEADER_BYTES
from tests.doors.journal_made import (
    ENTRIES,
    RING_BYTES,
    add,
    counted,
    held,
    numbered,
    packed,
    read_ring,
    standing,
    use_of,
    written,
)

if TYPE_CHECKING:
    from gateway.journal import Entry

ONE = counted(1)
SOME = [counted(number, padding=number * 7 % 90) for number in range(1, 61)]
"""More than the ring holds: it begins anew within an entry."""


@pytest.fixture
async def made(tmp_path: Path) -> tuple[Path, bytes, bytes]:
    """A journal that has begun anew: its path, its header and its ring."""
    path = tmp_path / "made.ring"
    written(path, SOME)
    data = path.read_bytes()
    assert len(held(SOME)) < len(SOME)
    return path, data[:HEADER_BYTES], data[HEADER_BYTES:]


@settings(max_examples=300, deadline=None, database=None)
@given(made=st.lists(ENTRIES, max_size=90), more=st.integers(0, 9000))
async def test_a_journal_holds_what_a_list_would(made: list[Entry], more: int) -> None:
    """What is read is what was added, to the byte, as far back as the ring has room; older ones are only counted."""
    entries = numbered(made)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.ring"
        written(path, entries, BYTES_MIN + more)
        reading = read(path)
        assert path.stat().st_size == BYTES_MIN + more
    there = held(entries, RING_BYTES + more)
    assert list(reading) == there
    assert (len(reading), reading.missing, reading.written) == (len(there), 0, False)
    assert reading.overwritten == (len(entries) - len(there) if there else 0)


async def test_a_journal_that_has_begun_anew_a_hundred_times_holds_the_newest(tmp_path: Path) -> None:
    """However often the ring has begun anew, what it held before never comes back."""
    path = tmp_path / "one.ring"
    entries = [counted(number, padding=number % 41) for number in range(1, 3_500)]
    assert sum(len(packed(entry)) for entry in entries) > 100 * RING_BYTES
    written(path, entries)
    reading = read(path)
    assert list(reading) == held(entries)
    assert reading.overwritten == len(entries) - len(reading)


@pytest.mark.parametrize("beyond", [-1, 0, 1])
async def test_an_entry_may_end_where_the_ring_ends(tmp_path: Path, beyond: int) -> None:
    """A byte before it, at it, or a byte behind it, which is then the first of the ring."""
    path = tmp_path / "one.ring"
    size = len(packed(ONE))
    entries = [ONE] * (RING_BYTES // size + 2)
    written(path, entries, HEADER_BYTES + (len(entries) - 1) * size - beyond)
    assert list(read(path)) == held(numbered(entries), (len(entries) - 1) * size - beyond)


@pytest.mark.parametrize("together", [2, 5, 64])
async def test_what_is_added_together_stands_as_what_is_added_one_by_one(tmp_path: Path, together: int) -> None:
    """Wherever the ring begins anew: within them, between two of them, behind them all."""
    entries = [counted(number, padding=number % 7) for number in range(1, 64 * together)]
    written(tmp_path / "one.ring", entries)
    journal = Journal.open(tmp_path / "many.ring", bytes_max=BYTES_MIN, gateway="gateway")
    for first in range(0, len(entries), together):
        journal.add(ONE.line.encode(), ONE.bucket, [use_of(entry) for entry in entries[first : first + together]])
    journal.close()
    one, many = ((tmp_path / name).read_bytes()[HEADER_BYTES:] for name in ("one.ring", "many.ring"))
    assert one == many


async def test_an_entry_torn_at_any_byte_costs_what_it_touched(made: tuple[Path, bytes, bytes]) -> None:
    """A process that ends after any byte that it copies: whole entries are there, and older ones it did not reach."""
    path, header, ring = made
    turn = [counted(61, padding=30), counted(62), counted(63, padding=5)]
    data = b"".join(map(packed, turn))
    position = sum(len(packed(entry)) for entry in SOME) % RING_BYTES
    for length in range(len(data) + 1):
        torn = bytearray(ring)
        for offset in range(length):
            torn[(position + offset) % RING_BYTES] = data[offset]
        assert list(read_ring(path, header, torn)) == standing([*SOME, *turn], torn), length
    assert standing([*SOME, *turn], torn)[-3:] == turn


async def test_a_damaged_byte_costs_one_entry(made: tuple[Path, bytes, bytes]) -> None:
    """Any byte of the ring may be any other: the entry that it is in is missing, and no other."""
    path, header, ring = made
    whole = standing(SOME, ring)
    assert whole == held(SOME)
    for at in range(RING_BYTES):
        change = (0x01, 0x80, ring[at])[at % 3]  # the last makes it zero
        damaged = bytearray(ring)
        damaged[at] ^= change
        reading = read_ring(path, header, damaged)
        there = standing(SOME, damaged)
        assert list(reading) == there, (at, change)
        assert len(there) >= len(whole) - 1
        lost_between = whole[0] in there and whole[-1] in there
        assert reading.missing == (len(whole) - len(there) if lost_between else 0)
        assert reading.skipped_bytes >= (len(whole) - len(there)) * 40


async def test_a_file_cut_at_any_byte_gives_what_is_left(made: tuple[Path, bytes, bytes]) -> None:
    """A copy that ends early holds the entries that stand whole before its end; without its header it is refused."""
    path, header, ring = made
    header_bytes = len(header.rstrip(b"\0"))
    for length in range(HEADER_BYTES + RING_BYTES, -1, -1):
        os.truncate(path, length)
        if length < header_bytes - 1:  # all but the end of its last line
            with pytest.raises((PreconditionError, StoreCorruptError), match=r"not a journal|header"):
                read(path)
        elif length > HEADER_BYTES:
            there = standing(SOME, ring[: length - HEADER_BYTES].ljust(RING_BYTES, b"\0"))
            assert list(read(path)) == there, length
        else:
            assert list(read(path)) == []


async def test_any_damaged_byte_of_the_header_is_noticed(made: tuple[Path, bytes, bytes]) -> None:
    """Nobody is told of a gateway or a process that a damaged header names."""
    path, header, ring = made
    for at in range(len(header.rstrip(b"\0")) - 1):
        damaged = bytearray(header)
        damaged[at] ^= 0x01
        with pytest.raises((PreconditionError, StoreCorruptError), match=r"not a journal|header|format"):
            read_ring(path, damaged, ring)


async def test_what_is_added_is_there_at_once(tmp_path: Path) -> None:
    """Whoever reads the file finds each entry as soon as it was added, before any reply can be on its way."""
    path = tmp_path / "one.ring"
    journal = Journal.open(path, bytes_max=BYTES_MIN, gateway="gateway")
    for number, entry in enumerate(SOME, 1):
        add(journal, entry)
        assert list(read(path)) == held(SOME[:number])
    journal.close()


async def test_an_entry_has_a_bound(tmp_path: Path) -> None:
    """The largest body is read back; a larger one is a bug, since no names are that long."""
    path = tmp_path / "one.ring"
    names = len(f"{ONE.line}\0{ONE.event_id}\0{ONE.counter}\0")
    largest = ONE._replace(event=b"e" * (BODY_BYTES_MAX - names))
    written(path, [largest], 2 * BYTES_MIN)
    assert list(read(path)) == [largest]
    with pytest.raises(AssertionError):
        packed(largest._replace(event=largest.event + b"e"))
