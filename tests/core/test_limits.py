"""What a customer is entitled to at a moment: each rule of its resolution, and until when the answer holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_core.entitlements import Algorithm, Align, Window
from gateway.limits import (
    Absent,
    AddOn,
    Allowance,
    ByDimension,
    Entitlement,
    Grant,
    Licences,
    Metered,
    NamedLicences,
    Rate,
    Rated,
    Rollover,
    Setting,
    Slots,
    Suspended,
    Switch,
    TrialOver,
    entitlement_of,
)
from gateway.windows import FOREVER_MS, Calendar
from tests.core.made_documents import (
    DAY_MS,
    HOUR_MS,
    MARCH_ENDS_MS,
    NOW_MS,
    TIMELINE,
    customer,
    granted,
    offer,
    resolved,
)

FEATURES = ["beta", "models", "calls", "batch", "burst", "flow", "jobs", "seats", "people"]
ALLOWANCE = Allowance("calls:month", Window.MONTH, Align.CALENDAR, 1000, 100, Rollover("calls:month", 3, 500, 0))
PER_SECOND = Rate("calls/second", Window.SECOND, 10, Algorithm.FIXED, None)
SLIDING = Rate("burst~minute", Window.MINUTE, 60, Algorithm.SLIDING, None)
FLOW = Rate("burst!second", Window.SECOND, 5, Algorithm.GCRA, 5)


def added(feature: str, quantity: int = 3, plan: str = "basic", **said: Any) -> Entitlement:
    """Resolve a feature for a customer that has so many of the add-on."""
    return resolved(feature, plan, add_ons={"more": quantity}, **said).entitlement


@pytest.mark.parametrize(
    ("feature", "plan", "expected"),
    [
        ("beta", "basic", Switch(on=False, upgrade_plans=())),
        ("models", "basic", Setting('["small"]')),
        ("calls", "basic", Metered("calls", (ALLOWANCE,), 0, 0, (PER_SECOND,), None, ("top",))),
        (
            "batch",
            "top",
            Metered(
                "calls",
                (Allowance("batch:day", Window.DAY, Align.CALENDAR, 100, 100),),
                0,
                20,
                (),
                ByDimension("model", "batch:day:model", Window.DAY, Align.CALENDAR, {"large": 10}, None),
                (),
            ),
        ),
        ("batch", "basic", Absent(("top",))),
        ("burst", "basic", Rated((SLIDING, FLOW), ())),
        ("jobs", "basic", Slots("jobs#", 4, 30_000, (), ())),
        ("seats", "basic", Licences(0, ())),
        ("people", "basic", NamedLicences(5, 30 * DAY_MS, ())),
    ],
)
def test_every_kind_comes_out_of_the_catalog(feature: str, plan: str, expected: Entitlement) -> None:
    """From the catalog file over the document: what is counted, on which counters, and who gives more."""
    assert offer(feature, plan).plain == (expected, FOREVER_MS)


@pytest.mark.parametrize("feature", FEATURES)
def test_customers_with_nothing_of_their_own_share_the_plan_s(feature: str) -> None:
    """No customer costs a copy for what concerns another feature, its clocks or its trial."""
    of = offer(feature)
    assert entitlement_of(of, None, Calendar(), TIMELINE, NOW_MS) is of.plain
    own = customer(timezone="Asia/Tokyo", trial_ends_ms=NOW_MS + 5, licences={"x": 3}, grants={"x": [granted("g")]})
    found = entitlement_of(of, own, Calendar(), TIMELINE, NOW_MS)
    assert found.entitlement is of.plain.entitlement
    assert found.until_ms == NOW_MS + 5


def test_a_dimension_s_value_has_its_own_counter_or_shares_one() -> None:
    """Values that are not listed, and uses without any, are counted together: their number is bounded."""
    by = offer("batch", "top").plain.entitlement.by
    assert by.limit_of("large") == ("batch:day:model=large", 10)
    assert by.limit_of("small") == by.limit_of(None) == ("batch:day:model", None)


def test_what_was_left_is_found_by_its_window_s_number() -> None:
    """The last three windows' slots, the oldest first; each number keeps its slot."""
    kept = ALLOWANCE.rollover
    assert list(kept.slots(10)) == [("calls:month>1", 7), ("calls:month>2", 8), ("calls:month>0", 9)]
    assert kept.slot(10) == "calls:month>1"


