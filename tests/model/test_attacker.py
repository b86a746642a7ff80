"""Whoever may only use the public API gets no unit more than its limits give."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from gateway.counters.order import Quota, Span
from tests.model.attacker import OFTEN, Attacker
from tests.model.choosing import Seeded
from tests.model.ledger import Ledger, Use

if TYPE_CHECKING:
    from tests.model.wire import Wire

RUNS, STEPS = 20, 150


async def test_an_attacker_gains_nothing(wire: Wire) -> None:
    """Whatever is asked, reserved, repeated and ended, in whatever order: the ledger finds no unit too many."""
    kinds: Counter[str] = Counter()
    for seed in range(RUNS):
        choose = Seeded(seed)
        attacker = Attacker(wire, choose)
        for _ in range(STEPS):
            getattr(attacker, choose.pick(OFTEN))()
        kinds += attacker.kinds
    answers = {
        "C",
        "R",
        "P",
        "A",
        "K",
        "commit E",
        "release E",
        "extend X",
        "commit L",
        "commit B",
        "extend B",
        "release U",
    }
    assert answers <= set(kinds)


def test_the_ledger_sees_a_unit_too_many() -> None:
    """What is one above a ceiling in its window is reported; in the next window it is not."""
    quota = Quota("calls:second", Span(0, 1000), 3)
    ledger = Ledger()
    assert ledger.admit(Use(10_500_000, 3, (quota,))) == []
    assert ledger.admit(Use(11_000_000, 3, (quota,))) == []
    assert ledger.admit(Use(11_999_999, 1, (quota,))) == [f"{quota} gave 4 of 3"]
