"""Which figures there are, how each is measured, and how large it may be by what the project set itself."""

from __future__ import annotations

import json
import statistics
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.blocks import Figures, Ratio, Session, Subject
from benchmarks.load import Shape
from benchmarks.processes import PYTHON, cores, run
from benchmarks.report import Figure
from benchmarks.script_cost import TOGETHER, ScriptCost
from benchmarks.stage import SWITCH, Size, Stage, StageError, metered, stage
from benchmarks.workload import Draw, batches, checks

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.report import Report

METERED: Final = metered(0)
BATCH: Final = 64
BATCHED: Final = [metered(place) for place in range(8)]
USUAL: Final = Shape(4, 16)
OTHERS: Final = (Shape(64, 1), Shape(1, 1))
OF_SATURATION: Final = 0.5
SCRIPT_CALLS: Final = 5000
DEPTHS: Final = (1, 16)
FURTHER: Final = (1, 7, 15)

GROWTH: Final = {
    "customers": (Size(customers=1000), Size(customers=1_000_000)),
    "features": (Size(features=10), Size(features=1000)),
    "plans": (Size(plans=10), Size(plans=1000)),
}
GROWTH_MAX: Final = 1.1
SETTLE_S: Final = 15.0
"""So long a product of any size is asked before it is measured: what it keeps in memory is there then."""


STEADY_S: Final = 2.0
BATCHES_STEADY_S: Final = 8.0
"""So long is asked before blocks of one second are: eighty thousand claims are then known that a batch may hold."""


@dataclass(frozen=True, slots=True)
class Run:
    """What every figure needs: where blocks are measured, where its result goes, and how many pairs there shall be."""

    session: Session
    report: Report
    passes: int


def cost(of: Run, played: Stage, *, keyed: bool) -> Figures:
    """Compare what a decision costs the product and the baselines."""
    draw, product, headers = Draw(played.size.customers), played.product, played.headers
    strict = checks(draw, METERED, headers)
    with played.baseline("naive", played.redis_url) as naive, played.baseline("empty") as empty:
        subjects = [
            Subject("strict", product, strict, USUAL, played.trim),
            Subject("boolean", product, checks(draw, SWITCH, headers, counted=False), USUAL, played.trim),
            Subject("naive", naive, checks(draw, METERED), USUAL, played.trim),
            Subject("batch64", product, batches(draw, BATCHED, BATCH, headers), USUAL, played.trim),
            Subject("empty", empty, checks(draw, METERED, counted=False), USUAL, played.trim),
            Subject("strict again", product, strict, USUAL, played.trim),
        ]
        if keyed:
            subjects.append(Subject("keyed", product, checks(draw, METERED, headers, keyed=True), USUAL, played.trim))
        for subject, seconds in ((subjects[0], STEADY_S), (subjects[3], BATCHES_STEADY_S)):
            of.session.settle(subject, seconds)
        found = of.session.compare(subjects, of.passes)
    add = of.report.add
    add("strict_vs_naive", "strict check / naive service", found.cpu_ratio("strict", "naive"), 0.05)
    add("strict_vs_empty_grpc_aio", "strict check / empty grpc.aio handler", found.cpu_ratio("strict", "empty"), 0.09)
    add("boolean_vs_empty_grpc_aio", "boolean check / empty handler", found.cpu_ratio("boolean", "empty"), 0.05)
    add("batch64_vs_unary", "a check of a batch of 64 / strict check", found.cpu_ratio("batch64", "strict"), 0.4)
    if keyed:
        add("keyed_vs_strict", "with an idempotency key / without", found.cpu_ratio("keyed", "strict"), 2)
    twice = found.cpu_ratio("strict again", "strict")
    of.report.controls.append(Figure("strict_again_vs_strict", "the same twice: what this run can tell apart", twice))
    for subject in subjects:
        of.report.numbers[f"{subject.name}: µs of processor time a decision"] = found.cpu_us(subject.name)
        of.report.numbers[f"{subject.name}: decisions a second"] = found.rate_hz(subject.name)
    return found


def other_shapes(of: Run, played: Stage) -> None:
    """Compare the same where calls do not come many at a time."""
    draw = Draw(played.size.customers)
    with played.baseline("naive", played.redis_url) as naive, played.baseline("empty") as empty:
        for shape in OTHERS:
            subjects = [
                Subject("strict", played.product, checks(draw, METERED, played.headers), shape, played.trim),
                Subject("naive", naive, checks(draw, METERED), shape, played.trim),
                Subject("empty", empty, checks(draw, METERED, counted=False), shape, played.trim),
            ]
            found = of.session.compare(subjects, of.passes)
            for other in ("naive", "empty"):
                name = f"strict_vs_{other}_{shape.connections}x{shape.streams}"
                of.report.add(name, f"strict check / {other}, {shape}", found.cpu_ratio("strict", other))


