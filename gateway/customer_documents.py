"""What the document of a customer says: who it is, its plan, and what it has besides."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

from billing_core.periods import milliseconds_of
from gateway.catalog_file import parse_entitlement
from gateway.documents import CustomerDocument, Grant, GrantKind, Override, Particulars, Status, given_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from billing_core.entitlements import Feature

UTC_NAME: Final = "UTC"

_LONG: Final = timedelta(days=1)
"""What is over since then is over by every gateway's clock."""


class Identity(Protocol):
    """A customer as it is written down."""

    @property
    def document_version(self) -> int:
        """Rises with each change of what its document says."""

    @property
    def customer(self) -> str:
        """Its id."""

    @property
    def root(self) -> str:
        """The one whose bucket it shares."""

    @property
    def bucket(self) -> int:
        """Where its counters are."""


class OnPlan(Protocol):
    """A subscription as it is written down."""

    @property
    def plan(self) -> str:
        """Its plan."""

    @property
    def plan_version(self) -> int:
        """The version that was sold."""

    @property
    def anchor(self) -> datetime:
        """From when billing periods are counted."""


@dataclass(frozen=True, slots=True)
class GrantRow:
    """A grant as it is written down."""

    grant: str
    feature: str
    amount: int
    kind: str
    priority: int
    effective_at: datetime
    expires_at: datetime | None
    created_at: datetime
    voided_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OverrideRow:
    """An override as it is written down: the entitlement is in the catalog's notation."""

    feature: str
    entitlement: str
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Besides:
    """What a customer has besides its plan, as it is written down; most have nothing."""

    timezone: str = UTC_NAME
    status: str = Status.ACTIVE.value
    status_since: datetime | None = None
    trial_ends_at: datetime | None = None
    grants: Sequence[GrantRow] = ()
    overrides: Sequence[OverrideRow] = ()
    add_ons: Mapping[str, int] = field(default_factory=dict)
    licences: Mapping[str, int] = field(default_factory=dict)


NOTHING: Final = Besides()


def customer_document_of(
    row: Identity, subscription: OnPlan | None, besides: Besides, features: Mapping[str, Feature], now: datetime
) -> CustomerDocument:
    """Make a customer's document; `features` are those of its product, which overrides are read by.

    What is over is left out: grants that were voided or expired a while ago, overrides that did, and overrides of what
    is no feature any more.
    """
    if subscription is None:
        return CustomerDocument(row.document_version, row.customer, row.root, row.bucket)
    particulars = _particulars(besides, features, now)
    return CustomerDocument(
        row.document_version,
        row.customer,
        row.root,
        row.bucket,
        subscription.plan,
        subscription.plan_version,
        milliseconds_of(subscription.anchor),
        None if particulars == _ORDINARY else particulars,
    )


_ORDINARY: Final = Particulars()


def _particulars(besides: Besides, features: Mapping[str, Feature], now: datetime) -> Particulars:
    status = Status(besides.status)
    grants: dict[str, tuple[Grant, ...]] = {}
    for row in besides.grants:
        if row.voided_at is None and not _is_over(row.expires_at, now):
            grants[row.feature] = (*grants.get(row.feature, ()), _grant(row))
    overrides = {
        row.feature: _override(row, features[row.feature])
        for row in besides.overrides
        if row.feature in features and not _is_over(row.expires_at, now)
    }
    return Particulars(
        timezone=besides.timezone,
        status=status,
        since_ms=0 if status is Status.ACTIVE else _ms(besides.status_since) or 0,
        trial_ends_ms=_ms(besides.trial_ends_at),
        licences=dict(besides.licences),
        add_ons=dict(besides.add_ons),
        grants=grants,
        overrides=overrides,
    )


def _grant(row: GrantRow) -> Grant:
    return Grant(
        row.grant,
        row.amount,
        milliseconds_of(row.effective_at),
        milliseconds_of(row.created_at),
        _ms(row.expires_at),
        GrantKind(row.kind),
        row.priority,
    )


def _override(row: OverrideRow, feature: Feature) -> Override:
    return Override(given_of(feature, parse_entitlement(row.entitlement, feature)), _ms(row.expires_at))


def _is_over(end: datetime | None, now: datetime) -> bool:
    return end is not None and end + _LONG <= now


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else milliseconds_of(moment)
