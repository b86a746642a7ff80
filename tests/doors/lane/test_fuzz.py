"""A share of what `fuzz_frames.py` does in full: whatever comes, the lane neither breaks, nor hangs, nor grows."""

from __future__ import annotations

import pytest

from tests.doors.lane.fuzz_frames import fuzz


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_spoilt_conversations_do_no_harm(seed: int) -> None:
    """Twenty thousand frames each: no bug in the log, no call and no connection left, and many calls answered."""
    run = await fuzz(20_000, seed)
    assert run.frames >= 20_000
    assert run.answered > 500
