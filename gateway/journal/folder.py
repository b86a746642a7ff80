"""The folder of a machine's journals: one for each gateway that ran, and how many of those that ended are kept."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway import telemetry
from gateway.errors import StoreUnavailableError
from gateway.journal.ring import HEADER_BYTES, Journal, is_locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIX: Final = ".ring"

KEPT_MAX: Final = 16
"""Journals of gateways that ended: the workers of a machine, restarted together, and some before them."""

_BEGINNING_BYTES: Final = 64
"""No entry has so many zeros in a row: a ring that begins with them was never written."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A journal in the folder."""

    path: Path
    written: bool
    """A live process writes it."""
    empty: bool
    changed_s: float


def open_in(folder: Path, *, bytes_max: int, gateway: str) -> Journal:
    """Open a gateway's own journal; of those that ended, only KEPT_MAX that hold anything stay.

    Raises StoreUnavailableError when the folder or the journal cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone(folder):
            _drop_oldest(folder)
            return Journal.open(folder / f"{gateway}{SUFFIX}", bytes_max=bytes_max, gateway=gateway)
    except OSError as error:
        ways_out = "set TOLLKEEPER_JOURNAL to a folder that can, or to off for none"
        raise StoreUnavailableError(f"{folder} cannot hold a journal ({error.strerror}); {ways_out}") from error


def kept(folder: Path) -> list[Kept]:
    """List the journals of a folder, the last written first; none when there is no folder."""
    found = []
    try:
        paths = [path for path in folder.iterdir() if path.suffix == SUFFIX]
    except FileNotFoundError:
        return []
    for path in paths:
        with suppress(FileNotFoundError):  # a gateway that starts has just dropped it
            found.append(_look(path))
    return sorted(found, key=lambda journal: journal.changed_s, reverse=True)


def _drop_oldest(folder: Path) -> None:
    ended = [journal for journal in kept(folder) if not journal.written]
    full = [journal for journal in ended if not journal.empty]
    for journal in full[KEPT_MAX:]:
        telemetry.log.warning(telemetry.Event.JOURNAL_DROPPED, path=str(journal.path))
    for journal in [*full[KEPT_MAX:], *(journal for journal in ended if journal.empty)]:
        journal.path.unlink()


def _look(path: Path) -> Kept:
    with path.open("rb") as file:
        beginning = os.pread(file.fileno(), _BEGINNING_BYTES, HEADER_BYTES)
        return Kept(path, is_locked(file.fileno()), not any(beginning), os.fstat(file.fileno()).st_mtime)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Take turns with other processes that start: what one has just made is not locked yet."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
