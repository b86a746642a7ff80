"""What follows from an entitlement and the counters' answer: pure, every case, and the laws between its numbers."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from billing_core.entitlements import Window
from gateway.decision import (
    QUANTITY_MAX,
    Absent,
    Claim,
    Decision,
    Limit,
    Reason,
    Setting,
    Switch,
    Tally,
    decide,
    decide_counted,
    degrade,
    identifier_violations,
    refuse,
)
from gateway.errors import InvalidRequestError, Violation
from gateway.v1 import entitlement_pb2

QUOTA = Limit("calls", Window.MONTH, 100, overage=False, upgrade_plans=("scale",))
RATE = Limit(None, Window.MINUTE, 100, overage=False, upgrade_plans=("scale",))
FREE = Limit("calls", Window.MONTH, None, overage=False, upgrade_plans=())
OVER = Limit("calls", Window.MONTH, 100, overage=True, upgrade_plans=("scale",))

names = st.text("abcXYZ019_.@-", min_size=1, max_size=64)
counts = st.integers(0, QUANTITY_MAX)
limits = st.builds(
    Limit,
    st.sampled_from(["calls", None]),
    st.sampled_from(Window),
    st.none() | counts,
    st.booleans(),
    st.just(("up",)),
)


def tally(used: int, *, admitted: bool, replayed: bool = False) -> Tally:
    """Make an answer of the counters, half a second before the window ends."""
    event_id = b"gw-1" if admitted else b""
    return Tally(admitted, used, now_ms=1500, window_end_ms=2000, event_id=event_id, replayed=replayed)


@pytest.mark.parametrize(
    ("entitlement", "expected"),
    [
        (Switch(True, ("up",)), Decision(True, Reason.OK, "OK.7", "basic")),
        (Switch(False, ("up",)), Decision(False, Reason.FEATURE_OFF, "FEATURE_OFF.7", "basic", upgrade_plans=("up",))),
        (Setting('{"a": [1]}'), Decision(True, Reason.OK, "OK.7", "basic", value='{"a": [1]}')),
        (
            Absent(("up", "top")),
            Decision(False, Reason.FEATURE_NOT_IN_PLAN, "FEATURE_NOT_IN_PLAN.7", "basic", upgrade_plans=("up", "top")),
        ),
    ],
)
def test_what_needs_no_counter(entitlement: Switch | Setting | Absent, expected: Decision) -> None:
    """A switch, a setting and what the plan lacks: decided whole, the id carries reason and document version."""
    assert decide(entitlement, "basic", 7) == expected


@pytest.mark.parametrize(
    ("limit", "quantity", "used", "admitted", "expected"),
    [
        (QUOTA, 1, 1, True, (Reason.OK, 100, 99, None, None)),
        (QUOTA, 1, 100, True, (Reason.OK, 100, 0, None, None)),
        (QUOTA, 1, 100, False, (Reason.QUOTA_EXCEEDED, 100, 0, 500, None)),
        (QUOTA, 100, 1, False, (Reason.QUOTA_EXCEEDED, 100, 99, 500, None)),
        (QUOTA, 101, 0, False, (Reason.REQUEST_EXCEEDS_LIMIT, 100, 100, None, None)),
        (QUOTA, 1, 120, False, (Reason.QUOTA_EXCEEDED, 100, 0, 500, None)),  # the plan was changed to a smaller one
        (RATE, 1, 100, False, (Reason.RATE_EXCEEDED, 100, 0, 500, None)),
        (RATE, 101, 0, False, (Reason.REQUEST_EXCEEDS_LIMIT, 100, 100, None, None)),
        (FREE, 5, 10**9, True, (Reason.OK, None, None, None, None)),
        (FREE, 5, QUANTITY_MAX, False, (Reason.QUOTA_EXCEEDED, None, None, 500, None)),
        (OVER, 5, 100, True, (Reason.OK, 100, 0, None, 0)),
        (OVER, 500, 507, True, (Reason.OK, 100, 0, None, 407)),
    ],
)
def test_what_the_counters_said(
    limit: Limit, quantity: int, used: int, admitted: bool, expected: tuple[Reason, int | None, ...]
) -> None:
    """Reason, limit, what is left, how long to wait and what lies above, for each kind of limit."""
    decision = decide_counted(limit, quantity, tally(used, admitted=admitted), "basic", 7)
    told = (decision.reason, decision.limit, decision.remaining, decision.retry_after_ms, decision.overage)
    assert told == expected
    assert (decision.allowed, decision.used, decision.resets_at_ms) == (admitted, used, 2000)
    assert decision.decision_id == ("gw-1" if admitted else f"{decision.reason.name}.7")
    assert decision.upgrade_plans == (() if admitted else limit.upgrade_plans)


@example(limit=QUOTA, quantity=1, used=100, admitted=False, now_ms=10**12 + 1)
@given(limit=limits, quantity=st.integers(1, QUANTITY_MAX), used=counts, admitted=st.booleans(), now_ms=counts)
def test_the_numbers_of_a_decision_agree(limit: Limit, quantity: int, used: int, admitted: bool, now_ms: int) -> None:
    """Never less than nothing is left or to be waited for; what is left and what lies above add up to the limit."""
    answer = Tally(admitted, used, now_ms, window_end_ms=10**12)
    decision = decide_counted(limit, quantity, answer, "basic", 7)
    assert decision.allowed == (decision.reason is Reason.OK) == admitted
    assert (decision.remaining is None) == (decision.limit is None) == (limit.ceiling is None)
    assert decision.remaining is None or decision.remaining == max(0, decision.limit - used) >= 0
    if decision.overage is not None:
        assert decision.overage >= 0
        assert decision.limit - decision.remaining + decision.overage == used
    assert decision.retry_after_ms is None or (decision.retry_after_ms >= 0 and not admitted)
    may_wait = decision.reason in {Reason.QUOTA_EXCEEDED, Reason.RATE_EXCEEDED}
    assert (decision.retry_after_ms is not None) == may_wait
    assert not decision.degraded


def test_a_replay_says_so_under_its_first_id() -> None:
    """What was counted before is allowed as it was, with the totals of now."""
    answer = tally(90, admitted=True, replayed=True)
    decision = decide_counted(QUOTA, 1, answer, "basic", 7)
    assert (decision.replayed, decision.decision_id, decision.used, decision.remaining) == (True, "gw-1", 90, 10)


def test_denials_without_a_counter() -> None:
    """An unknown customer has no plan; what was decided by policy says so."""
    unknown = Decision(False, Reason.CUSTOMER_UNKNOWN, "CUSTOMER_UNKNOWN.0")
    assert refuse(Reason.CUSTOMER_UNKNOWN) == unknown
    away = Decision(False, Reason.STORE_UNAVAILABLE, "STORE_UNAVAILABLE.7", "basic", degraded=True)
    assert degrade("basic", 7) == away


def test_reasons_have_the_numbers_of_the_public_api() -> None:
    """A reason is sent as its number, so name and number are the same on both sides."""
    assert all(entitlement_pb2.Reason.Value(reason.name) == reason for reason in Reason)


@given(
    customer=names,
    feature=names,
    quantity=st.integers(1, QUANTITY_MAX),
    key=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=255),
)
def test_a_claim_within_the_rules_is_taken_as_it_is(customer: str, feature: str, quantity: int, key: str) -> None:
    """Every id, quantity and key that the API promises to take is taken."""
    claim = Claim(customer, feature, quantity, idempotency_key=key)
    assert (claim.customer, claim.feature, claim.quantity, claim.idempotency_key) == (customer, feature, quantity, key)


@given(customer=st.text(max_size=70), quantity=st.integers(), key=st.text(st.characters(codec="utf-8"), max_size=300))
def test_a_claim_outside_the_rules_names_what_is_wrong(customer: str, quantity: int, key: str) -> None:
    """Exactly the fields that break a rule are named, each with what was expected and nothing unprintable."""
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@-")
    rules = {
        "customer": 1 <= len(customer) <= 64 and set(customer) <= allowed,
        "quantity": 1 <= quantity <= 2**53 - 1,
        "idempotency_key": len(key) <= 255 and all(" " <= letter <= "~" for letter in key),
    }
    broken = [field for field, holds in rules.items() if not holds]
    wrong: tuple[Violation, ...] = ()
    try:
        Claim(customer, "calls", quantity, idempotency_key=key)
    except InvalidRequestError as error:
        wrong = error.violations
    assert [one.field for one in wrong] == broken
    assert all("expected" in one.description and one.description.isascii() for one in wrong)
    assert all(one.description.isprintable() for one in wrong)


def test_an_ill_formed_id_is_shown_without_harm() -> None:
    """Up to 64 characters of it, none that a terminal or a log would obey."""
    for value, shown in (("{a}", "'{a}' is ill-formed"), ("y" * 65, f"'{'y' * 64}' is"), ("\u202e", "u202e' is")):
        (violation,) = identifier_violations("customer", value)
        assert shown in violation.description
        assert len(violation.description) < 200
