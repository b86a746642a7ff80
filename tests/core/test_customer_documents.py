"""What a customer's document says of what is written down: what few have in one place, and nothing that is over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from billing_core.entitlements import MeteredFeature, RateFeature, Window
from billing_core.periods import milliseconds_of
from gateway.customer_documents import NOTHING, Besides, GrantRow, OverrideRow, customer_document_of
from gateway.documents import (
    Counted,
    CustomerDocument,
    Grant,
    GrantKind,
    Override,
    Particulars,
    Status,
    customer_document,
    decode_customer,
)

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
BEFORE, LATER = NOW - timedelta(days=2), NOW + timedelta(days=2)
FEATURES = {"calls": MeteredFeature("calls", "m"), "burst": RateFeature("burst")}


@dataclass(frozen=True)
class Row:
    """A customer as it is written down."""

    document_version: int = 5
    customer: str = "acme"
    root: str = "acme"
    bucket: int = 9


@dataclass(frozen=True)
class Subscribed:
    """A subscription as it is written down."""

    plan: str = "basic"
    plan_version: int = 2
    anchor: datetime = BEFORE


def made(besides: Besides) -> CustomerDocument:
    """Make acme's document."""
    return customer_document_of(Row(), Subscribed(), besides, FEATURES, NOW)


def grant(name: str, expires_at: datetime | None = None, voided_at: datetime | None = None) -> GrantRow:
    """Write a grant down."""
    return GrantRow(name, "calls", 10, "promotional", 7, BEFORE, expires_at, BEFORE, voided_at)


def test_most_customers_have_nothing_of_their_own() -> None:
    """Then their document is as it was before there was anything to have."""
    document = made(NOTHING)
    assert document == CustomerDocument(5, "acme", "acme", 9, "basic", 2, milliseconds_of(BEFORE))
    assert made(Besides(status_since=BEFORE)) == document
    assert customer_document_of(Row(), None, NOTHING, {}, NOW) == CustomerDocument(5, "acme", "acme", 9)


def test_everything_that_a_customer_may_have() -> None:
    """Each by its feature, moments in ms; an override is read from the catalog's notation."""
    besides = Besides(
        timezone="Europe/Berlin",
        status="past_due",
        status_since=BEFORE,
        trial_ends_at=LATER,
        grants=[grant("1"), grant("2", expires_at=LATER)],
        overrides=[OverrideRow("calls", "{limit: 7, window: lifetime}", LATER)],
        add_ons={"more": 3},
        licences={"seats": 12},
    )
    document = made(besides)
    before_ms, later_ms = milliseconds_of(BEFORE), milliseconds_of(LATER)
    assert document.particulars == Particulars(
        timezone="Europe/Berlin",
        status=Status.PAST_DUE,
        since_ms=before_ms,
        trial_ends_ms=later_ms,
        licences={"seats": 12},
        add_ons={"more": 3},
        grants={
            "calls": (
                Grant("1", 10, before_ms, before_ms, None, GrantKind.PROMOTIONAL, 7),
                Grant("2", 10, before_ms, before_ms, later_ms, GrantKind.PROMOTIONAL, 7),
            )
        },
        overrides={"calls": Override(Counted(Window.LIFETIME, "m", 7), later_ms)},
    )
    assert decode_customer(customer_document("acme"), msgspec.json.encode(document)) == document


@pytest.mark.parametrize(
    ("besides", "kept"),
    [
        (Besides(grants=[grant("1", voided_at=NOW)]), False),
        (Besides(grants=[grant("1", expires_at=NOW - timedelta(days=1))]), False),
        (Besides(grants=[grant("1", expires_at=NOW - timedelta(hours=23))]), True),
        (Besides(overrides=[OverrideRow("calls", "{limit: 7, window: day}", BEFORE)]), False),
        (Besides(overrides=[OverrideRow("gone", "true")]), False),
        (Besides(overrides=[OverrideRow("burst", "{limit: 7, window: day}")]), True),
    ],
)
def test_what_is_over_is_left_out(besides: Besides, kept: bool) -> None:
    """For a day after its end it stays, since gateways have clocks of their own; what was voided goes at once."""
    assert (made(besides).particulars is not None) is kept


def test_the_document_of_another_customer_is_refused() -> None:
    """Its key says whose it is to be."""
    with pytest.raises(ValueError, match="it is that of acme"):
        decode_customer(customer_document("other"), msgspec.json.encode(made(NOTHING)))
