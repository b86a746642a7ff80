"""How servers are compared: a moment of load on each in turns, there and back, over and over.

A pass puts load on every subject for a fraction of a second; each second pass goes backwards (ABBA). A machine that is
shared is now fast and now slow, for seconds: within one pass all meet the same. What a decision costs is all that was
computed by all that was decided, so that work which comes in lumps is paid; the interval of a ratio is that of whole
passes drawn anew. What disturbed a pass has it done again, by a rule that stands here.
"""

from __future__ import annotations

import contextlib
import math
import random
import statistics
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from benchmarks.load import Load, Work
from benchmarks.processes import Shares, on_core, reading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.histogram import Histogram
    from benchmarks.load import Outcome, Shape
    from benchmarks.processes import Reading, Server

STOLEN_MAX: Final = 0.01
FOREIGN_MAX: Final = 0.03
"""A pass in which the machine's owner or other processes took more than this is done again."""

BUSY_MAX: Final = 0.8
"""A generator that computes for more of the time than this holds its server up; that is told, too."""

RESAMPLES: Final = 2000
SEED: Final = 1


class Asked(Work, Protocol):
    """Work whose requests hold so many decisions each."""

    @property
    def decisions(self) -> int:
        """How many."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One server under one load."""

    name: str
    server: Server
    work: Asked
    shape: Shape
    load_on: int | None = None
    """The core from which it is asked; None: from where we are."""


@dataclass(frozen=True, slots=True)
class Block:
    """One stretch of load as it was measured."""

    subject: str
    shape: str
    place: int
    """Of its pass among the passes."""
    decisions: int
    seconds: float
    cpu_us: float
    """What the server's process tree computed, for all decisions."""
    busy: float
    """Of the generator."""
    p50_us: float | None
    p99_us: float | None
    late_p50_us: float | None
    """Of the generator: part of the latency."""


@dataclass(slots=True)
class Session:
    """Every block of a run, and how many passes may still be done again; beyond that they are kept and counted."""

    redos_left: int
    progress: Callable[[str], None]
    kept: list[Block] = field(default_factory=list)
    dropped: list[Block] = field(default_factory=list)
    kept_though_disturbed: int = 0
    held_up: list[str] = field(default_factory=list)
    """Who may have waited for the generator."""

    def compare(
        self, subjects: Sequence[Subject], passes: int, seconds: float, after: Callable[[], None] = lambda: None
    ) -> Figures:
        """Measure the subjects in turns, each for so long a pass; `after` empties what a pass filled."""
        self.progress(f"{passes} × {seconds:g} s: {', '.join(subject.name for subject in subjects)}")
        begun = len(self.kept)
        with contextlib.ExitStack() as stack:
            loads = [(one, stack.enter_context(connected(one))) for one in subjects]
            for place in range(passes):
                self._pass(loads if place % 2 == 0 else loads[::-1], place, seconds, after)
        found = Figures(self.kept[begun:])
        self.held_up += [one.name for one in subjects if found.middle(one.name, "busy") > BUSY_MAX]
        return found

    def settle(self, subject: Subject, after: Callable[[], None], seconds: float, calls: float = math.inf) -> None:
        """Ask for so long or so much, a second at a time, and measure nothing."""
        self.progress(f"{subject.name}: settling")
        until_s = time.monotonic() + seconds
        with connected(subject) as load:
            while load.asked < calls and (left_s := until_s - time.monotonic()) > 0:
                load.put(min(1.0, left_s), lambda: None)
                after()

    def _pass(
        self, loads: Sequence[tuple[Subject, Load]], place: int, seconds: float, after: Callable[[], None]
    ) -> None:
        while True:
            begun = reading(loads[0][0].server.pid)
            blocks = [measured(subject, load, place, seconds) for subject, load in loads]
            shares = Shares.between(begun, reading(loads[0][0].server.pid))
            after()
            disturbed = shares.foreign > FOREIGN_MAX or shares.stolen > STOLEN_MAX
            if not disturbed or self.redos_left == 0:
                self.kept += blocks
                self.kept_though_disturbed += disturbed
                return
            self.redos_left -= 1
            self.dropped += blocks

    def document(self) -> dict[str, Any]:
        """Everything, raw."""
        return {
            "rule": {"stolen_max": STOLEN_MAX, "foreign_max": FOREIGN_MAX},
            "passes_kept_though_disturbed": self.kept_though_disturbed,
            "kept": [asdict(block) for block in self.kept],
            "dropped": [asdict(block) for block in self.dropped],
        }


