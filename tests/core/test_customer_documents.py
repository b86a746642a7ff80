"""What a customer's document says of what is written down: what few have stands in one place."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from billing_core.entitlements import MeteredFeature, RateFeature, Window
from billing_core.periods import milliseconds_of
from gateway.customer_documents import customer_document_of
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
from gateway.records import grants, terms

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
BEFORE, LATER = NOW - timedelta(days=2), NOW + timedelta(days=2)
FEATURES = {"calls": MeteredFeature("calls", "m"), "burst": RateFeature("burst")}
SUBSCRIPTION = terms.SubscriptionTerms("basic", 2, BEFORE, BEFORE, None, terms.Status.ACTIVE, BEFORE)
ORDINARY = terms.CustomerTerms("acme", "acme", 9, 5, "UTC", SUBSCRIPTION, (), ())


def granted(number: int, expires_at: datetime | None = None) -> grants.Grant:
    """Write a grant down."""
    kind = grants.GrantKind.PROMOTIONAL
    return grants.Grant(number, "acme", "calls", 10, kind, 7, BEFORE, expires_at, BEFORE, None)


def test_most_customers_have_nothing_of_their_own() -> None:
    """Then their document is as it was before there was anything to have."""
    document = CustomerDocument(5, "acme", "acme", 9, "basic", 2, milliseconds_of(BEFORE))
    assert customer_document_of(ORDINARY, FEATURES) == document
    unsubscribed = replace(ORDINARY, subscription=None)
    assert customer_document_of(unsubscribed, {}) == CustomerDocument(5, "acme", "acme", 9)


def test_everything_that_a_customer_may_have() -> None:
    """Each by its feature, moments in ms; an override is read from the catalog's notation."""
    said = replace(
        ORDINARY,
        timezone="Europe/Berlin",
        subscription=replace(
            SUBSCRIPTION,
            trial_ends_at=LATER,
            status=terms.Status.PAST_DUE,
            status_since=BEFORE,
            add_ons={"more": 3},
            licences={"seats": 12},
        ),
        grants=(granted(1), granted(2, LATER)),
        overrides=(
            terms.Override("calls", "{limit: 7, window: lifetime}", LATER),
            terms.Override("gone", "true", None),
        ),
    )
    document = customer_document_of(said, FEATURES)
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


def test_both_sides_have_the_same_words() -> None:
    """What is written down and what a document says know the same kinds of grants and the same statuses."""
    assert [kind.value for kind in grants.GrantKind] == [kind.value for kind in GrantKind]
    assert [status.value for status in terms.Status] == [status.value for status in Status]


def test_the_document_of_another_customer_is_refused() -> None:
    """Its key says whose it is to be."""
    with pytest.raises(ValueError, match="it is that of acme"):
        decode_customer(customer_document("other"), msgspec.json.encode(customer_document_of(ORDINARY, {})))
