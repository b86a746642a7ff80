"""The million steps were taken, and nothing differed: the report as the run wrote it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.model.machine import OFTEN

STEPS_MIN = 1_000_000
REPORT = json.loads((Path(__file__).parent / "machine_report.json").read_text(encoding="utf-8"))


def test_the_whole_run_was_made() -> None:
    """Every rule was tried and every kind of answer given, in a million steps; each of them was equal."""
    assert REPORT["steps"] >= STEPS_MIN
    assert REPORT["failures"] == []
    assert set(REPORT["kinds"]) >= {*OFTEN, "hoard", *(f"answer {kind}" for kind in "CRPAKSVWHELXBU")}
    assert sum(REPORT["kinds"][kind] for kind in {*OFTEN, "hoard"} - {"change", "restart"}) == REPORT["steps"]
