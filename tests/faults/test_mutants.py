"""The mutants fit the code as it is now, and their judge tells the dead from the living; `./dev mutants` runs all."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.faults.mutant import ROOT, Mutant, mutants
from tests.faults.mutate import Outcome, copied, judge, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALL = mutants()
SAMPLED = ("half a cent goes down", "a period includes its end", "more is credited than was paid")
COUNT_MIN = 60


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A copy of the code, to be mutated."""
    with copied() as made:
        yield made


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: f"{mutant.room}: {mutant.says}")
def test_a_mutant_fits_the_code(mutant: Mutant) -> None:
    """Its text is there, once or so often as it says; what it makes is Python; and its tests exist."""
    mutated = mutant.applied((ROOT / mutant.file).read_text(encoding="utf-8"))
    if mutant.file.endswith(".py"):
        ast.parse(mutated)
    for test in mutant.tests:
        assert (ROOT / test).is_file(), test


def test_mutants_are_many_and_each_is_its_own() -> None:
    """The money core and the lane have sixty each, and none is written twice."""
    for core in ("billing_core/", "gateway/lane/"):
        assert sum(mutant.file.startswith(core) for mutant in ALL) >= COUNT_MIN
    assert len({(mutant.file, mutant.old, mutant.new, mutant.nth) for mutant in ALL}) == len(ALL)
    assert len({(mutant.room, mutant.says) for mutant in ALL}) == len(ALL)


@pytest.mark.parametrize("text", ["a c", "a b a b c"])
def test_a_mutant_that_does_not_fit_is_an_error(text: str) -> None:
    """A text that is not there, or there twice, is never passed over."""
    mutant = Mutant("room", "file", "says", "a b", "x", ())
    with pytest.raises(ValueError, match=r"`old` is [02] times in file"):
        mutant.applied(text)
    assert replace(mutant, nth=2).applied("a b a b c") == "a b x c"


@pytest.mark.parametrize("says", SAMPLED)
def test_a_sampled_mutant_is_killed(folder: Path, says: str) -> None:
    """A test fails on the mutant, and the copy is as it was before."""
    (mutant,) = (one for one in ALL if one.says == says and one.file.startswith("billing_core/"))
    judged = judge(mutant, folder)
    assert (judged.outcome, judged.by.startswith("test_")) == (Outcome.KILLED, True)
    assert (folder / mutant.file).read_bytes() == (ROOT / mutant.file).read_bytes()


def test_what_changes_nothing_survives_and_what_cannot_run_is_not_killed(folder: Path) -> None:
    """Only a test that fails kills: without a test that could run, nothing was shown."""
    harmless = Mutant(
        "money", "billing_core/money.py", "says", "if number < 0:", "if 0 > number:", ("tests/core/test_money.py",)
    )
    assert judge(harmless, folder).outcome is Outcome.SURVIVED
    assert judge(replace(harmless, new="if number <:"), folder).outcome is Outcome.BROKEN
    assert run(folder, harmless.tests, 0.01)[0] is Outcome.TIMED_OUT
