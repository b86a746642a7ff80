"""How two servers are compared: short blocks in turns, there and back, and what disturbed a block has it done again.

A pass measures every subject once; each second pass goes backwards (ABBA), so that what drifts meets all alike. A ratio
is taken within one pass, and what is told of ratios is their median, with the interval that resampling them gives.
"""

from __future__ import annotations

import random
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from benchmarks import load
from benchmarks.processes import Shares, reading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.load import Outcome, Shape
    from benchmarks.processes import Reading, Server
    from benchmarks.workload import Workload

STOLEN_MAX: Final = 0.01
FOREIGN_MAX: Final = 0.03
"""A block in which the machine's owner or other processes took more than this is done again."""

RESAMPLES: Final = 2000
SEED: Final = 1


@dataclass(frozen=True, slots=True)
class Subject:
    """One server under one load."""

    name: str
    server: Server
    workload: Workload
    shape: Shape
    after: Callable[[], None]
    """What has to be done behind each block, such as emptying what it filled."""


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
    """What the server's process tree computed for one decision."""
    generator_busy: float
    foreign: float
    stolen: float
    p50_us: float | None
    p99_us: float | None

    @property
    def disturbed(self) -> bool:
        """Whether others took too much of the machine."""
        return self.foreign > FOREIGN_MAX or self.stolen > STOLEN_MAX


@dataclass(slots=True)
class Session:
    """Every block of a run, and how many may still be done again; beyond that they are kept and counted."""

    seconds: float
    warm_s: float
    redos_left: int
    progress: Callable[[str], None]
    kept: list[Block] = field(default_factory=list)
    dropped: list[Block] = field(default_factory=list)
    _next_numbers: dict[str, int] = field(default_factory=dict)

    def compare(self, subjects: Sequence[Subject], passes: int) -> Figures:
        """Measure the subjects in turns."""
        begun = len(self.kept)
        for place in range(passes):
            for subject in subjects if place % 2 == 0 else reversed(subjects):
                self.progress(f"{subject.name} on {subject.shape}, pass {place + 1} of {passes}")
                self.kept.append(self._undisturbed(subject, place))
        return Figures(self.kept[begun:])

    def settle(self, subject: Subject, seconds: float) -> None:
        """Ask for a while and measure nothing."""
        self.progress(f"{subject.name} on {subject.shape}, settling")
        outcome = load.put(
            *(subject.server.address, subject.workload, subject.shape),
            warm_s=0,
            seconds=seconds,
            look=lambda: None,
            first_number=self._next_numbers.get(subject.name, 0),
        )
        self._next_numbers[subject.name] = outcome.next_number
        subject.after()

    def _undisturbed(self, subject: Subject, place: int) -> Block:
        while True:
            block = self._measured(subject, place)
            subject.after()
            if not block.disturbed or self.redos_left == 0:
                return block
            self.redos_left -= 1
            self.dropped.append(block)

    def _measured(self, subject: Subject, place: int) -> Block:
        outcome: Outcome[Reading] = load.put(
            subject.server.address,
            subject.workload,
            subject.shape,
            warm_s=self.warm_s,
            seconds=self.seconds,
            look=lambda: reading(subject.server.pid),
            first_number=self._next_numbers.get(subject.name, 0),
        )
        self._next_numbers[subject.name] = outcome.next_number
        shares = Shares.between(outcome.before, outcome.after)
        decisions = outcome.calls * subject.workload.decisions
        latency_ns = outcome.latency_ns
        return Block(
            subject=subject.name,
            shape=str(subject.shape),
            place=place,
            decisions=decisions,
            seconds=outcome.seconds,
            cpu_us=shares.server_s / max(decisions, 1) * 1e6,
            generator_busy=outcome.busy,
            foreign=shares.foreign,
            stolen=shares.stolen,
            p50_us=latency_ns.percentile(50) / 1000 if latency_ns.count else None,
            p99_us=latency_ns.percentile(99) / 1000 if latency_ns.count else None,
        )

    def document(self) -> dict[str, Any]:
        """Everything, raw."""
        return {
            "rule": {"stolen_max": STOLEN_MAX, "foreign_max": FOREIGN_MAX},
            "kept_though_disturbed": sum(block.disturbed for block in self.kept),
            "kept": [asdict(block) for block in self.kept],
            "dropped": [asdict(block) for block in self.dropped],
        }


@dataclass(frozen=True, slots=True)
class Ratio:
    """The median of paired ratios, and the interval that holds it in 95 of 100 resamples."""

    median: float
    low: float
    high: float
    pairs: int

    @classmethod
    def of(cls, ratios: Sequence[float]) -> Ratio:
        """Resample; the same every time."""
        draw = random.Random(SEED)  # noqa: S311 - no secret
        medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
        low, high = medians[int(RESAMPLES * 0.025)], medians[int(RESAMPLES * 0.975)]
        return cls(statistics.median(ratios), low, high, len(ratios))


class Figures:
    """What the blocks of one comparison say."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._by_subject: dict[str, list[Block]] = {}
        for block in blocks:
            self._by_subject.setdefault(block.subject, []).append(block)

    def cpu_ratio(self, one: str, other: str) -> Ratio:
        """Compare what a decision costs."""
        pairs = zip(self._by_subject[one], self._by_subject[other], strict=True)
        return Ratio.of([mine.cpu_us / theirs.cpu_us for mine, theirs in pairs])

    def cpu_us(self, subject: str) -> float:
        """Tell what a decision costs, in the middle."""
        return statistics.median(block.cpu_us for block in self._by_subject[subject])

    def rate_hz(self, subject: str) -> float:
        """Tell how many decisions there were in a second, in the middle."""
        return statistics.median(block.decisions / block.seconds for block in self._by_subject[subject])

    def latencies_us(self, subject: str) -> list[tuple[float, float]]:
        """List the 50th and 99th percentile of each block."""
        found = [(block.p50_us, block.p99_us) for block in self._by_subject[subject]]
        return [(p50, p99) for p50, p99 in found if p50 is not None and p99 is not None]
