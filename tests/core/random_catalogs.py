"""Rates catalogs and usage at random, so many as are asked for: nothing fails in a way that is not ours.

`./dev run python -m tests.core.random_catalogs --runs 1000000 --report tests/core/random_catalogs_report.json` takes
six minutes on two processors that do nothing else. Each run has a seed of its own: `--seed 4711 --runs 1` is that run
again.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from multiprocessing import Pool
from pathlib import Path
from random import Random
from typing import Any, NoReturn

from rich.console import Console
from rich.progress import track

from billing_core.errors import BillingError, InvalidValueError, shown
from billing_core.money import plain_text
from billing_core.rating import Rating, RatingRequest, rate
from gateway.catalog_file.statements import write_step
from tests.core.random_requests import sold

ROOT = Path(__file__).resolve().parents[2]
BATCH = 500
SHUFFLED_EVERY = 4
FAILURES_SHOWN_MAX = 20


@dataclass
class Tally:
    """What came of some runs: how many were rated, what the others were refused for, and what was in those rated."""

    rated: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    holding: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Count those of another one, too."""
        self.rated += other.rated
        self.refusals += other.refusals
        self.holding += other.holding
        self.failures += other.failures


def tried(seeds: range) -> Tally:
    """Make a request of each seed and rate it; whatever else than a refusal of ours comes of it is a failure."""
    tally = Tally()
    for seed in seeds:
        try:
            request = sold(seed).request
            rating = rate(request)
            check(request, rating, seed)
        except BillingError as error:
            tally.refusals[rule_of(error)] += 1
        except Exception as error:  # noqa: BLE001 - that there is none of these is the point
            tally.failures.append(f"seed {seed}: {type(error).__name__}: {error}")
        else:
            tally.rated += 1
            tally.holding.update(held(request))
    return tally


def check(request: RatingRequest, rating: Rating, seed: int) -> None:
    """The total is that of the lines, rating again writes the same bytes without a float, and no order matters."""
    # In fractions, since the usual decimal context has room for 28 digits and says nothing of the others.
    together = sum((Fraction(line.amount.amount) for line in rating.lines), start=Fraction(0))
    assert Fraction(rating.total.amount) == together, "the lines make another total"
    written = digest(rating)
    assert digest(rate(request)) == written, "rating again gives something else"
    if seed % SHUFFLED_EVERY == 0:
        usage = list(request.usage)
        Random(seed).shuffle(usage)  # noqa: S311 - no secret
        assert rate(replace(request, usage=usage)) == rating, "another order gives something else"


def digest(rating: Rating) -> str:
    """Hash a rating with its derivation; a float anywhere in its JSON is an error."""
    lines = [
        {
            "line": [line.meter, line.description, plain_text(line.quantity), line.amount.text()],
            "derivation": [write_step(step) for step in line.derivation],
        }
        for line in rating.lines
    ]
    text = json.dumps({"lines": lines, "total": rating.total.text()})
    json.loads(text, parse_float=_no_float)
    return hashlib.sha256(f"{text}\n{[line.derivation for line in rating.lines]}".encode()).hexdigest()


def _no_float(text: str) -> NoReturn:
    raise AssertionError(f"{text} is a float")


def rule_of(error: BillingError) -> str:
    """Name the rule that was broken: the field without its numbers, and what was wrong without the value."""
    if not isinstance(error, InvalidValueError):
        return type(error).__name__
    where = re.sub(r"\[\d+\]", "[]", error.field)
    return f"{where}: {error.problem.removeprefix(shown(error.value)).strip()}"


def held(request: RatingRequest) -> Iterator[str]:
    """Name what is in a request: models, terms, aggregations, and what else a document may say."""
    for price in request.prices:
        terms = price.terms
        yield f"model {price.price.model}"
        yield from (f"term {name}" for name in ("included", "minimum", "maximum", "filter") if getattr(terms, name))
        if terms.discount is not None:
            yield f"discount {type(terms.discount).__name__}"
        if terms.convert is not None:
            yield f"rounding {terms.convert.rounding.value}"
    yield from (f"aggregation {meter.aggregation.name}" for meter in request.meters.values())
    yield from (name for name in ("fees", "usage", "billed", "active", "seats") if getattr(request, name))
    yield f"proration {request.proration.value if request.proration else 'none'}"
    yield "final" if request.final else "not final"
    yield f"zone {request.zone}"
    yield f"currency {request.currency.code}"


def run(first: int, runs: int, processes: int) -> Tally:
    """Try so many seeds in batches, on so many processes, and show how far they are."""
    seeds = range(first, first + runs)
    batches = [seeds[start : start + BATCH] for start in range(0, runs, BATCH)]
    tally = Tally()
    with Pool(processes) as pool:
        done = pool.imap_unordered(tried, batches)
        for part in track(done, "rating", len(batches), console=Console(stderr=True)):
            tally.add(part)
    return tally


def report(tally: Tally, asked: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Say what was run, on what, and what came of it."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    return {
        "runs": asked.runs,
        "first_seed": asked.seed,
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        "processes": asked.processes,
        "seconds": round(seconds),
        "rated": tally.rated,
        "refused": tally.refusals.total(),
        "failures": sorted(tally.failures)[:FAILURES_SHOWN_MAX],
        "holding": dict(sorted(tally.holding.items())),
        "refusals": dict(sorted(tally.refusals.items())),
    }


def main() -> int:
    """Run what is asked for and write the report; 1 when anything failed."""
    parser = argparse.ArgumentParser(prog="random_catalogs", description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="the first one; each run has the next")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--report", type=Path, help="a file for what came of it")
    asked = parser.parse_args()
    began_s = time.monotonic()
    tally = run(asked.seed, asked.runs, asked.processes)
    said = report(tally, asked, time.monotonic() - began_s)
    if asked.report:
        asked.report.write_text(json.dumps(said, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for failure in said["failures"]:
        sys.stdout.write(f"{failure}\n")
    sys.stdout.write(f"{said['runs']} runs in {said['seconds']} s: {said['rated']} rated, {said['refused']} refused, ")
    sys.stdout.write(f"{len(tally.failures)} failed\n")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
