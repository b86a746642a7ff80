"""What follows from an entitlement and the counters' answer: pure, every case, and the laws between its numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.decision import (
    QUANTITY_MAX,
    Claim,
    Decision,
    Reason,
    Uncounted,
    decide,
    degrade,
    identifier_violations,
    refuse,
)
from gateway.errors import InvalidRequestError, Violation
from gateway.limits import Absent, Licences, Setting, Suspended, Switch, TrialOver
from gateway.v1 import entitlement_pb2

names = st.text("abcXYZ019_.@-", min_size=1, max_size=64)


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
        (Licences(3, ("up",)), Decision(True, Reason.OK, "OK.7", "basic", limit=3)),
        (Licences(None, ()), Decision(True, Reason.OK, "OK.7", "basic")),
        (
            Licences(2, ("up",)),
            Decision(False, Reason.SEATS_EXCEEDED, "SEATS_EXCEEDED.7", "basic", limit=2, upgrade_plans=("up",)),
        ),
        (Suspended(), Decision(False, Reason.CUSTOMER_SUSPENDED, "CUSTOMER_SUSPENDED.7", "basic")),
        (TrialOver(), Decision(False, Reason.TRIAL_OVER, "TRIAL_OVER.7", "basic")),
    ],
)
def test_what_needs_no_counter(entitlement: Uncounted, expected: Decision) -> None:
    """Switches, settings, licences and what refuses everything: the id carries reason and document version."""
    assert decide(entitlement, "basic", 7, quantity=3) == expected


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
