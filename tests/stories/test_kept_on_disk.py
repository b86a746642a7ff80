"""What a gateway admitted is on its own disk: `tollkeeper journal` reads it back, also after a crash."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gateway.journal import Journal
from gateway.journal.ring import BYTES_MIN, HEADER_BYTES
from tests import terminal
from tests.doors.journal_made import LINE, add, counted, packed, written

if TYPE_CHECKING:
    from pathlib import Path

    from tests.terminal import Ran

FAULT, MISUSE = 1, 2


async def journal(path: Path, *arguments: str) -> Ran:
    """Read a journal at a terminal."""
    return await terminal.run("journal", str(path), *arguments)


def lines(ran: Ran) -> list[str]:
    """Split what a person reads into lines, as wide as their text."""
    return [line.rstrip() for line in ran.out.splitlines()]


async def test_a_journal_is_read_back(tmp_path: Path) -> None:
    """Programs get a line on the journal and one for each entry; people get words, and the newest in a table."""
    path = tmp_path / "one.ring"
    written(path, [counted(1), counted(2), counted(3)])
    told = await journal(path, "--json")
    assert (told.exit_code, told.err) == (0, "")
    head, *entries = map(json.loads, told.out.splitlines())
    assert {name: value for name, value in head.items() if name not in ("process", "opened_ms")} == {
        "gateway": "gateway",
        "written": False,
        "entries": 3,
        "first_at_ms": 1_764_000_000_001,
        "last_at_ms": 1_764_000_000_003,
        "overwritten": 0,
        "missing": 0,
        "skipped_bytes": 0,
    }
    assert entries[0] == {
        "sequence": 1,
        "at_ms": 1_764_000_000_001,
        "bucket": 17,
        "line": LINE,
        "event_id": "gateway-1",
        "counter": "calls.month",
        "window_start_ms": 1_000,
        "event": '[1,"acme","calls","calls",1,3]',
    }
    assert [entry["event_id"] for entry in entries] == ["gateway-1", "gateway-2", "gateway-3"]

    read = await journal(path, "--last", "2")
    assert read.exit_code == 0
    assert lines(read)[2:5] == [
        "entries   3",
        "admitted  2025-11-24 16:00:00.001 to 2025-11-24 16:00:00.003 (UTC)",
        "",
    ]
    assert ("gateway-1" in read.out, "gateway-2" in read.out, "gateway-3" in read.out) == (False, True, True)
    assert "gateway-" not in (await journal(path, "--last", "0")).out


async def test_what_is_lost_is_said(tmp_path: Path) -> None:
    """A ring that has begun anew and is damaged in its midst: older, missing and skipped entries are all counted."""
    path = tmp_path / "one.ring"
    entries = [counted(number) for number in range(1, 101)]
    written(path, entries)
    data = bytearray(path.read_bytes())
    whole = (await journal(path)).out
    assert "missing" not in whole
    data[data.index(packed(counted(95))) + 50] ^= 1
    path.write_bytes(data)
    read = await journal(path)
    assert read.exit_code == 0
    head = json.loads((await journal(path, "--json")).out.splitlines()[0])
    assert head["overwritten"] == 100 - head["entries"] - 1 > 0
    assert lines(read)[4:7] == [
        f"overwritten  {head['overwritten']} older entries",
        "missing      1 entries in between: damaged, or lost with the machine's power",
        f"skipped      {head['skipped_bytes']} bytes of entries that are torn or half overwritten",
    ]
    assert head["skipped_bytes"] >= len(packed(counted(95)))


async def test_an_empty_journal_and_one_that_is_written(tmp_path: Path) -> None:
    """A journal without entries says so; while its gateway lives, that is noted beside what it holds."""
    path = tmp_path / "one.ring"
    living = Journal.open(path, bytes_max=BYTES_MIN, gateway="living")
    empty = await journal(path)
    assert (empty.exit_code, lines(empty)[-1]) == (0, "entries  0")
    assert empty.err == "a live process writes this journal: it goes on where this ends\n"
    add(living, counted(1))
    told = await journal(path, "--json")
    head, entry = map(json.loads, told.out.splitlines())
    assert (head["written"], entry["event_id"]) == (True, "gateway-1")
    living.close()


async def test_what_is_no_journal_is_misuse(tmp_path: Path) -> None:
    """A file that is missing, something else or too new exits with 2, a damaged one with 1; each says why."""
    path, good = tmp_path / "file", tmp_path / "good.ring"
    written(good, [counted(1)])
    header = good.read_bytes()[:HEADER_BYTES]
    damaged = header.replace(b'"gateway"', b'"gateaux"', 1)
    for data, exit_code, why in (
        (None, MISUSE, "cannot be read: No such file or directory"),
        (b"\x89PNG", MISUSE, "is not a journal"),
        (header.replace(b"journal 1", b"journal 9"), MISUSE, "of format 9; this version reads 1"),
        (damaged, FAULT, "the header of the journal is damaged"),
    ):
        if data is not None:
            path.write_bytes(data)
        ran = await journal(path, "--json")
        assert (ran.exit_code, ran.out) == (exit_code, ""), ran
        assert f"{path}" in ran.err
        assert why in ran.err
        assert "Traceback" not in ran.err
