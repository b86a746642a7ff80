"""Runs the mutants: takes one thing out of a copy of the code at a time, and sees that a test notices."""

from __future__ import annotations

import argparse
import compileall
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from py_compile import PycInvalidationMode
from queue import SimpleQueue
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from tests.faults.mutant import ROOT, Mutant, mutants

if TYPE_CHECKING:
    from collections.abc import Iterator

COPIED = ("billing_core", "gateway", "tests", "pyproject.toml")
WORKERS = 2
MUTANT_S_MAX = 60
UNCHANGED_S_MAX = 300
PYTEST = ("-B", "-m", "pytest", "-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "-p", "tests.faults.in_copy")

STORELESS = "tests/core/"
"""These tests need no fixture from above their folder, and start in half the time without those."""


class Outcome(Enum):
    """What became of a mutant. Only a test that failed has killed it, or one that never came to an end."""

    KILLED = "killed"
    TIMED_OUT = "killed, out of time"
    SURVIVED = "SURVIVED"
    BROKEN = "BROKEN: the tests could not be run"


@dataclass(frozen=True, slots=True)
class Judged:
    """A mutant, what became of it, by which test, and how long that took."""

    mutant: Mutant
    outcome: Outcome
    by: str
    seconds: float


@contextlib.contextmanager
def copied() -> Iterator[Path]:
    """Copy what is tested and its tests to a folder of their own.

    It is compiled once, since that is most of a short run, into files that name their source's hash: Python compares it
    with each import, so that a mutant, whose hash is another, is compiled anew, and nothing compiled is ever written.
    """
    with tempfile.TemporaryDirectory(prefix="tk-mutants-") as name:
        folder = Path(name).resolve()
        for path in COPIED:
            if (ROOT / path).is_dir():
                shutil.copytree(ROOT / path, folder / path, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / path, folder / path)
        compileall.compile_dir(folder, quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
        yield folder


def run(folder: Path, tests: tuple[str, ...], seconds_max: float) -> tuple[Outcome, str]:
    """Run tests in a copy; says what came of it, and the test that failed or, when none could run, the last words."""
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *PYTEST, *tests]
    if all(test.startswith(STORELESS) for test in tests):
        command.append(f"--confcutdir={STORELESS}")
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        tested = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said, process_group=0
        )
        try:
            status = tested.wait(seconds_max)
        except subprocess.TimeoutExpired:
            return Outcome.TIMED_OUT, f"no end after {seconds_max:g} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(tested.pid, signal.SIGKILL)  # and whatever it has started
            tested.wait()
        said.seek(0)
        lines = said.read().splitlines()
    failed = [line.split(" - ")[0].rpartition("::")[2] for line in lines if line.startswith(("FAILED ", "ERROR "))]
    match status:
        case 0:
            return Outcome.SURVIVED, ""
        case 1 if failed:
            return Outcome.KILLED, failed[0]
        case _:
            return Outcome.BROKEN, "\n".join(lines[-15:])


def judge(mutant: Mutant, folder: Path) -> Judged:
    """Put one mutant into a copy, run its tests, take it out again."""
    began_s = time.monotonic()
    file = folder / mutant.file
    text = file.read_text(encoding="utf-8")
    file.write_text(mutant.applied(text), encoding="utf-8")
    try:
        outcome, by = run(folder, mutant.tests, MUTANT_S_MAX)
    finally:
        file.write_text(text, encoding="utf-8")
    return Judged(mutant, outcome, by, time.monotonic() - began_s)


def judge_all(chosen: list[Mutant], console: Console) -> list[Judged]:
    """Judge mutants, each worker in a copy of its own, once their tests pass without any."""
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(WORKERS) as workers:
        folders: SimpleQueue[Path] = SimpleQueue()
        for _ in range(WORKERS):
            folders.put(stack.enter_context(copied()))

        def in_turn(mutant: Mutant) -> Judged:
            folder = folders.get()
            try:
                one = judge(mutant, folder)
            finally:
                folders.put(folder)
            console.print(f"{one.outcome.value}: {mutant.room}: {mutant.says} [{one.by}]", markup=False)
            return one

        tests = tuple(sorted({test for mutant in chosen for test in mutant.tests}))
        folder = folders.get()
        outcome, by = run(folder, tests, UNCHANGED_S_MAX)
        folders.put(folder)
        if outcome is not Outcome.SURVIVED:
            raise SystemExit(f"the tests do not pass without a mutant: {outcome.value}: {by}")
        return list(workers.map(in_turn, chosen))


def table(judged: list[Judged]) -> Table:
    """Count by file, and all together."""
    shown = Table("file", show_footer=True)
    rows = {file: [one for one in judged if one.mutant.file == file] for file in {one.mutant.file for one in judged}}
    cells = {file: _counts(of_file) for file, of_file in sorted(rows.items())}
    for name, footer in zip(("mutants", "killed", "survived", "seconds"), _counts(judged), strict=True):
        shown.add_column(name, footer, justify="right")
    shown.columns[0].footer = "all"
    for file, counts in cells.items():
        shown.add_row(file, *counts)
    return shown


def _counts(judged: list[Judged]) -> tuple[str, str, str, str]:
    killed = sum(one.outcome in (Outcome.KILLED, Outcome.TIMED_OUT) for one in judged)
    seconds = sum(one.seconds for one in judged)
    return str(len(judged)), str(killed), str(len(judged) - killed), f"{seconds:.0f}"


def main() -> int:
    """Judge the mutants asked for; 1 when one survives."""
    parser = argparse.ArgumentParser(prog="./dev mutants", description="Take one thing out at a time; a test notices.")
    parser.add_argument("filter", nargs="?", default="", help="only where the file, the room or what is said has this")
    parser.add_argument("--share", type=_share, default=(1, 1), metavar="N/M", help="only the N-th of M parts")
    asked = parser.parse_args()
    number, of = asked.share
    named = [one for one in mutants() if any(asked.filter in text for text in (one.file, one.room, one.says))]
    chosen = named[number - 1 :: of]
    if not chosen:
        parser.error("there is no such mutant")
    console = Console(soft_wrap=True)
    began_s = time.monotonic()
    judged = judge_all(chosen, console)
    console.print(table(judged))
    console.print(f"{time.monotonic() - began_s:.0f} s on {WORKERS} workers")
    alive = [one for one in judged if one.outcome in (Outcome.SURVIVED, Outcome.BROKEN)]
    for one in alive:
        console.print(f"{one.outcome.value}: {one.mutant.file}: {one.mutant.says}\n{one.by}", markup=False)
    return 1 if alive else 0


def _share(text: str) -> tuple[int, int]:
    number, of = map(int, text.split("/"))
    if not 1 <= number <= of:
        raise ValueError(text)
    return number, of


if __name__ == "__main__":
    sys.exit(main())
