"""A share of the million steps: the real scripts answer what the oracle says, and a rule taken out is missed."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model import holding, oracle, pools, rulings, stored
from tests.model.machine import OFTEN, Machine, Tally, drive
from tests.model.scripts import SCRIPTS
from tests.model.wire import steered

if TYPE_CHECKING:
    from tests.model.wire import Wire

SHARE_RUNS, SHARE_STEPS = 12, 500
EXAMPLES, STEPS_EACH = 25, 30
MISSED_WITHIN_RUNS = 12


@pytest.mark.parametrize("text", SCRIPTS)
def test_only_the_look_at_the_clock_is_steered(text: str) -> None:
    """What is proved of a steered script holds for the deployed one: one line differs, and in it one call."""
    changes = [line for line in difflib.ndiff(text.splitlines(), steered(text).splitlines()) if line[0] in "+-"]
    was, became = (line[2:] for line in changes)
    assert was.replace("redis.call('TIME')", "redis.call('HMGET', 'clock', 's', 'us')") == became


async def test_a_share_of_the_steps_is_equal(wire: Wire) -> None:
    """Every rule is tried, every kind of answer given, and nothing differs."""
    tally = Tally()
    for seed in range(SHARE_RUNS):
        tally.add(drive(wire, seed, SHARE_STEPS))
    assert tally.failures == []
    assert tally.steps == SHARE_RUNS * SHARE_STEPS
    assert set(tally.kinds) >= {*OFTEN, *(f"answer {kind}" for kind in "CRPAKSVWHELXBU")}


RULES = {
    "a newer window stays open": (stored, "is_open", lambda found, start_ms: found.start_ms == start_ms),
    "what rolls over is bounded": (pools, "clamped", lambda _, left: max(0, left)),
    "what is left of a slot": (pools, "rolls_over", lambda *_: False),
    "a slot is free again": (holding.Drawn, "is_slot", False),
    "what is committed late": (oracle, "late", lambda *_: ()),
    "what is given back": (oracle, "settled", lambda *_: ()),
    "whose windows are over": (oracle, "moved", lambda known, _: known),
    "how many are ended": (oracle, "RECLAIMED_MAX", 3),
    "how many are held": (oracle, "HOLDS_MAX", 999),
    "the sliding share": (rulings, "weighed", lambda slide, *_: slide.used),
    "rounding up": (rulings, "ceiling_of", lambda value, divisor: value // divisor),
}


@pytest.mark.parametrize("name", RULES)
async def test_a_rule_that_is_missing_is_missed(wire: Wire, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An oracle without a rule that the scripts have differs from them: the steps come to that rule."""
    where, what, instead = RULES[name]
    monkeypatch.setattr(where, what, instead)
    found = (failure for seed in range(MISSED_WITHIN_RUNS) for failure in drive(wire, seed, SHARE_STEPS).failures)
    assert "DiffersError" in next(found, "nothing differed")


@pytest.mark.timeout(600)  # what differs is made small first
async def test_what_hypothesis_chooses_is_equal(wire: Wire) -> None:
    """The same rules, chosen by hypothesis: should they ever differ, the steps that show it are few."""
    Machine.wire = wire
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS_EACH,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
