"""Rating keeps its bounds: a line beside bare arithmetic, and ten times the lines."""

import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "rating_rate.py"


def test_rating_keeps_its_bounds() -> None:
    """The quick share of the benchmark: its ratios are those of one process, each the best of fifty turns."""
    ran = subprocess.run(
        [sys.executable, BENCHMARK, "--quick"], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stderr.count(" of 500 invoices") == 10
