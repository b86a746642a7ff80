"""Journals made for tests, and what reading one must find: every entry whose bytes stand where they were put."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from gateway.journal import Entry, Journal, read
from gateway.journal.entry import MARK, constant, pack
from gateway.journal.ring import BYTES_MIN, HEADER_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from gateway.journal import Reading, Use

RING_BYTES = BYTES_MIN - HEADER_BYTES
LINE = "deployment:1:replid"
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
MS = st.integers(0, 2**53)
ENTRIES = st.builds(
    Entry,
    sequence=st.just(0),
    at_ms=MS,
    bucket=st.integers(0, 63),
    line=NAMES,
    event_id=NAMES,
    counter=NAMES,
    window_start_ms=MS,
    event=st.one_of(st.binary(max_size=700), st.just(MARK * 3), st.just(b'[1,"acme","calls","calls",1,3]')),
)


def counted(number: int, *, padding: int = 0) -> Entry:
    """Make one entry as a gateway does."""
    event = b'[1,"acme","calls","calls",1,3]' + b" " * padding
    return Entry(number, 1_764_000_000_000 + number, 17, LINE, f"gateway-{number}", "calls.month", 1_000, event)


def numbered(entries: Iterable[Entry]) -> list[Entry]:
    """Give entries the sequence numbers that a journal gives them."""
    return [entry._replace(sequence=number) for number, entry in enumerate(entries, 1)]


def packed(entry: Entry) -> bytes:
    """Write an entry as it stands in the file."""
    return pack(entry.sequence, entry.line.encode(), entry.bucket, use_of(entry))


def use_of(entry: Entry) -> Use:
    """Say what an entry says, but for its bucket and its line."""
    return entry.event_id.encode(), entry.at_ms, entry.window_start_ms, constant(entry.counter, entry.event)


def add(journal: Journal, entry: Entry) -> None:
    """Add one entry."""
    journal.add(entry.line.encode(), entry.bucket, (use_of(entry),))


def written(path: Path, entries: Iterable[Entry], bytes_max: int = BYTES_MIN) -> None:
    """Write a journal."""
    journal = Journal.open(path, bytes_max=bytes_max, gateway="gateway")
    for entry in entries:
        add(journal, entry)
    journal.close()


def held(entries: Sequence[Entry], ring_bytes: int = RING_BYTES) -> list[Entry]:
    """Tell what a ring of so many bytes holds in the end: the longest row of newest entries that it has room for."""
    left, first = ring_bytes, len(entries)
    while first and (left := left - len(packed(entries[first - 1]))) >= 0:
        first -= 1
    return list(entries[first:])


def standing(entries: Iterable[Entry], ring: bytes) -> list[Entry]:
    """Tell which of the entries, written one behind the other into a ring, stand in it whole as it is now."""
    found, at, unrolled = [], 0, ring + ring
    for entry in entries:
        data = packed(entry)
        if unrolled.startswith(data, at % RING_BYTES):
            found.append(entry)
        at += len(data)
    return found


def read_ring(path: Path, header: bytes, ring: bytes) -> Reading:
    """Read a journal whose ring is these bytes."""
    path.write_bytes(header + ring)
    return read(path)
