"""The real scripts and the oracle, step by step the same: as a machine of hypothesis, and for a million steps by seed.

`./dev run python -m tests.model.machine --steps 1000000 --report tests/model/machine_report.json` takes some minutes on
two processors. A run of 500 steps has a seed of its own: `--seed 4711 --steps 500` is that run again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from rich.console import Console
from rich.progress import track

from tests.model.choosing import Drawn, Seeded
from tests.model.driver import Driver
from tests.model.scripts import SCRIPTS
from tests.model.server import forgetful_server
from tests.model.wire import Wire

ROOT = Path(__file__).resolve().parents[2]
RUN_STEPS = 500
FLUSH_EVERY, CHECK_EVERY = 40, 160
HOARD_EVERY = 50
FAILURES_SHOWN_MAX = 20
OFTEN = {
    "consume": 34,
    "reserve": 12,
    "settle": 14,
    "batch": 9,
    "peek": 6,
    "atomic": 6,
    "again": 6,
    "sweep": 3,
    "change": 4,
    "restart": 1,
    "barred": 1,
}
"""How often each rule is chosen, of a hundred."""

KINDS = [kind for kind, often in OFTEN.items() for _ in range(often)]


class Machine(RuleBasedStateMachine):
    """Hypothesis chooses the steps, and makes what fails small."""

    wire: Wire

    def __init__(self) -> None:
        super().__init__()
        self._choose = Drawn()

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """Begin with documents and a gateway."""
        self._choose.draw = data.draw
        self.driver = Driver(self.wire, self._choose)

    @rule(data=st.data(), kind=st.sampled_from(KINDS))
    def step(self, data: st.DataObject, kind: str) -> None:
        """Take one step and compare what is answered."""
        self._choose.draw = data.draw
        self.driver.take(kind)
        self.driver.flush()

    def teardown(self) -> None:
        """Compare all that is left behind."""
        if hasattr(self, "driver"):
            self.driver.check()


@dataclass
class Tally:
    """What some runs were made of, and which of them differed."""

    steps: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count those of another one, too."""
        self.steps += other.steps
        self.kinds += other.kinds
        self.failures += other.failures


def drive(wire: Wire, seed: int, steps: int) -> Tally:
    """Take so many steps that a seed chooses; a difference ends the run."""
    choose = Seeded(seed)
    driver = Driver(wire, choose)
    tally = Tally()
    try:
        if seed % HOARD_EVERY == 0:
            driver.hoard()
        for taken in range(1, sys.maxsize):
            driver.take(choose.pick(KINDS))
            if driver.steps >= steps:
                break
            if taken % CHECK_EVERY == 0:
                driver.check()
            elif taken % FLUSH_EVERY == 0:
                driver.flush()
        driver.check()
        tally = Tally(driver.steps, driver.kinds)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what this run is for
        tally.failures.append(f"seed {seed}: {type(error).__name__}: {error}")
    return tally


_own: list[Wire] = []


def open_wire(url: str, databases: Any) -> None:
    """Connect a process of the pool to a database of its own."""
    with databases.get_lock():
        databases.value += 1
        _own.append(Wire.steering(f"{url}?db={databases.value}", SCRIPTS))


def one_run(asked: tuple[int, int]) -> Tally:
    """Make one run in a process of the pool."""
    return drive(_own[0], *asked)


def run(first: int, steps: int, processes: int) -> Tally:
    """Take so many steps on so many processes, and show how far they are."""
    runs = [(first + n, min(RUN_STEPS, steps - n * RUN_STEPS)) for n in range(-(-steps // RUN_STEPS))]
    tally = Tally()
    databases = multiprocessing.Value("i", 0)
    with forgetful_server() as url, multiprocessing.Pool(processes, open_wire, (url, databases)) as pool:
        done = pool.imap_unordered(one_run, runs)
        for part in track(done, "stepping", len(runs), console=Console(stderr=True)):
            tally.add(part)
    return tally


def report(tally: Tally, asked: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Say what was run and what came of it."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    return {
        "steps": tally.steps,
        "first_seed": asked.seed,
        "runs": -(-asked.steps // RUN_STEPS),
        "run_steps": RUN_STEPS,
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        "processes": asked.processes,
        "seconds": round(seconds),
        "failures": sorted(tally.failures)[:FAILURES_SHOWN_MAX],
        "kinds": dict(sorted(tally.kinds.items())),
    }


def main() -> int:
    """Take the steps that are asked for and write the report; 1 when anything differed."""
    parser = argparse.ArgumentParser(prog="machine", description=__doc__)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first run; each run has the next")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--report", type=Path, help="a file for what came of it")
    asked = parser.parse_args()
    began_s = time.monotonic()
    tally = run(asked.seed, asked.steps, asked.processes)
    said = report(tally, asked, time.monotonic() - began_s)
    if asked.report:
        asked.report.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    for failure in said["failures"]:
        sys.stdout.write(f"{failure}\n")
    sys.stdout.write(f"{said['steps']} steps in {said['seconds']} s, {len(tally.failures)} runs differed\n")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
