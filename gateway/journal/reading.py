"""Reading a journal back, also one whose process was killed: which entries are whole, and what is missing."""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from zlib import crc32

from gateway.errors import PreconditionError, StoreCorruptError
from gateway.journal.entry import ENTRY_BYTES_MAX, MARK, bytes_at, sequence_at, unpack
from gateway.journal.ring import FORMAT, HEADER_BYTES, TITLE, is_locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from pathlib import Path

    from gateway.journal.entry import Entry

RING_BYTES_MAX: Final = 2**30
"""More than any gateway writes."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A journal as it was found; iterating gives its entries, oldest first."""

    gateway: str
    """Under this name its process began to count; event ids name the one that they were counted under."""
    process: int
    opened_ms: int
    written: bool
    """A live process writes it: what it adds from now on is not here."""
    overwritten: int
    """How many older entries gave way to newer ones."""
    missing: int
    """How many entries between the oldest and the newest are damaged or were never written."""
    skipped_bytes: int
    """What stands between entries: torn, half overwritten or damaged ones."""
    _ring: bytes = field(repr=False)
    _starts: list[int] = field(repr=False)

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[Entry]:
        return (unpack(self._ring, at) for at in self._starts)


def read(path: Path) -> Reading:
    """Read a journal; raises PreconditionError when it is none, or of a newer format, or cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise PreconditionError(f"{path} is not a journal: it is no regular file")
        with path.open("rb", buffering=0) as file:
            return _read(path, file)
    except OSError as error:
        raise PreconditionError(f"{path} cannot be read: {error.strerror}") from error


def _read(path: Path, file: FileIO) -> Reading:
    gateway, process, opened_ms = _header(path, _up_to(file, HEADER_BYTES))
    written = is_locked(file.fileno())
    ring = _from_an_entry(_up_to(file, RING_BYTES_MAX))
    found, skipped_bytes = _scan(ring)
    found.sort()
    oldest, newest = (found[0][0], found[-1][0]) if found else (1, 0)
    return Reading(
        gateway,
        process,
        opened_ms,
        written,
        overwritten=oldest - 1,
        missing=newest - oldest + 1 - len(found),
        skipped_bytes=skipped_bytes,
        _ring=ring,
        _starts=[at for _, at in found],
    )


def _header(path: Path, header: bytes) -> tuple[str, int, int]:
    """Say whose journal it is: gateway, process, when it was opened."""
    title, _, rest = header.partition(b"\n")
    version = title.removeprefix(TITLE)
    if not title.startswith(TITLE) or not version.isdigit():
        raise PreconditionError(f"{path} is not a journal: it does not begin with {TITLE.decode()!r} and a number")
    if int(version) > FORMAT:
        raise PreconditionError(
            f"{path} is a journal of format {int(version)}; this version reads {FORMAT}: upgrade it"
        )
    told, _, rest = rest.partition(b"\n")
    if b"%08x" % crc32(title + b"\n" + told + b"\n") != rest[:8]:
        raise StoreCorruptError(f"{path}: the header of the journal is damaged")
    opened = json.loads(told)
    return opened["gateway"], opened["process"], opened["opened_ms"]


def _up_to(file: FileIO, count: int) -> bytes:
    """Read so many bytes, fewer only where the file ends."""
    found = bytearray()
    while len(found) < count and (chunk := file.read(count - len(found))):
        found += chunk
    return bytes(found)


def _from_an_entry(ring: bytes) -> bytes:
    """Turn the ring until it begins with an entry, so that none is cut in two by its end."""
    unrolled = ring + ring[:ENTRY_BYTES_MAX]
    at = unrolled.find(MARK)
    while 0 <= at < len(ring):
        if bytes_at(unrolled, at):
            return ring[at:] + ring[:at]
        at = unrolled.find(MARK, at + 1)
    return ring


def _scan(ring: bytes) -> tuple[list[tuple[int, int]], int]:
    """Find every whole entry, as sequence number and place; what is between them, zeros apart, is counted in bytes."""
    found: list[tuple[int, int]] = []
    at = skipped_bytes = 0
    while at < len(ring):
        if size := bytes_at(ring, at):
            found.append((sequence_at(ring, at), at))
            at += size
            continue
        mark = ring.find(MARK, at + 1)
        until = len(ring) if mark < 0 else mark
        skipped_bytes += len(ring[at:until].strip(b"\0"))
        at = until
    return found, skipped_bytes
