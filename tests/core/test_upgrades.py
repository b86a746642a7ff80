"""Which plans give more of a feature, and which few of them a customer who is refused is told to move to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from billing_core.catalog import Plan
from billing_core.entitlements import (
    ActiveFor,
    Concurrency,
    Entitlement,
    Licences,
    Limit,
    NamedLicences,
    Overage,
    OverageCap,
    PerSubscription,
    Rate,
    Rates,
    Setting,
    Switch,
    Window,
)
from billing_core.periods import Interval
from gateway.upgrades import UPGRADES_MAX, Upgrades

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

ON, OFF, SMALL = Switch(on=True), Switch(on=False), Setting('"small"')
TEN, TWENTY, UNLIMITED = (Limit(ceiling, Window.MONTH) for ceiling in (10, 20, None))
TEN_AND_OVERAGE = Limit(10, Window.MONTH, Overage.ALLOW)
TWENTY_A_DAY = Limit(20, Window.DAY)
TEN_UP_TO_TWENTY = Limit(10, Window.MONTH, OverageCap(10))
FIVE_A_DAY_AND_OVERAGE = Limit(5, Window.DAY, Overage.ALLOW)
UNLIMITED_A_DAY = Limit(None, Window.DAY)

ENTITLEMENTS = st.one_of(
    st.none(),
    st.sampled_from([ON, OFF, SMALL, Setting('"large"')]),
    st.builds(
        Limit,
        st.none() | st.integers(0, 4),
        st.sampled_from([Window.MINUTE, Window.DAY]),
        st.sampled_from(Overage),
    ),
)


def per(*ceilings: int | None) -> Rates:
    """Make rates per second and, of a second number, per minute."""
    windows = (Window.SECOND, Window.MINUTE)
    return Rates(tuple(Rate(ceiling, window) for ceiling, window in zip(ceilings, windows, strict=False)))


def plans_giving(entitlements: Sequence[Entitlement | None]) -> list[Plan]:
    """Make plans `p0`, `p1`, … that give these of one feature."""
    return [
        Plan(f"p{place}", "Plan", Interval.MONTH, entitlements={} if given is None else {"feature": given})
        for place, given in enumerate(entitlements)
    ]


def upgrades(mine: Entitlement | None, *others: Entitlement | None, plan: str = "mine") -> tuple[str, ...]:
    """Tell who is named to a customer that has `mine`."""
    return Upgrades(plans_giving(others)).of(plan, "feature", mine)


def gives_more(theirs: Entitlement | None, mine: Entitlement | None) -> bool:
    """Compare two plans, as plainly as it can be said."""
    if isinstance(mine, Limit):
        if not isinstance(theirs, Limit) or mine.ceiling is None:
            return False
        if theirs.ceiling is None:
            return True
        if theirs.overage is not mine.overage:
            return theirs.overage is Overage.ALLOW
        return theirs.window is mine.window and theirs.ceiling > mine.ceiling
    if mine is None:
        return theirs is not None and theirs != OFF
    return mine == OFF and theirs == ON


def how_far(theirs: Entitlement | None, mine: Entitlement | None) -> tuple[int, ...]:
    """Order those that give more: what compares by how much more it is, what does not behind it."""
    if not isinstance(mine, Limit) or not isinstance(theirs, Limit):
        return ()
    if theirs.ceiling is None:
        return (2,)
    compares = theirs.window is mine.window
    return (theirs.overage is not mine.overage, not compares, theirs.ceiling if compares else 0)


@given(st.lists(ENTITLEMENTS, max_size=24), ENTITLEMENTS, st.integers(0, 30))
@example([TWENTY] * 7, TEN, 2)
@example([TEN_AND_OVERAGE] * 3 + [FIVE_A_DAY_AND_OVERAGE] * 3 + [UNLIMITED], TEN, 1)
def test_they_are_the_first_of_all_that_give_more(
    entitlements: list[Entitlement | None], mine: Entitlement | None, place: int
) -> None:
    """Comparing with every plan, sorting by how much more each gives and taking the first names the same ones."""
    others = {f"p{number}": entitlement for number, entitlement in enumerate(entitlements)}
    own = f"p{place}"
    more = [name for name, theirs in others.items() if name != own and gives_more(theirs, mine)]
    expected = sorted(more, key=lambda name: how_far(others[name], mine))[:UPGRADES_MAX]
    assert upgrades(mine, *entitlements, plan=own) == tuple(expected)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (None, ON),
        (OFF, ON),
        (None, SMALL),
        (None, TEN),
        (TEN, TWENTY),
        (TEN, UNLIMITED),
        (TEN, UNLIMITED_A_DAY),
        (TEN_AND_OVERAGE, UNLIMITED),
        (TWENTY, TEN_AND_OVERAGE),
        (TWENTY_A_DAY, TEN_AND_OVERAGE),
        (TEN, TEN_UP_TO_TWENTY),
        (TEN_UP_TO_TWENTY, TEN_AND_OVERAGE),
        (per(10), per(20)),
        (per(10, 100), per(10, 200)),
        (per(10, 100), per(None, 100)),
        (per(10), per(None)),
        (Concurrency(3), Concurrency(4)),
        (Concurrency(3), Concurrency(None)),
        (Licences(3), Licences(4)),
        (NamedLicences(3, Window.MONTH), NamedLicences(4, Window.MONTH)),
        (NamedLicences(3, ActiveFor(30)), NamedLicences(None, Window.MONTH)),
    ],
)
def test_more_is_more_in_one_direction(mine: Entitlement | None, theirs: Entitlement) -> None:
    """Moving there grants more of the feature, and moving back does not."""
    assert upgrades(mine, theirs) == ("p0",)
    assert upgrades(theirs, mine) == ()


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (None, OFF),
        (None, None),
        (ON, ON),
        (OFF, OFF),
        (SMALL, Setting('"large"')),
        (TEN, TEN),
        (TEN, TWENTY_A_DAY),
        (TEN_AND_OVERAGE, TEN_AND_OVERAGE),
        (TEN_AND_OVERAGE, FIVE_A_DAY_AND_OVERAGE),
        (UNLIMITED, UNLIMITED_A_DAY),
        (OFF, TEN),
        (TEN, ON),
        (TWENTY, TEN_UP_TO_TWENTY),
        (per(10, 100), per(20, 90)),
        (per(10), per(10, 200)),
        (Concurrency(3), Concurrency(3, 5)),
        (Licences(3), Licences(PerSubscription.PER_SUBSCRIPTION)),
        (NamedLicences(3, Window.MONTH), NamedLicences(4, ActiveFor(30))),
    ],
)
def test_what_does_not_compare_is_not_more(mine: Entitlement | None, theirs: Entitlement | None) -> None:
    """The same, other values or types, and ceilings of unlike windows send nobody anywhere."""
    assert upgrades(mine, theirs) == ()
    assert upgrades(theirs, mine) == ()


def test_the_next_step_up_comes_first() -> None:
    """Ceilings rise, what allows overage comes behind them, and what has no ceiling comes last."""
    offered = (UNLIMITED, FIVE_A_DAY_AND_OVERAGE, TEN_AND_OVERAGE, Limit(30, Window.MONTH), TWENTY)
    assert upgrades(TEN, *offered) == ("p4", "p3", "p2", "p1", "p0")


def test_a_switch_and_what_is_missing_follow_the_catalog() -> None:
    """Where nothing is nearer than anything else, the catalog's order is the merchant's."""
    assert upgrades(OFF, ON, OFF, ON) == ("p0", "p2")
    assert upgrades(None, UNLIMITED, TWENTY, OFF, TEN) == ("p0", "p1", "p3")


def test_a_choice_stays_small_and_leaves_out_where_one_is() -> None:
    """Of many only the first are named; an older version of a plan is not told of the newer one."""
    many = [Limit(20 + place, Window.MONTH) for place in range(100)]
    assert upgrades(TEN, *many, plan="p1") == ("p0", "p2", "p3", "p4", "p5")


@pytest.mark.parametrize("ladder", [lambda place: Limit(place, Window.MONTH), lambda _: TEN, lambda _: ON])
def test_ten_times_the_plans_are_ten_times_the_work(ladder: Callable[[int], Entitlement]) -> None:
    """Naming every plan's upgrades takes work in proportion to the plans: executed instructions are counted."""
    few, many = (_instructions([ladder(place) for place in range(count)]) for count in (100, 1000))
    assert many < 11 * few


def _instructions(entitlements: list[Entitlement]) -> int:
    """Count what the interpreter executes to name the upgrades of each plan."""
    plans, count = plans_giving(entitlements), 0

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., object]:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        known = Upgrades(plans)
        for plan in plans:
            known.of(plan.name, "feature", plan.entitlements["feature"])
    finally:
        sys.settrace(before)
    return count