@pytest.mark.parametrize(
    ("status", "allowed", "refused"),
    [
        ("active", FEATURES, []),
        ("paused", ["beta"], ["models", "calls"]),
        ("suspended", [], ["beta", "models", "calls"]),
        ("past_due", ["beta", "models"], ["calls"]),
    ],
)
def test_a_status_refuses_by_the_feature_s_policy(status: str, allowed: list[str], refused: list[str]) -> None:
    """Paused and suspended refuse unless the feature says otherwise; past due refuses only where it says so."""
    long_ago = NOW_MS - 30 * DAY_MS
    for feature in allowed:
        assert not isinstance(resolved(feature, status=status, since_ms=long_ago).entitlement, Suspended)
    for feature in refused:
        assert resolved(feature, status=status, since_ms=long_ago) == (Suspended(), FOREVER_MS)


def test_past_due_is_active_until_its_grace_ends() -> None:
    """For three days nothing is refused, and the answer holds so long; then what the policy says holds for good."""
    ends_ms = NOW_MS + 3 * DAY_MS
    for now_ms, expected in ((NOW_MS, ends_ms), (ends_ms - 1, ends_ms)):
        found = resolved("calls", now_ms=now_ms, status="past_due", since_ms=NOW_MS)
        assert (type(found.entitlement), found.until_ms) == (Metered, expected)
    assert resolved("calls", now_ms=ends_ms, status="past_due", since_ms=NOW_MS) == (Suspended(), FOREVER_MS)
    assert resolved("models", now_ms=ends_ms, status="past_due", since_ms=NOW_MS).until_ms == FOREVER_MS
    paused = resolved("calls", status="paused", since_ms=NOW_MS)
    assert paused == (Suspended(), FOREVER_MS)  # grace is for those who are late


@pytest.mark.parametrize("feature", FEATURES)
def test_a_trial_ends_by_itself(feature: str) -> None:
    """Until its end everything is as it is; from then on nothing is allowed, though nobody wrote a new document."""
    during = resolved(feature, trial_ends_ms=NOW_MS + 1)
    assert not isinstance(during.entitlement, TrialOver)
    assert during.until_ms == NOW_MS + 1
    assert resolved(feature, trial_ends_ms=NOW_MS) == (TrialOver(), FOREVER_MS)
    assert resolved(feature, trial_ends_ms=NOW_MS, status="suspended").entitlement == Suspended()


@pytest.mark.parametrize(
    ("feature", "given", "expected"),
    [
        ("beta", {"type": "boolean", "on": True}, Switch(on=True, upgrade_plans=())),
        ("models", {"type": "config", "value": 5}, Setting("5")),
        (
            "calls",
            {"type": "counted", "window": "lifetime", "meter": "calls", "ceiling": 7},
            Metered(
                "calls", (Allowance("calls:lifetime", Window.LIFETIME, Align.CALENDAR, 7, 100),), 0, 0, (), None, ()
            ),
        ),
        ("flow", {"type": "rated", "rates": []}, Rated((), ())),
        ("jobs", {"type": "slots"}, Slots("jobs#", None, 60_000, (), ())),
        ("seats", {"type": "licences", "ceiling": 2}, Licences(2, ())),
    ],
)
def test_an_override_stands_in_the_plan_s_place_until_it_expires(
    feature: str, given: dict[str, Any], expected: Entitlement
) -> None:
    """Also of a feature that the plan lacks; the answer holds until its end, and then the plan's is back."""
    for_good = {"overrides": {feature: {"entitlement": given}}}
    assert resolved(feature, **for_good) == (expected, FOREVER_MS)
    for_now = {"overrides": {feature: {"entitlement": given, "expires_ms": NOW_MS + 9}}}
    assert resolved(feature, **for_now) == (expected, NOW_MS + 9)
    over = resolved(feature, now_ms=NOW_MS + 9, **for_now)
    assert over.entitlement is not expected
    assert over == (offer(feature).plain.entitlement, FOREVER_MS)


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        ("beta", Switch(on=True, upgrade_plans=())),
        ("models", Setting('["small","large"]')),
        ("burst", Rated((Rate("burst~minute", Window.MINUTE, 120, Algorithm.SLIDING, None), FLOW), ())),
        ("flow", Rated((Rate("flow!second", Window.SECOND, 9, Algorithm.GCRA, 6),), ())),
        ("jobs", Slots("jobs#", 10, 30_000, (), ())),
        ("seats", Licences(30, ())),
        ("people", NamedLicences(8, 30 * DAY_MS, ())),
    ],
)
def test_an_add_on_gives_more_times_its_quantity(feature: str, expected: Entitlement) -> None:
    """Three of it: it switches on, its value holds, and numbers are added to the plan's, or to nothing."""
    assert added(feature) == expected


