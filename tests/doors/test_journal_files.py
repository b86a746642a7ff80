"""A journal's file has one writer, one owner and its space; gateways that end leave theirs, and not too many."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import stat
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from gateway.errors import PreconditionError, StoreCorruptError, StoreUnavailableError
from gateway.journal import Journal, kept, open_in, read
from gateway.journal.folder import KEPT_MAX
from gateway.journal.ring import BYTES_MIN
from tests.doors.journal_made import add, counted, held, written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def disk_ends_at(size: int) -> Iterator[None]:
    """Let no file of this process grow or be written beyond so many bytes, as on a disk that is full."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


async def test_a_journal_is_its_owners_and_has_its_space(tmp_path: Path) -> None:
    """Nobody else may read it, and its blocks are on the disk before anything is written."""
    path = tmp_path / "one.ring"
    journal = Journal.open(path, bytes_max=2**20, gateway="gateway")
    status = path.stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_size == 2**20 <= status.st_blocks * 512
    reading = read(path)
    assert (reading.gateway, reading.process, reading.written) == ("gateway", os.getpid(), True)
    assert (len(reading), reading.overwritten, reading.missing, reading.skipped_bytes) == (0, 0, 0, 0)
    journal.close()
    assert not read(path).written


async def test_a_journal_has_one_writer(tmp_path: Path) -> None:
    """A file that is there is never written over, neither a living gateway's nor a dead one's."""
    path = tmp_path / "one.ring"
    journal = Journal.open(path, bytes_max=BYTES_MIN, gateway="one")
    add(journal, counted(1))
    with pytest.raises(PreconditionError, match=r"is there already .* a process that still runs writes it"):
        Journal.open(path, bytes_max=BYTES_MIN, gateway="two")
    journal.close()
    with pytest.raises(PreconditionError, match=r"is there already .* it may hold what Redis has lost"):
        Journal.open(path, bytes_max=BYTES_MIN, gateway="two")
    assert (read(path).gateway, list(read(path))) == ("one", [counted(1)])


async def test_a_full_disk_refuses_the_start(tmp_path: Path) -> None:
    """Where there is no room, opening fails with the reason and leaves nothing behind."""
    with disk_ends_at(BYTES_MIN), pytest.raises(StoreUnavailableError, match="File too large"):
        open_in(tmp_path / "folder", bytes_max=BYTES_MIN + 1, gateway="gateway")
    assert list((tmp_path / "folder").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailableError, match=r"file/folder cannot hold a journal \(Not a directory\)"):
        open_in(tmp_path / "file" / "folder", bytes_max=BYTES_MIN, gateway="gateway")


async def test_a_journal_that_is_open_needs_no_more_of_the_disk(tmp_path: Path) -> None:
    """On a disk that has become full, entries are written and overwritten as before: all their space is taken."""
    path = tmp_path / "one.ring"
    journal = Journal.open(path, bytes_max=BYTES_MIN, gateway="gateway")
    entries = [counted(number) for number in range(1, 61)]
    with disk_ends_at(0):
        for entry in entries:
            add(journal, entry)
    assert list(read(path)) == held(entries)
    assert read(path).overwritten > 0
    journal.close()


async def test_a_journal_that_is_closed_takes_nothing(tmp_path: Path) -> None:
    """What comes too late is an error, not an entry in a file that is somebody else's by now."""
    path = tmp_path / "one.ring"
    journal = Journal.open(path, bytes_max=BYTES_MIN, gateway="gateway")
    add(journal, counted(1))
    os.utime(path, (1, 1))
    journal.close()
    assert path.stat().st_mtime > 1, "closing is what it was changed by last"
    with pytest.raises(ValueError, match="closed"):
        add(journal, counted(2))
    assert list(read(path)) == [counted(1)]
    journal.close()


async def test_journals_of_gateways_that_ended_are_kept_within_bounds(tmp_path: Path) -> None:
    """The newest stay; those that hold nothing go first, and no living gateway's is touched, however old."""
    living = open_in(tmp_path, bytes_max=BYTES_MIN, gateway="living")
    os.utime(living.path, (1, 1))
    for number in range(KEPT_MAX + 2):
        journal = open_in(tmp_path, bytes_max=BYTES_MIN, gateway=f"g{number:02}")
        for _ in range(200):  # it begins anew
            add(journal, counted(1))
        journal.close()
        os.utime(journal.path, (number + 2, number + 2))
        open_in(tmp_path, bytes_max=BYTES_MIN, gateway=f"empty{number:02}").close()
    open_in(tmp_path, bytes_max=BYTES_MIN, gateway="new").close()
    names = [f"g{number:02}" for number in range(KEPT_MAX + 1, 1, -1)]
    found = kept(tmp_path)
    assert [journal.path.stem for journal in found] == ["new", *names, "living"]
    assert [journal.written for journal in found] == [False] * (KEPT_MAX + 1) + [True]
    living.close()


async def test_gateways_that_start_together_do_not_take_each_others_for_dead(tmp_path: Path) -> None:
    """Who looks through the folder waits until a journal that is just being made is locked."""
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from gateway.journal import open_in\n"
        "async def main():\n"
        "    for number in range(60):\n"
        "        one = open_in(Path(sys.argv[1]), bytes_max=8192, gateway=f'{sys.argv[2]}-{number}')\n"
        "        assert one.path.exists()\n"
        "        one.close()\n"
        "asyncio.run(main())\n"
    )
    starting = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", code, tmp_path, f"g{number}") for number in range(4)
    ]
    assert [await process.wait() for process in starting] == [0] * 4


async def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    """A file that is missing, something else, damaged or of a newer version: each is told apart."""
    path = tmp_path / "one.ring"
    with pytest.raises(PreconditionError, match="cannot be read: No such file"):
        read(path)
    with pytest.raises(PreconditionError, match="no regular file"):
        read(tmp_path)
    for data in (b"", b"PNG", b"tollkeeper journal \n{}", b"tollkeeper journal one\n{}\n", b"\0" * BYTES_MIN):
        path.write_bytes(data)
        with pytest.raises(PreconditionError, match="is not a journal"):
            read(path)
    path.write_bytes(b"tollkeeper journal 2\nwhatever comes then")
    with pytest.raises(PreconditionError, match="of format 2; this version reads 1"):
        read(path)
    path.write_bytes(b"tollkeeper journal 1\n" + json.dumps({"gateway": "g"}).encode() + b"\n00000000\n")
    with pytest.raises(StoreCorruptError, match="header of the journal is damaged"):
        read(path)


async def test_an_entry_of_another_kind_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a newer version wrote for a reason of its own is never taken for a counted use."""
    monkeypatch.setattr("gateway.journal.entry.COUNTED", 2)
    written(tmp_path / "one.ring", [counted(1)])
    monkeypatch.undo()
    with pytest.raises(PreconditionError, match="of kind 2, which a newer version wrote"):
        list(read(tmp_path / "one.ring"))
