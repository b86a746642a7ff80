"""What the document of a customer says: who it is, its plan, and what it has besides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from billing_core.periods import milliseconds_of
from gateway.catalog_file import parse_entitlement
from gateway.documents import CustomerDocument, Grant, GrantKind, Override, Particulars, Status, given_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from billing_core.entitlements import Feature
    from gateway.records import grants, terms

_ORDINARY: Final = Particulars()


def customer_document_of(said: terms.CustomerTerms, features: Mapping[str, Feature]) -> CustomerDocument:
    """Make a customer's document; `features` are those of its product, which overrides are read by.

    An override of what is no feature any more is left out.
    """
    who = (said.document_version, said.customer, said.root, said.bucket)
    subscription = said.subscription
    if subscription is None:
        return CustomerDocument(*who)
    particulars = _particulars(said, subscription, features)
    return CustomerDocument(
        *who,
        subscription.plan,
        subscription.plan_version,
        milliseconds_of(subscription.anchor),
        None if particulars == _ORDINARY else particulars,
    )


def _particulars(
    said: terms.CustomerTerms, subscription: terms.SubscriptionTerms, features: Mapping[str, Feature]
) -> Particulars:
    status = Status(subscription.status)
    granted: dict[str, tuple[Grant, ...]] = {}
    for grant in said.grants:
        granted[grant.feature] = (*granted.get(grant.feature, ()), _grant(grant))
    return Particulars(
        timezone=said.timezone,
        status=status,
        since_ms=0 if status is Status.ACTIVE else milliseconds_of(subscription.status_since),
        trial_ends_ms=_ms(subscription.trial_ends_at),
        licences=dict(subscription.licences),
        add_ons=dict(subscription.add_ons),
        grants=granted,
        overrides={
            one.feature: _override(one, features[one.feature]) for one in said.overrides if one.feature in features
        },
    )


def _grant(grant: grants.Grant) -> Grant:
    return Grant(
        str(grant.grant_id),
        grant.amount,
        milliseconds_of(grant.effective_at),
        milliseconds_of(grant.created_at),
        _ms(grant.expires_at),
        GrantKind(grant.kind),
        grant.priority,
    )


def _override(override: terms.Override, feature: Feature) -> Override:
    return Override(given_of(feature, parse_entitlement(override.entitlement, feature)), _ms(override.expires_at))


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else milliseconds_of(moment)