def test_a_licence_count_is_the_subscription_s_own() -> None:
    """Where the plan says so, the number is the subscription's, and add-ons come on top; elsewhere it says nothing."""
    assert resolved("seats", licences={"seats": 12}).entitlement == Licences(12, ())
    assert added("seats", licences={"seats": 12}) == Licences(42, ())
    assert resolved("people", licences={"people": 12}).entitlement == offer("people").plain.entitlement


def test_a_metered_add_on_has_a_counter_of_its_own() -> None:
    """A week's 3 × 100 beside the month's 1000, burnt first because it is lost first; its window ends the answer."""
    found = resolved("calls", add_ons={"more": 3})
    more = AddOn("calls+more:week", "more", Window.WEEK, Align.CALENDAR, 300, 100)
    assert found.entitlement.members == (more, ALLOWANCE)
    assert found.entitlement.base == 1
    assert (found.entitlement.rates, found.entitlement.beyond) == ((PER_SECOND,), 0)
    assert found.until_ms == NOW_MS + 5 * DAY_MS + 12 * HOUR_MS  # Sunday night


def test_what_the_plan_lacks_can_be_added_and_granted() -> None:
    """Then the last to burn is where nothing more goes."""
    more = AddOn("batch+more:hour", "more", Window.HOUR, Align.CALENDAR, 21, 20)
    assert added("batch") == Metered("calls", (more,), 0, 0, (), None, ("top",))
    both = added("batch", grants={"batch": [granted("g1")]})
    assert [member.counter for member in both.members] == ["batch+more:hour", "batch+g1"]
    assert (both.base, both.beyond) == (1, 0)


def test_what_is_unlimited_needs_no_more() -> None:
    """Grants stay untouched beside an allowance without a ceiling."""
    found = resolved("calls", "top", grants={"calls": [granted("g1")]}, add_ons={"more": 1})
    assert found.entitlement == offer("calls", "top").plain.entitlement


def test_a_grant_is_good_from_its_beginning_until_its_end() -> None:
    """Before and after, it is not there; each answer holds until the next beginning or end."""
    start_ms, end_ms = NOW_MS + DAY_MS, NOW_MS + 2 * DAY_MS
    said = {"grants": {"calls": [granted("g", effective_ms=start_ms, expires_ms=end_ms)]}}
    plain = offer("calls").plain.entitlement
    assert resolved("calls", **said) == (plain, start_ms)
    during = resolved("calls", now_ms=start_ms, **said)
    grant = Grant("calls+g", "g", 10, start_ms, end_ms, 100, promotional=False, created_ms=NOW_MS - DAY_MS)
    assert (during.entitlement.members, during.until_ms) == ((grant, ALLOWANCE), end_ms)
    assert resolved("calls", now_ms=end_ms, **said) == (plain, FOREVER_MS)


def test_the_plan_s_allowance_takes_its_turn() -> None:
    """By its priority, and among equals by when its window ends; what goes beyond stays on its counter."""
    before, after = granted("a", expires_ms=MARCH_ENDS_MS - 1), granted("b", expires_ms=MARCH_ENDS_MS + 1)
    last, first = granted("c"), granted("d", priority=99)
    found = resolved("calls", grants={"calls": [last, after, before, first]})
    members = found.entitlement.members
    assert [member.counter for member in members] == ["calls+d", "calls+a", "calls:month", "calls+b", "calls+c"]
    assert members[found.entitlement.base] == ALLOWANCE
    assert found.until_ms == MARCH_ENDS_MS - 1


@given(st.integers(1, 10**6), st.sampled_from(FEATURES))
def test_no_add_on_takes_anything_away(quantity: int, feature: str) -> None:
    """However many there are, numbers stay exact and no ceiling is lower than without."""
    before, after = offer(feature).plain.entitlement, added(feature, quantity)
    match before, after:
        case (Slots() | Licences() | NamedLicences(), _):
            assert before.ceiling <= after.ceiling <= FOREVER_MS
        case (Rated(), Rated()):
            for old, new in zip(before.rates, after.rates, strict=True):
                assert old.ceiling <= new.ceiling
        case (Metered(), Metered()):
            assert set(before.members) < set(after.members)
        case _:
            assert isinstance(after, Switch | Setting | Rated | Metered)
