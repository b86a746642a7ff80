"""What a run says: its figures beside their bounds, where and with what it ran, and every block, in a file."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gateway import embedded
from gateway.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.blocks import Ratio

RESULTS: Final = Path(__file__).with_name("results")
LIBRARIES: Final = ("grpcio", "protobuf", "hiredis", "uvloop", "msgspec", "hpack")


@dataclass(frozen=True, slots=True)
class Figure:
    """One ratio, what it is, and how large it may be; None where that is only reported."""

    name: str
    about: str
    ratio: Ratio
    at_most: float | None = None

    @property
    def outcome(self) -> str:
        """Whether it is within its bound, as far as the run can tell."""
        if self.at_most is None:
            return ""
        if self.ratio.low <= self.at_most < self.ratio.high:
            return "not told apart"
        return "pass" if self.ratio.high <= self.at_most else "MISSED"


@dataclass(slots=True)
class Report:
    """Figures in the order in which they were measured, and plain numbers beside them."""

    figures: list[Figure] = field(default_factory=list)
    controls: list[Figure] = field(default_factory=list)
    numbers: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, about: str, ratio: Ratio, at_most: float | None = None) -> None:
        """Take in a figure."""
        self.figures.append(Figure(name, about, ratio, at_most))

    def document(self) -> dict[str, dict[str, float]]:
        """Every figure by name, and what the same measured twice comes to."""
        return {
            kind: {figure.name: round(figure.ratio.value, 4) for figure in figures}
            for kind, figures in (("ratios", self.figures), ("control", self.controls))
        }

    def table(self) -> str:
        """Everything for people."""
        rows = [("figure", "ratio", "95 % of resamples", "at most", "")]
        for figure in [*self.figures, *self.controls]:
            ratio = figure.ratio
            bound = "" if figure.at_most is None else f"{figure.at_most:g}"
            interval = f"{ratio.low:.3f} to {ratio.high:.3f}"
            rows.append((figure.about, f"{ratio.value:.3f}", interval, bound, figure.outcome))
        numbers = [(name, f"{value:,.1f}") for name, value in self.numbers.items()]
        return "\n".join([*_aligned(rows), "", *_aligned(numbers), *self.notes, ""])


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Pad the cells: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in rows
    ]


def write(name: str, report: Report, blocks: dict[str, Any]) -> Path:
    """Write a run down, raw; returns where."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    document = {
        "ran": fingerprint(),
        **report.document(),
        "figures": [asdict(figure) | {"outcome": figure.outcome} for figure in [*report.figures, *report.controls]],
        "numbers": report.numbers,
        "notes": report.notes,
        "blocks": blocks,
    }
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def fingerprint() -> dict[str, Any]:
    """Say when, of which commit, on which machine, with which versions."""
    redis = embedded.locate_redis(Settings())
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "redis": f"{redis.name} {redis.version}" if isinstance(redis, embedded.Binary) else "external",
        "redis-py": version("redis"),
        **{library: version(library) for library in LIBRARIES},
    }


def _git(*arguments: str) -> str:
    """Ask git; a tree that was copied without it has no commit."""
    git = shutil.which("git")
    if git is None:
        return ""
    command = [git, *arguments]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
