"""Proof that what is impure is reported."""

from __future__ import annotations

import pytest

from tests.tidy.purity import impurities
from tests.tidy.source import Source


@pytest.mark.parametrize(
    "text",
    [
        "import os",
        "import math",
        "import json",
        "from zoneinfo import ZoneInfo",
        "from gateway.errors import TollkeeperError",
        "import yaml",
        "def f():\n    import time",
        "importlib.import_module('socket')",
        "x = float(y)",
        "def f(x: float) -> int: ...",
        "print(x)",
        "open(path)",
        "input()",
        "moment = datetime.now(UTC)",
        "day = date.today",
        "from datetime import datetime as d\nd.utcnow()",
        "seconds = length.total_seconds()",
        "half = 0.5",
        "half = 1e-1",
        "half = 1 / 2",
        "whole /= 2",
        "part = 1j",
    ],
)
def test_what_is_impure_is_reported(text: str) -> None:
    """A module that reads, a clock, a float and a division without a name."""
    violations = impurities([Source("billing_core/sample.py", text)])
    assert len(violations) == 1
    assert violations[0].startswith("billing_core/sample.py:")


def test_what_is_pure_passes() -> None:
    """Exact arithmetic, types, and words that only contain a forbidden one."""
    text = "from decimal import Decimal\nfrom billing_core.money import Money\n"
    text += "nowhere = Decimal(7) // 2 * 3\nprinted = 'print'"
    assert impurities([Source("billing_core/sample.py", text)]) == []
