"""Grants burn in one order, whether Redis counts them or an invoice does."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing_core.credits import Grant as CoreGrant
from billing_core.credits import in_burn_order
from billing_core.periods import moment_of
from gateway.limits import AddOn, Allowance, Grant
from tests.core.made_documents import DAY_MS, HOUR_MS, MARCH_ENDS_MS, NOW_MS, granted, resolved

LONG_AGO = moment_of(0)
WEEK_ENDS_MS = NOW_MS + 5 * DAY_MS + 12 * HOUR_MS

ends = st.sampled_from([None, NOW_MS + 1, WEEK_ENDS_MS, MARCH_ENDS_MS, MARCH_ENDS_MS + 1])
grants = st.builds(
    lambda grant, priority, expires_ms, kind, age_ms: granted(
        grant, priority=priority, expires_ms=expires_ms, kind=kind, created_ms=NOW_MS - DAY_MS - age_ms
    ),
    st.text("ab9", min_size=1, max_size=3),
    st.sampled_from([0, 100, 255]),
    ends,
    st.sampled_from(["top_up", "promotional"]),
    st.integers(0, 2),
)


def as_core(member: Allowance | AddOn | Grant) -> CoreGrant:
    """Say a member as the core says it: an allowance is paid for, expires with its window and is older than grants."""
    match member:
        case Allowance():
            return _paid(".", LONG_AGO, MARCH_ENDS_MS, member.priority)
        case AddOn():
            return _paid(member.name, LONG_AGO + timedelta(milliseconds=1), WEEK_ENDS_MS, member.priority)
        case Grant():
            return CoreGrant(
                id=member.id,
                amount=Decimal(member.size),
                effective_at=moment_of(member.start_ms),
                created_at=moment_of(member.created_ms),
                expires_at=None if member.end_ms == 2**53 - 1 else moment_of(member.end_ms),
                priority=member.priority,
                cost_basis=Decimal(0 if member.promotional else 1),
            )


def _paid(name: str, created: Any, end_ms: int, priority: int) -> CoreGrant:
    return CoreGrant(name, Decimal(1), LONG_AGO, created, moment_of(end_ms), priority=priority, cost_basis=Decimal(1))


@given(st.lists(grants, max_size=8, unique_by=lambda one: one["grant"]), st.booleans())
def test_both_orders_are_one(said: list[dict[str, Any]], with_add_on: bool) -> None:
    """Priority → expiry, none last → promotional first → age → id, with the plan's and an add-on's among them."""
    add_ons = {"more": 2} if with_add_on else {}
    members = resolved("calls", grants={"calls": said}, add_ons=add_ons).entitlement.members
    assert len(members) == 1 + len(said) + with_add_on
    core = [as_core(member) for member in members]
    assert tuple(core) == in_burn_order(reversed(core))
