"""The benchmark measures real servers, product and baselines alike, and tells what it measured."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from benchmarks import figures, lane, plot, report
from benchmarks.blocks import Ratio
from benchmarks.lane import Plan
from benchmarks.processes import apart
from benchmarks.stage import Size

if TYPE_CHECKING:
    from pathlib import Path

TINY = Plan(passes=2, passes_of_latency=1, fewer_passes=1, seconds=0.1, seconds_of_latency=0.3, redos_max=0)
SIX = {
    "strict_vs_naive",
    "strict_vs_empty_grpc_aio",
    "boolean_vs_empty_grpc_aio",
    "batch64_vs_unary",
    "p50_added_vs_evalsha",
    "p99_added_vs_evalsha",
}


async def test_every_figure_is_measured(short_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each subject answers rightly, each ratio is there with its pairs, and the file holds every block."""
    monkeypatch.setattr(figures, "GROWTH", {"customers": (Size(customers=10), Size(customers=50))})
    monkeypatch.setattr(figures, "BESIDE_PASSES", 1)
    for name in ("SETTLE_S_MAX", "STEADY_S", "BATCHES_STEADY_S", "SEARCH_S"):
        monkeypatch.setattr(figures, name, 0.2)
    monkeypatch.setattr(figures, "SCRIPT_CALLS", 200)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    said: list[str] = []
    with apart() as on:
        found = await lane.measure(short_folder, on, TINY, said.append, quick=False)
    ratios = found.told.document()["ratios"]
    assert ratios.keys() > SIX | {"keyed_vs_strict", "script_vs_bare", "growth_customers", "strict_vs_naive_64x1"}
    assert 0 < ratios["strict_vs_naive"] < 5
    assert 0.2 < found.told.document()["control"]["strict_again_vs_strict"] < 5
    assert 0.01 < ratios["batch64_vs_unary"] < 1
    assert 1 < ratios["script_vs_bare"] < 10
    assert 0 < ratios["script_together"] < 1.5
    assert ratios["p50_added_vs_evalsha"] > 0
    assert found.told.numbers["saturation: checks a second that are kept up with"] > 100
    path = report.write("lane", found.told, found.session.document())
    document = json.loads(path.read_text(encoding="utf-8"))
    assert len(document["blocks"]["kept"]) == 2 * 7 + 2 + 2 * 2 + 2 * 3 + 2
    assert document["ran"].keys() > {"commit", "processor", "kernel", "python", "redis", "grpcio"}
    assert all(figure.about in found.told.table() for figure in found.told.figures)


def test_a_picture_has_a_bar_for_each() -> None:
    """To one scale, and it is well-formed whatever the names are."""
    text = plot.bars("a < b", "µs & more", "a note", [("one", 100.0, False), ("two", 25.0, True)])
    drawn = ET.fromstring(text)  # noqa: S314 - our own
    bars = [float(one.attrib["width"]) for one in drawn.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert bars[0] == pytest.approx(4 * bars[1], abs=0.2)


def test_a_figure_is_held_against_its_bound() -> None:
    """It is within it, or above it, or the run cannot tell: the whole interval counts."""
    told = report.Report()
    told.add("low", "a low one", Ratio(0.5, 0.4, 0.6, 3), 1)
    told.add("high", "a high one", Ratio(1.5, 1.1, 1.9, 3), 1)
    told.add("unclear", "an unclear one", Ratio(0.9, 0.7, 1.1, 3), 1)
    told.add("free", "a free one", Ratio(9.0, 8.0, 10.0, 3))
    rows = {row.split("  ")[0]: row for row in told.table().splitlines() if row}
    assert rows["a low one"].endswith(" pass")
    assert rows["a high one"].endswith("MISSED")
    assert rows["an unclear one"].endswith("not told apart")
    assert "9.000" in rows["a free one"]
