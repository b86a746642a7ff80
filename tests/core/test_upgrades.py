"""Which plans give more of a feature: what a customer who is refused is told to move to."""

from __future__ import annotations

import pytest

from billing_core.entitlements import Entitlement, Limit, Overage, Setting, Switch, Window
from gateway.publisher import gives_more

ON, OFF, SMALL = Switch(on=True), Switch(on=False), Setting('"small"')
TEN, TWENTY, UNLIMITED = (Limit(ceiling, Window.MONTH) for ceiling in (10, 20, None))
TEN_AND_OVERAGE = Limit(10, Window.MONTH, Overage.ALLOW)
TWENTY_A_DAY = Limit(20, Window.DAY)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (None, ON),
        (OFF, ON),
        (None, SMALL),
        (None, TEN),
        (TEN, TWENTY),
        (TEN, UNLIMITED),
        (TEN_AND_OVERAGE, UNLIMITED),
        (TWENTY, TEN_AND_OVERAGE),
        (TWENTY_A_DAY, TEN_AND_OVERAGE),
    ],
)
def test_more_is_more_in_one_direction(mine: Entitlement | None, theirs: Entitlement) -> None:
    """Moving there grants more of the feature, and moving back does not."""
    assert gives_more(theirs, mine)
    assert not gives_more(mine, theirs)


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
        (UNLIMITED, UNLIMITED),
    ],
)
def test_what_does_not_compare_is_not_more(mine: Entitlement | None, theirs: Entitlement | None) -> None:
    """The same, other values of a setting, and ceilings of unlike windows send nobody anywhere."""
    assert not gives_more(theirs, mine)
    assert not gives_more(mine, theirs)
