"""Rating a request gives the same hash: again, elsewhere, and however Python was started."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_core.errors import BillingError
from billing_core.rating import rate
from tests.core.random_catalogs import ROOT, digest
from tests.core.random_requests import sold

SEEDS = 300
TIMES = 3
SHOWN = f"""
from tests.core.test_same_everywhere import digests
print("\\n".join(digests(range({SEEDS}))))
"""


def digests(seeds: range, times: int = 1) -> list[str]:
    """Hash the rating of each seed so many times, with its derivations, or say what was refused."""
    found: list[str] = []
    for seed in seeds:
        try:
            request = sold(seed).request
            found += [digest(rate(request)) for _ in range(times)]
        except BillingError as error:
            found.append(str(error))
    return found


@given(st.integers(0, 10**9))
def test_rating_k_times_gives_the_same_hash(seed: int) -> None:
    """Lines, derivations and total are the same bytes each time, of one request and of one that was made anew."""
    alone = range(seed, seed + 1)
    assert len({*digests(alone, TIMES), *digests(alone)}) == 1


@pytest.mark.parametrize(("hash_seed", "zone", "language"), [("1", "Asia/Tokyo", "C"), ("4711", "UTC", "C.UTF-8")])
def test_another_process_gives_the_same_hash(hash_seed: str, zone: str, language: str) -> None:
    """No order of a set, no local time and no language of the machine gets into a rating, or into a refusal."""
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "TZ": zone, "LC_ALL": language, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SHOWN]
    shown = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    assert shown.splitlines() == digests(range(SEEDS))
