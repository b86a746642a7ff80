"""Which figures there are, how each is measured, and how large it may be by what the project set itself."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.blocks import Figures, Session, Subject
from benchmarks.claims import Claims
from benchmarks.evalsha import Script
from benchmarks.load import Shape
from benchmarks.report import Figure
from benchmarks.saturation import saturation_hz
from benchmarks.script_cost import TOGETHER, ScriptCost
from benchmarks.stage import SWITCH, Size, Stage, StageError, metered, stage
from benchmarks.workload import DRAWS, Draw, batches, checks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.processes import Cores
    from benchmarks.report import Report

METERED: Final = metered(0)
BATCH: Final = 64
BATCHED: Final = [metered(place) for place in range(8)]
USUAL: Final = Shape(4, 16)
OTHERS: Final = (Shape(64, 1), Shape(1, 1))
OF_SATURATION: Final = 0.5
BESIDE: Final = (0.25, 0.75)
BESIDE_PASSES: Final = 5
SEARCH_S: Final = 0.6
SCRIPT_CALLS: Final = 5000
FURTHER: Final = (1, 7, 15)

GROWTH: Final = {
    "customers": (Size(customers=1000), Size(customers=1_000_000)),
    "features": (Size(features=10), Size(features=1000)),
    "plans": (Size(plans=10), Size(plans=1000)),
}
GROWTH_MAX: Final = 1.1
SETTLED: Final = 30
"""So many checks a customer, but no more than are drawn, before a product of any size is measured."""

SETTLE_S_MAX: Final = 60.0

STEADY_S: Final = 3.0
BATCHES_STEADY_S: Final = 8.0
"""So long is asked before anything is measured: eighty thousand claims are then known that a batch may hold."""


@dataclass(frozen=True, slots=True)
class Run:
    """What every figure needs: where blocks are measured, where its result goes, how many passes, how long a moment."""

    session: Session
    report: Report
    passes: int
    seconds: float


def cost(of: Run, played: Stage, *, keyed: bool) -> Figures:
    """Compare what a decision costs the product and the baselines."""
    draw, product, headers = Draw(played.size.customers), played.product, played.headers
    strict = checks(draw, METERED, headers)
    with played.baseline("naive", played.redis_url) as naive, played.baseline("empty") as empty:
        subjects = [
            Subject("strict", product, strict, USUAL),
            Subject("boolean", product, checks(draw, SWITCH, headers, counted=False), USUAL),
            Subject("naive", naive, checks(draw, METERED), USUAL),
            Subject("batch64", product, batches(draw, BATCHED, BATCH, headers), USUAL),
            Subject("empty", empty, checks(draw, METERED, counted=False), USUAL),
            Subject("strict again", product, strict, USUAL),
        ]
        if keyed:
            subjects.append(Subject("keyed", product, checks(draw, METERED, headers, keyed=True), USUAL))
        for subject, seconds in ((subjects[0], STEADY_S), (subjects[3], BATCHES_STEADY_S)):
            of.session.settle(subject, played.trim, seconds)
        found = of.session.compare(subjects, of.passes, of.seconds, played.trim)
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
                Subject("strict", played.product, checks(draw, METERED, played.headers), shape),
                Subject("naive", naive, checks(draw, METERED), shape),
                Subject("empty", empty, checks(draw, METERED, counted=False), shape),
            ]
            found = of.session.compare(subjects, of.passes, of.seconds, played.trim)
            for other in ("naive", "empty"):
                name = f"strict_vs_{other}_{shape.connections}x{shape.streams}"
                of.report.add(name, f"strict check / {other}, {shape}", found.cpu_ratio("strict", other))


async def latency(of: Run, played: Stage, closed_loop_hz: float, beside: Sequence[float] = ()) -> None:
    """Compare how long a check takes with how long the script alone takes, both called at half of saturation.

    Saturation is the highest rate that the whole chain keeps up with. The same generator asks at the same fixed times
    for the same customers: the product from the core that Redis has, and Redis itself from the core that the product
    has, as a process there would that needs no gateway. Both are asked over a unix socket, and both count from when a
    call was due, the generator's own waking up included. `beside` are other parts of saturation, which are only told.
    """
    draw = Draw(played.size.customers)
    work = checks(draw, METERED, played.headers)
    script = Script(await Claims.open(played.redis, METERED, draw))

    def check(rate_hz: float) -> Subject:
        return Subject("check", played.nearby, work, Shape(USUAL.connections, rate_hz=rate_hz))

    def both(part: float, passes: int) -> Figures:
        shape = Shape(1, rate_hz=most_hz * part)
        bare = Subject("bare EVALSHA", played.store, script, shape, load_on=played.on.measured)
        found = of.session.compare([check(most_hz * part), bare], passes, of.seconds, played.trim)
        for subject in ("check", bare.name):
            numbers = {f"{percent} in µs": found.middle(subject, f"{percent}_us") for percent in ("p50", "p99")}
            numbers["µs of its p50 until it was sent"] = found.middle(subject, "late_p50_us")
            of.report.numbers.update(
                {f"{subject} at {part:g} of saturation: {what}": number for what, number in numbers.items()}
            )
        return found

    of.session.progress("looking for saturation")
    most_hz = saturation_hz(check, closed_loop_hz, SEARCH_S, played.trim)
    of.report.numbers["saturation: checks a second that are kept up with"] = most_hz
    half = both(OF_SATURATION, of.passes)
    for percent, at_most in (("p50", 1.0), ("p99", None)):
        about = f"{percent} added / {percent} of a bare EVALSHA, at half of saturation"
        ratio = half.added("check", "bare EVALSHA", f"{percent}_us")
        of.report.add(f"{percent}_added_vs_evalsha", about, ratio, at_most)
    for part in beside:
        both(part, BESIDE_PASSES)


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


async def growth(of: Run, folder: Path, on: Cores) -> None:
    """Compare a small product with a large one, for each thing that may be many."""
    for what, sizes in GROWTH.items():
        few, many = (getattr(size, what) for size in sizes)
        about = f"strict check with {many:,} {what} / with {few:,}"
        try:
            found = await _grown(of, folder, what, sizes, on)
        except StageError as error:
            of.report.notes.append(f"{about}: not measured, {error}")
        else:
            of.report.add(f"growth_{what}", about, found.cpu_ratio(f"many {what}", f"few {what}"), GROWTH_MAX)


async def _grown(of: Run, folder: Path, what: str, sizes: tuple[Size, Size], on: Cores) -> Figures:
    """Measure both in the steady state: customers come by Zipf's law among all there are, and have all asked before.

    What a larger product then pays for is what does not stay in memory or in the processor's caches. How often a
    document was read from Redis is told beside it.
    """
    async with AsyncExitStack() as stack:
        played, subjects = [], []
        for label, size in zip(("few", "many"), sizes, strict=True):
            place = folder / f"{what}-{label}"
            place.mkdir()
            played.append(await stack.enter_async_context(stage(place, size, on, of.session.progress)))
            workload = checks(Draw(size.customers), METERED, played[-1].headers)
            subjects.append(Subject(f"{label} {what}", played[-1].product, workload, USUAL))
            of.session.settle(subjects[-1], played[-1].trim, SETTLE_S_MAX, min(DRAWS, SETTLED * size.customers))

        def trim() -> None:
            for one in played:
                one.trim()

        before = [one.fetched() for one in played]
        found = of.session.compare(subjects, of.passes, of.seconds, trim)
        for one, subject, begun in zip(played, subjects, before, strict=True):
            share = (one.fetched() - begun) / found.decisions(subject.name)
            of.report.numbers[f"{subject.name}: documents read of a thousand checks"] = share * 1000
            of.report.numbers[f"{subject.name}: µs of processor time a decision"] = found.cpu_us(subject.name)
    return found
