"""A share of what `fuzz_frames.py` does in full: whatever comes, the lane neither breaks, nor hangs, nor grows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from gateway.lane.connection import Connection
from gateway.lane.session import Session
from tests.doors.lane import fuzz_frames
from tests.doors.lane.fuzz_frames import GROWN_KIB_MAX, TURN_S_MAX, fuzz

FRAMES_MIN: Final = 10_000_000
REPORT: Final = json.loads((Path(__file__).parent / "fuzz_frames_report.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_spoilt_conversations_do_no_harm(seed: int) -> None:
    """Twenty thousand frames each: no bug in the log, no call and no connection left, and many calls answered."""
    found = await fuzz(20_000, seed)
    assert found.failures == []
    assert found.frames >= 20_000
    assert found.answered > 500
    assert found.unspoilt > 50


async def test_a_bug_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is logged, and one that ends a connection with which nothing was wrong."""
    with monkeypatch.context() as broken:
        broken.setattr(Session, "_check_priority", lambda *_: 1 / 0)
        (failure,) = (await fuzz(20_000, 1)).failures
        assert "ZeroDivisionError" in failure
    with monkeypatch.context() as broken:
        broken.setattr(Session, "OPEN", (*Session.OPEN[:6], Session._refuse, *Session.OPEN[7:]))
        (failure,) = (await fuzz(20_000, 1)).failures
        assert "with nothing wrong" in failure
    with monkeypatch.context() as broken:
        broken.setattr(Connection, "connection_lost", lambda *_: None)
        (failure,) = (await fuzz(20_000, 1)).failures
        assert "a connection is kept" in failure


def test_a_run_is_shared_out_and_reported(tmp_path: Path) -> None:
    """Two processes with a seed each; what both have done is added up in a file."""
    path = tmp_path / "report.json"
    assert fuzz_frames.main(["--frames", "2000", "--processes", "2", "--seed", "7", "--report", str(path)]) == 0
    report = json.loads(path.read_text(encoding="utf-8"))
    assert report["frames"] >= 2000
    assert (report["first_seed"], report["processes"], report["failures"]) == (7, 2, [])
    assert len(report["grown_kib"]) == 2


def test_the_whole_run_was_made() -> None:
    """The report, as the run wrote it: ten million frames, nothing failed, and much of it was understood."""
    assert REPORT["frames"] >= FRAMES_MIN
    assert REPORT["failures"] == []
    assert len(REPORT["grown_kib"]) == REPORT["processes"]
    assert max(REPORT["grown_kib"]) < GROWN_KIB_MAX
    assert REPORT["slowest_turn_ms"] < TURN_S_MAX * 1000
    assert REPORT["answered"] > FRAMES_MIN // 100
    assert REPORT["unspoilt"] > FRAMES_MIN // 1000
