"""The ring file that one process writes: when its entries reach the kernel, and what happens when they cannot."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self
from zlib import crc32

from gateway.errors import PreconditionError, StoreUnavailableError
from gateway.journal.entry import pack
from gateway.telemetry import Event, Seldom

if TYPE_CHECKING:
    from pathlib import Path

TITLE: Final = b"tollkeeper journal "
FORMAT: Final = 1
"""Ends the line of the title; whoever reads a newer one says so instead of guessing."""

HEADER_BYTES: Final = 4096
"""The title, a line of JSON that says whose it is, a line with the CRC-32 of both, zeros. The ring is what follows."""

BYTES_MIN: Final = 2 * HEADER_BYTES
_CANNOT_RESERVE: Final = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


class Journal:
    """What a gateway admitted last: `add` each use before its reply, `write` before replies leave.

    When the disk refuses an entry, the gateway goes on and says so in its log, where a denial of every check would turn
    a broken disk into an outage: the journal is needed only if Redis loses its data as well. The numbers of the entries
    that are not there stay missing, and reading the journal tells how many. The space is reserved when it is opened, so
    that a disk that is full refuses the start.
    """

    def __init__(self, path: Path, descriptor: int, ring_bytes: int, gateway: str) -> None:
        self.path = path
        self.gateway = gateway
        self._descriptor = descriptor
        self._ring_bytes = ring_bytes
        self._loop = asyncio.get_running_loop()
        self._log = Seldom()
        self._sequence = 0
        self._position = 0
        self._buffer: list[bytes] = []

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
            _reserve(descriptor, bytes_max)
            _write_whole(descriptor, _header(gateway), 0)
        except OSError as error:
            os.close(descriptor)
            with suppress(OSError):
                path.unlink()
            raise StoreUnavailableError(f"{path} cannot be a journal: {error}") from error
        return cls(path, descriptor, bytes_max - HEADER_BYTES, gateway)

    def add(
        self,
        line: str,
        event_id: str,
        bucket: int,
        at_ms: int,
        counter: str,
        window_start_ms: int,
        event: bytes,
    ) -> None:
        """Take in a counted use; it is written before anything that its reply schedules from now on."""
        self._sequence += 1
        if not self._buffer:
            self._loop.call_soon(self.write)
        self._buffer.append(pack(self._sequence, line, event_id, bucket, at_ms, counter, window_start_ms, event))

    def write(self) -> None:
        """Hand what was added to the kernel: in one write, in two where the ring begins anew."""
        if not self._buffer:
            return
        data = b"".join(self._buffer)
        self._buffer.clear()
        if len(data) > self._ring_bytes:
            data = data[-self._ring_bytes :]
        before_end = self._ring_bytes - self._position
        try:
            if len(data) <= before_end:
                _write_whole(self._descriptor, data, HEADER_BYTES + self._position)
            else:
                _write_whole(self._descriptor, data[:before_end], HEADER_BYTES + self._position)
                _write_whole(self._descriptor, data[before_end:], HEADER_BYTES)
        except OSError as error:
            self._log.warning("write", Event.JOURNAL_FAILED, path=str(self.path), error=str(error))
            return  # the next write begins where this one did: what it left there is no entry
        self._position = (self._position + len(data)) % self._ring_bytes

    def close(self) -> None:
        """Write what is left; from now on the file is nobody's, and is kept."""
        self.write()
        os.close(self._descriptor)
        self._descriptor = -1


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


def _reserve(descriptor: int, size: int) -> None:
    """Take the space on the disk, where the system and the file system can."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno not in _CANNOT_RESERVE:
                raise
        else:
            return
    os.ftruncate(descriptor, size)


def _write_whole(descriptor: int, data: bytes, at: int) -> None:
    written = os.pwrite(descriptor, data, at)
    if written < len(data):
        raise OSError(errno.ENOSPC, f"only {written} of {len(data)} bytes were written")
