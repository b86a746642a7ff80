"""What the document of a customer says: its plan, and what it has besides; moments are in ms since 1970."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import Annotated, Final, TypeAlias

import msgspec

from billing_core.entitlements import PRIORITY_DEFAULT
from gateway.documents.features import Given, Positive, Priority, Units  # noqa: TC001 - msgspec reads them at run time
from gateway.windows import ZONES_MAX, zone_named

BUCKET_MAX: Final = 63
QUANTITY_MAX: Final = 1_000_000
"""So many of an add-on a subscription may have."""

GRANTS_MAX: Final = 64
"""So many live grants of a feature a customer may have: each claim's script looks at all of them."""

ANCHOR_MS_MAX: Final = 200 * 365 * 86_400_000
"""No billing period is counted from a later day than one in 2169."""

CUSTOMER_PREFIX: Final = "doc:l:"

_Version: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
_Quantity: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=QUANTITY_MAX)]


def customer_document(customer: str) -> str:
    """``doc:l:<customer>``."""
    return CUSTOMER_PREFIX + customer


class Status(Enum):
    """How a subscription stands."""

    ACTIVE = "active"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    PAST_DUE = "past_due"


class GrantKind(Enum):
    """Whether somebody paid for a grant."""

    TOP_UP = "top_up"
    PROMOTIONAL = "promotional"


class Grant(msgspec.Struct, frozen=True, omit_defaults=True):
    """So many units of a feature, once, from a moment on, and until another where it has an end."""

    grant: str
    amount: Positive
    effective_ms: Units
    created_ms: Units
    expires_ms: Units | None = None
    kind: GrantKind = GrantKind.TOP_UP
    priority: Priority = PRIORITY_DEFAULT


class Override(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a customer has of a feature instead of what its plan gives, until a moment where it has an end."""

    entitlement: Given
    expires_ms: Units | None = None


class Particulars(msgspec.Struct, frozen=True, omit_defaults=True):
    """What few customers have: each by its feature, and add-ons by their name."""

    timezone: str = "UTC"
    status: Status = Status.ACTIVE
    since_ms: Units = 0
    """When the status began."""
    trial_ends_ms: Units | None = None
    licences: dict[str, Units] = {}
    add_ons: dict[str, _Quantity] = {}
    grants: dict[str, tuple[Grant, ...]] = {}
    overrides: dict[str, Override] = {}

    def __post_init__(self) -> None:
        zone_named(self.timezone)

    def shared(self) -> Particulars:
        """Return the one that all customers of the zone share who have nothing else: there may be a million of them."""
        of_zone = _of_zone(self.timezone)
        return of_zone if self == of_zone else self


@lru_cache(maxsize=ZONES_MAX)
def _of_zone(timezone: str) -> Particulars:
    return Particulars(timezone=timezone)


class CustomerDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who a customer is to the counters, and its plan; plan is empty without a subscription."""

    version: _Version
    customer: str
    root: str
    bucket: Annotated[int, msgspec.Meta(ge=0, le=BUCKET_MAX)]
    plan: str = ""
    plan_version: Annotated[int, msgspec.Meta(ge=0)] = 0
    anchor_ms: Annotated[int, msgspec.Meta(ge=0, le=ANCHOR_MS_MAX)] = 0
    """The moment from which billing periods are counted."""
    particulars: Particulars | None = None


_decoder: Final = msgspec.json.Decoder(CustomerDocument)


def decode_customer(document: str, found: bytes) -> CustomerDocument:
    """Read the document of that key. Raises ValueError, as msgspec's errors are, when it is none."""
    said = _decoder.decode(found)
    if document != customer_document(said.customer):
        raise ValueError(f"it is that of {said.customer}")
    return said