def connected(subject: Subject) -> contextlib.closing[Load]:
    """Open a subject's connections for a while."""
    return contextlib.closing(Load(subject.server.address, subject.work, subject.shape))


def measured(subject: Subject, load: Load, place: int, seconds: float) -> Block:
    """Put load on a subject once."""
    with on_core(subject.load_on) if subject.load_on is not None else contextlib.nullcontext():
        outcome: Outcome[Reading] = load.put(seconds, lambda: reading(subject.server.pid))
    return Block(
        subject=subject.name,
        shape=str(subject.shape),
        place=place,
        decisions=outcome.calls * subject.work.decisions,
        seconds=outcome.seconds,
        cpu_us=Shares.between(outcome.before, outcome.after).server_s * 1e6,
        busy=outcome.busy,
        p50_us=_us(outcome.latency_ns, 50),
        p99_us=_us(outcome.latency_ns, 99),
        late_p50_us=_us(outcome.lateness_ns, 50),
    )


def _us(times_ns: Histogram, percent: float) -> float | None:
    return times_ns.percentile(percent) / 1000 if times_ns.count else None


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio, and the interval that holds it in 95 of 100 resamples."""

    value: float
    low: float
    high: float
    pairs: int

    @classmethod
    def of_sums(cls, pairs: Sequence[tuple[float, float, float, float]]) -> Ratio:
        """Divide a/b of all by c/d of all, for (a, b, c, d) of each pass."""
        return cls._resampled(pairs, _of_sums)

    @classmethod
    def of_medians(cls, ratios: Sequence[float]) -> Ratio:
        """Take the middle one."""
        return cls._resampled(ratios, statistics.median)

    @classmethod
    def _resampled(cls, pairs: Sequence[Any], told: Callable[[Sequence[Any]], float]) -> Ratio:
        """Resample; the same every time."""
        draw = random.Random(SEED)  # noqa: S311 - no secret
        found = sorted(told(draw.choices(pairs, k=len(pairs))) for _ in range(RESAMPLES))
        return cls(told(pairs), found[int(RESAMPLES * 0.025)], found[int(RESAMPLES * 0.975)], len(pairs))


def _of_sums(pairs: Sequence[tuple[float, float, float, float]]) -> float:
    a, b, c, d = (math.fsum(column) for column in zip(*pairs, strict=True))
    return (a / b) / (c / d)


class Figures:
    """What the blocks of one comparison say."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._by_subject: dict[str, list[Block]] = {}
        for block in blocks:
            self._by_subject.setdefault(block.subject, []).append(block)

    def cpu_ratio(self, one: str, other: str) -> Ratio:
        """Compare what a decision costs."""
        pairs = zip(self._by_subject[one], self._by_subject[other], strict=True)
        return Ratio.of_sums([(a.cpu_us, a.decisions, b.cpu_us, b.decisions) for a, b in pairs])

    def cpu_us(self, subject: str) -> float:
        """Tell what a decision costs."""
        blocks = self._by_subject[subject]
        return sum(block.cpu_us for block in blocks) / sum(block.decisions for block in blocks)

    def decisions(self, subject: str) -> int:
        """Tell how many there were."""
        return sum(block.decisions for block in self._by_subject[subject])

    def rate_hz(self, subject: str) -> float:
        """Tell how many decisions there were in a second."""
        blocks = self._by_subject[subject]
        return sum(block.decisions for block in blocks) / sum(block.seconds for block in blocks)

    def middle(self, subject: str, field: str) -> float:
        """Tell the middle of a field, such as `p50_us`."""
        return float(statistics.median(getattr(block, field) for block in self._by_subject[subject]))

    def added(self, one: str, other: str, field: str) -> Ratio:
        """Compare what `one` takes longer than `other` with what the other takes, pass by pass."""
        pairs = zip(self._by_subject[one], self._by_subject[other], strict=True)
        return Ratio.of_medians([getattr(a, field) / getattr(b, field) - 1 for a, b in pairs])
