"""A gateway that is killed at any moment leaves every use whose reply was seen in its journal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.journal import read
from tests.doors.journal_made import counted

ROOT = Path(__file__).resolve().parents[2]


def killed(path: Path, bytes_max: int, replies: int) -> list[int]:
    """Run a writer, kill it after so many replies; returns every number it replied."""
    command = [sys.executable, "-m", "tests.faults.journal_writer", str(path), str(bytes_max)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        seen = [process.stdout.readline() for _ in range(replies)]
        process.kill()
        seen += process.stdout.readlines()
    return [int(line) for line in seen if line.endswith(b"\n")]


@pytest.mark.parametrize("replies", [1, 2, 17, 400, 3001, 20_000])
def test_every_reply_that_was_seen_is_in_the_journal(tmp_path: Path, replies: int) -> None:
    """Killed with SIGKILL while it writes: no entry is missing between the first and the last that was replied."""
    path = tmp_path / "one.ring"
    seen = killed(path, 2**26, replies)
    assert len(seen) >= replies
    reading = read(path)
    found = list(reading)
    assert found == [counted(number, padding=number % 50) for number in range(1, len(found) + 1)]
    assert seen == list(range(1, len(seen) + 1))
    assert len(found) >= len(seen)
    assert (reading.written, reading.overwritten, reading.missing) == (False, 0, 0)


@pytest.mark.parametrize("replies", [150, 2000, 20_000])
def test_a_ring_that_has_begun_anew_holds_the_newest(tmp_path: Path, replies: int) -> None:
    """Killed after many rounds: what is there is the newest without a gap, and ends no earlier than the replies."""
    path = tmp_path / "one.ring"
    seen = killed(path, 2**14, replies)
    reading = read(path)
    found = list(reading)
    first = reading.overwritten + 1
    assert found == [counted(number, padding=number % 50) for number in range(first, first + len(found))]
    assert first > 1
    assert found[-1].sequence >= seen[-1]
    assert len(found) > 50