def latency(of: Run, played: Stage, saturation_hz: float) -> None:
    """Compare how long a check takes at half of what the product can, with a bare call of the script."""
    draw = Draw(played.size.customers)
    shape = Shape(USUAL.connections, rate_hz=saturation_hz * OF_SATURATION)
    subject = Subject("at half", played.product, checks(draw, METERED, played.headers), shape, played.trim)
    checked: list[tuple[float, float]] = []
    bare: dict[int, list[tuple[float, float]]] = {depth: [] for depth in DEPTHS}
    for place in range(of.passes):
        for step in ("check", *DEPTHS) if place % 2 == 0 else (*reversed(DEPTHS), "check"):
            if isinstance(step, int):
                of.session.progress(f"bare EVALSHA, {step} in flight, pass {place + 1} of {of.passes}")
                bare[step].append(_evalsha(played, step, of.session.seconds))
            else:
                checked += of.session.compare([subject], 1).latencies_us("at half")
    for place, percent in enumerate(("p50", "p99")):
        added = [mine[place] / theirs[place] - 1 for mine, theirs in zip(checked, bare[1], strict=True)]
        about = f"{percent} added / a bare EVALSHA's {percent}, at half of saturation"
        of.report.add(f"{percent}_added_vs_evalsha", about, Ratio.of(added), 1 if percent == "p50" else None)
        of.report.numbers[f"check at half of saturation: {percent} in µs"] = statistics.median(
            one[place] for one in checked
        )
        for depth in DEPTHS:
            middle = statistics.median(one[place] for one in bare[depth])
            of.report.numbers[f"bare EVALSHA, {depth} in flight: {percent} in µs"] = middle


def _evalsha(played: Stage, depth: int, seconds: float) -> tuple[float, float]:
    """Measure it from the core of the server, as the product asks."""
    size = ["--customers", str(played.size.customers), "--feature", METERED]
    command = [
        *PYTHON,
        "benchmarks.evalsha",
        played.redis_path,
        *size,
        "--depth",
        str(depth),
        "--seconds",
        str(seconds),
    ]
    told = json.loads(run(command, core=played.server_core))
    played.trim()
    return told["p50_us"], told["p99_us"]


async def script(of: Run, played: Stage) -> None:
    """Compare what the script costs Redis with the least that it could."""
    of.session.progress("the script and a bare one, by Redis's own clock")
    costs = await ScriptCost.open(played.redis, Draw(played.size.customers), METERED)
    bare = await costs.against_bare(SCRIPT_CALLS, of.passes)
    of.report.add("script_vs_bare", "Redis: consume.lua / GET, INCRBY, XADD", bare, 2.2)
    for more in FURTHER:
        found = await costs.further(more, SCRIPT_CALLS, of.passes)
        of.report.add(f"script_further_{more}", f"Redis: each of {more} further limits / the first", found, 0.3)
    together = await costs.together(SCRIPT_CALLS, of.passes)
    of.report.add("script_together", f"Redis: {TOGETHER} claims in a call / in {TOGETHER} calls", together, 0.7)


async def growth(of: Run, folder: Path) -> None:
    """Compare a small product with a large one, for each thing that may be many."""
    for what, sizes in GROWTH.items():
        few, many = (getattr(size, what) for size in sizes)
        about = f"strict check with {many:,} {what} / with {few:,}"
        try:
            found = await _grown(of, folder, what, sizes)
        except StageError as error:
            of.report.notes.append(f"{about}: not measured, {error}")
        else:
            of.report.add(f"growth_{what}", about, found.cpu_ratio(f"many {what}", f"few {what}"), GROWTH_MAX)


async def _grown(of: Run, folder: Path, what: str, sizes: tuple[Size, Size]) -> Figures:
    async with AsyncExitStack() as stack:
        subjects = []
        for label, size in zip(("few", "many"), sizes, strict=True):
            place = folder / f"{what}-{label}"
            place.mkdir()
            played = await stack.enter_async_context(stage(place, size, cores(), of.session.progress))
            workload = checks(Draw(size.customers), METERED, played.headers)
            subjects.append(Subject(f"{label} {what}", played.product, workload, USUAL, played.trim))
            of.session.settle(subjects[-1], SETTLE_S)
        return of.session.compare(subjects, of.passes)
