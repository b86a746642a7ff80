"""What a check costs and how long it takes, beside services that one would write first: `./dev bench lane`.

Ratios of one run. The product is measured as it ships, over TCP, on a core of its own; Redis, the load and everybody
else share another. What a decision costs is the processor time of its server's process tree.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from benchmarks import figures, plot, report
from benchmarks.blocks import Session
from benchmarks.figures import Run
from benchmarks.processes import cores
from benchmarks.stage import Size, stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.blocks import Figures


@dataclass(frozen=True, slots=True)
class Plan:
    """How long everything takes."""

    passes: int
    fewer_passes: int
    """For what is not the first question."""
    seconds: float
    warm_s: float
    redos_max: int


FULL: Final = Plan(passes=24, fewer_passes=12, seconds=3.0, warm_s=1.0, redos_max=200)
QUICK: Final = Plan(passes=6, fewer_passes=4, seconds=1.0, warm_s=0.3, redos_max=8)

DRAWN: Final = {
    "naive": "naive: grpc.aio, redis-py",
    "empty": "empty grpc.aio handler",
    "keyed": "strict, idempotency key",
    "strict": "strict",
    "boolean": "boolean",
    "batch64": "one of a batch of 64",
}

BASELINES: Final = ("naive", "empty")


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run found: what is told of it, the blocks of what is drawn, and every block."""

    told: report.Report
    drawn: Figures
    session: Session


async def measure(folder: Path, plan: Plan, progress: Callable[[str], None], *, quick: bool) -> Measured:
    """Measure every figure, or those that two minutes allow."""
    told = report.Report()
    session = Session(plan.seconds, plan.warm_s, plan.redos_max, progress)
    run, shorter = Run(session, told, plan.passes), Run(session, told, plan.fewer_passes)
    place = folder / "usual"
    place.mkdir()
    async with stage(place, Size(), cores(), progress) as played:
        drawn = figures.cost(run, played, keyed=not quick)
        figures.latency(shorter, played, drawn.rate_hz("strict"))
        if not quick:
            figures.other_shapes(shorter, played)
            await figures.script(shorter, played)
    if not quick:
        await figures.growth(shorter, folder)
    disturbed = sum(block.disturbed for block in session.kept)
    told.notes.append(
        f"{len(session.kept)} blocks of {plan.seconds:g} s; {len(session.dropped)} were disturbed and done again, "
        f"{disturbed} were disturbed and kept"
    )
    return Measured(told, drawn, session)


def main() -> None:
    """Run, tell, and write down; a quick run writes no file."""
    parser = argparse.ArgumentParser(prog="./dev bench lane", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two minutes: fewer figures, fewer and shorter blocks")
    parser.add_argument("--json", action="store_true", help="print the ratios as JSON, and nothing else")
    given = parser.parse_args()
    begun_s = time.monotonic()

    def progress(text: str) -> None:
        sys.stderr.write(f"{time.monotonic() - begun_s:7.1f} s  {text}\n")

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    os.sched_setaffinity(0, {cores()[1]})
    with tempfile.TemporaryDirectory(prefix="tk-bench-") as folder:
        found = asyncio.run(measure(Path(folder), QUICK if given.quick else FULL, progress, quick=given.quick))
    if not given.quick:
        path = report.write("lane", found.told, found.session.document())
        path.with_suffix(".svg").write_text(_drawn(found), encoding="utf-8")
        progress(f"written: benchmarks/results/{path.name} and {path.stem}.svg")
    sys.stdout.write(json.dumps(found.told.document()) + "\n" if given.json else found.told.table())


def _end(number: int, _: object) -> NoReturn:
    """End at once, also in the midst of a block; whoever started a process ends it on the way out."""
    raise SystemExit(128 + number)


def _drawn(found: Measured) -> str:
    said = report.fingerprint()
    shown = [(label, found.drawn.cpu_us(name), name not in BASELINES) for name, label in DRAWN.items()]
    note = (
        f"{said['processor']}, {said['python']}, {said['redis']}, grpcio {said['grpcio']}; commit {said['commit'][:12]}"
    )
    return plot.bars(
        "What a check costs", f"µs of the server's processor time a decision, {figures.USUAL}", note, shown
    )


if __name__ == "__main__":
    main()
