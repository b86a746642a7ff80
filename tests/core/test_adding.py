"""What add-ons make of rates: more, as far as it can be counted exactly, and bursts by bursts alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_core import entitlements as core
from billing_core.entitlements import Algorithm, Window
from gateway.documents import Boolean, Config, Missing, Rate, Rated, Slots
from gateway.limits.adding import Added, with_added
from tests.core import made_entitlements

SECOND, DAY = Window.SECOND, Window.DAY
FLOW = Rate(SECOND, 5, Algorithm.GCRA)


def risen(rate: Rate, added: Rate, quantity: int = 2) -> Rate:
    """Add so many of an add-on with that rate."""
    (found,) = with_added(Rated((rate,)), [Added("more", quantity, Rated((added,)))], 0).rates
    return found


@pytest.mark.parametrize(
    ("rate", "added", "expected"),
    [
        (Rate(SECOND, 5), Rate(SECOND, 3), Rate(SECOND, 11)),
        (Rate(SECOND, 5), Rate(DAY, 3), Rate(SECOND, 5)),
        (Rate(SECOND, None), Rate(SECOND, 3), Rate(SECOND, None)),
        (FLOW, Rate(SECOND, 3), Rate(SECOND, 11, Algorithm.GCRA)),
        (FLOW, Rate(SECOND, 3, Algorithm.GCRA, 1), Rate(SECOND, 11, Algorithm.GCRA)),
        (Rate(SECOND, 5, Algorithm.GCRA, 9), Rate(SECOND, 3), Rate(SECOND, 11, Algorithm.GCRA, 9)),
        (Rate(SECOND, 5, Algorithm.GCRA, 9), Rate(SECOND, 3, Algorithm.GCRA, 1), Rate(SECOND, 11, Algorithm.GCRA, 11)),
        (Rate(SECOND, 5), Rate(SECOND, 2**53 - 1), Rate(SECOND, 2**53 - 1)),
    ],
)
def test_a_rate_rises_with_those_of_its_window(rate: Rate, added: Rate, expected: Rate) -> None:
    """By the quantity; the way in which it is counted stays the plan's."""
    assert risen(rate, added) == expected


@given(
    st.tuples(st.sampled_from(core.RATE_WINDOWS), st.sampled_from(Algorithm)).flatmap(
        lambda kind: st.tuples(*(made_entitlements.single_rates(*kind) for _ in range(2)))
    ),
    st.integers(1, 10**6),
)
def test_what_was_added_can_still_be_counted_exactly(rates: tuple[core.Rate, core.Rate], quantity: int) -> None:
    """However many are added, what comes out is a rate that a catalog may have."""
    plan, added = (Rate(one.window, one.ceiling, one.algorithm, one.burst) for one in rates)
    found = risen(plan, added, quantity)
    again = core.Rate(found.ceiling, found.window, found.algorithm, found.burst)
    assert again.ceiling is None or again.ceiling >= plan.ceiling


def test_the_last_of_several_values_holds_and_one_is_enough_to_switch_on() -> None:
    """Add-ons come in the order of their names."""
    small, large = (Config(value) for value in (b"1", b"2"))
    assert with_added(Config(b"0"), [Added("a", 1, small), Added("b", 1, large)], 0) == large
    on = Added("a", 1, Boolean(on=True))
    assert with_added(Boolean(on=False), [on], 0).on
    assert with_added(Missing(), [on, on], 0) == Boolean(on=True)


def test_an_add_on_of_another_kind_changes_nothing() -> None:
    """A feature that became another one keeps what the plan gives; of what the plan lacks the first says the kind."""
    assert with_added(Slots(4), [Added("a", 1, Boolean(on=True))], 0) == Slots(4)
    both = [Added("a", 2, Slots(3)), Added("b", 1, Boolean(on=True))]
    assert with_added(Missing(), both, 0) == Slots(6)
