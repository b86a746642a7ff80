"""What a check costs and how long it takes, beside services that one would write first: `./dev bench lane`.

Ratios of one run, with the intervals in which they lie. The product is measured as it ships, over TCP, on a core of its
own; Redis, the load and everybody else share another. What a decision costs is the processor time of its server's
process tree, all of it by all decisions: `blocks` says how that is compared. How much longer a check takes than the
script alone is asked at half of the rate that is kept up with: `figures.latency` says how. A product that has grown is
compared in its steady state: `figures.growth`. A bound is passed or missed when the whole interval is on one side.
"""

from __future__ import annotations

import argparse
import asyncio
import json
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
from benchmarks.processes import apart
from benchmarks.stage import Size, stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.blocks import Figures
    from benchmarks.processes import Cores


@dataclass(frozen=True, slots=True)
class Plan:
    """How many passes there are of each kind, and how long a pass puts load on each subject."""

    passes: int
    passes_of_latency: int
    fewer_passes: int
    """For what is not the first question."""
    seconds: float
    seconds_of_latency: float
    redos_max: int


FULL: Final = Plan(160, 24, 120, 0.2, 2.0, 200)
QUICK: Final = Plan(50, 8, 0, 0.12, 1.0, 12)

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


async def measure(folder: Path, on: Cores, plan: Plan, progress: Callable[[str], None], *, quick: bool) -> Measured:
    """Measure every figure, or those that two minutes allow."""
    told = report.Report()
    session = Session(plan.redos_max, progress)
    run = Run(session, told, plan.passes, plan.seconds)
    shorter = Run(session, told, plan.fewer_passes, plan.seconds)
    slower = Run(session, told, plan.passes_of_latency, plan.seconds_of_latency)
    place = folder / "usual"
    place.mkdir()
    async with stage(place, Size(), on, progress) as played:
        drawn = figures.cost(run, played, keyed=not quick)
        await figures.latency(slower, played, drawn.rate_hz("strict"), () if quick else figures.BESIDE)
        if not quick:
            figures.other_shapes(shorter, played)
            await figures.script(slower, played)
    if not quick:
        await figures.growth(shorter, folder, on)
    told.notes.append(
        f"{len(session.kept)} blocks; {len(session.dropped)} more were disturbed and their passes done again, "
        f"{session.kept_though_disturbed} passes were disturbed and kept"
    )
    if session.held_up:
        told.notes.append(f"the generator was busy for most of the time with: {', '.join(session.held_up)}")
    return Measured(told, drawn, session)


def main() -> None:
    """Run, tell, and write down; a quick run writes no file."""
    parser = argparse.ArgumentParser(prog="./dev bench lane", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two minutes: fewer figures, fewer and shorter blocks")
    parser.add_argument(
        "--json", action="store_true", help="print the ratios as JSON; the table goes to standard error"
    )
    given = parser.parse_args()
    begun_s = time.monotonic()

    def progress(text: str) -> None:
        sys.stderr.write(f"{time.monotonic() - begun_s:7.1f} s  {text}\n")

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    with apart() as on, tempfile.TemporaryDirectory(prefix="tk-bench-") as folder:
        found = asyncio.run(measure(Path(folder), on, QUICK if given.quick else FULL, progress, quick=given.quick))
    if not given.quick:
        path = report.write("lane", found.told, found.session.document())
        path.with_suffix(".svg").write_text(_drawn(found), encoding="utf-8")
        progress(f"written: benchmarks/results/{path.name} and {path.stem}.svg")
    if given.json:
        progress(f"done\n{found.told.table()}")
        sys.stdout.write(json.dumps({"ratios": found.told.document()["ratios"]}) + "\n")
    else:
        sys.stdout.write(found.told.table())


def _end(number: int, _: object) -> NoReturn:
    """End at once, also in the midst of a block; whoever started a process ends it on the way out."""
    raise SystemExit(128 + number)


def _drawn(found: Measured) -> str:
    said, shape = report.fingerprint(), figures.USUAL
    shown = [(label, found.drawn.cpu_us(name), name not in BASELINES) for name, label in DRAWN.items()]
    what = (
        f"µs of the server's processor time a decision; {shape.connections} connections, {shape.streams} calls on each"
    )
    note = f"{said['processor']}, {said['python']}, {said['redis']}, grpcio {said['grpcio']}; {said['commit'][:12]}"
    return plot.bars("What a check costs", what, note, sorted(shown, key=lambda bar: -bar[1]))


if __name__ == "__main__":
    main()
