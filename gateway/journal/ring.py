"""The ring file that one process writes: where its entries go, and who may have it."""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import suppress
from mmap import mmap
from typing import TYPE_CHECKING, Final, Self
from zlib import crc32

from gateway.errors import PreconditionError, StoreUnavailableError
from gateway.journal.entry import pack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gateway.journal.entry import Use

TITLE: Final = b"tollkeeper journal "
FORMAT: Final = 1
"""Ends the line of the title; whoever reads a newer one says so instead of guessing."""

HEADER_BYTES: Final = 4096
"""The title, a line of JSON that says whose it is, a line with the CRC-32 of both, zeros. The ring is what follows."""

BYTES_MIN: Final = 2 * HEADER_BYTES
_CHUNK_BYTES: Final = 2**20


class Journal:
    """What a gateway admitted last: what `add` has returned from is the kernel's, whatever becomes of the process.

    The file is mapped into memory, and adding is copying. All its space is taken when it is opened, so that a disk that
    is full refuses the start; from then on nothing is asked of the disk that it could refuse.
    """

    def __init__(self, path: Path, mapped: mmap, gateway: str) -> None:
        self.path = path
        self.gateway = gateway
        self._mapped = mapped
        self._end = len(mapped)
        self._position = HEADER_BYTES
        self._sequence = 0

    @classmethod
    def open(cls, path: Path, *, bytes_max: int, gateway: str) -> Self:
        """Make a journal of `bytes_max` bytes where there is no file yet, for this process alone.

        Raises PreconditionError when there is one, which is never written over, and StoreUnavailableError when the disk
        does not take it.
        """
        assert bytes_max >= BYTES_MIN
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            whose = "a process that still runs writes it" if is_written(path) else "it may hold what Redis has lost"
            raise PreconditionError(f"{path} is there already and is not written over: {whose}") from None
        except OSError as error:
            raise StoreUnavailableError(f"{path} cannot be a journal: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # nobody else's: at most a reader looks whether it is locked
            _fill(descriptor, _header(gateway), bytes_max)
            mapped = mmap(descriptor, bytes_max)  # it keeps the file open, and with it the lock
        except OSError as error:
            with suppress(OSError):
                path.unlink()
            raise StoreUnavailableError(f"{path} cannot be a journal: {error}") from error
        finally:
            os.close(descriptor)
        return cls(path, mapped, gateway)

    def add(self, line: bytes, bucket: int, uses: Sequence[Use]) -> None:
        """Write down what was counted in a bucket: in one copy, where the ring does not begin anew within it."""
        entries = []
        for use in uses:
            self._sequence += 1
            entries.append(pack(self._sequence, line, bucket, use))
        together = b"".join(entries)
        position = self._position
        end = position + len(together)
        if end <= self._end:
            self._position = end
            self._mapped[position:end] = together
        else:
            for entry in entries:
                self._add_around(entry)

    def _add_around(self, entry: bytes) -> None:
        """Write an entry that may be cut in two by the end of the ring."""
        position, before_end = self._position, self._end - self._position
        if len(entry) <= before_end:
            self._position = position + len(entry)
            self._mapped[position : self._position] = entry
        else:
            self._position = HEADER_BYTES + len(entry) - before_end
            self._mapped[position:] = entry[:before_end]
            self._mapped[HEADER_BYTES : self._position] = entry[before_end:]

    def close(self) -> None:
        """Let go of the file: from now on it is nobody's, and is kept."""
        if not self._mapped.closed:
            self._mapped.close()
            with suppress(OSError):
                os.utime(self.path)  # a mapped file says of itself when a page was first written, not last


def is_written(path: Path) -> bool:
    """Tell whether a live process has this journal open to write it."""
    with path.open("rb") as file:
        return is_locked(file.fileno())


def is_locked(descriptor: int) -> bool:
    """Tell whether somebody else writes the journal that is open here."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _header(gateway: str) -> bytes:
    opened = {"gateway": gateway, "process": os.getpid(), "opened_ms": time.time_ns() // 1_000_000}
    told = b"%b%d\n%b\n" % (TITLE, FORMAT, json.dumps(opened).encode())
    return b"%b%08x\n" % (told, crc32(told))


def _fill(descriptor: int, header: bytes, size: int) -> None:
    """Write the whole file once: a disk that has no room for it says so now, and not when it is a page's turn."""
    os.write(descriptor, header)
    left = size - len(header)
    while left:
        left -= os.write(descriptor, bytes(min(left, _CHUNK_BYTES)))
