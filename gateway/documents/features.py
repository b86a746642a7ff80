"""What a document says of a feature, by its kind; a ceiling of None is unlimited."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from billing_core.entitlements import (
    PRIORITY_DEFAULT,
    TTL_SECONDS_DEFAULT,
    Algorithm,
    Align,
    Window,
)

Units: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
Priority: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=255)]


class When(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether a feature may be used in these states of a subscription."""

    paused: bool = False
    suspended: bool = False
    past_due: bool = True


class Rate(msgspec.Struct, frozen=True, omit_defaults=True):
    """So many uses in a short window."""

    window: Window
    ceiling: Units | None = None
    algorithm: Algorithm = Algorithm.FIXED
    burst: Positive | None = None


class Rollover(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of a window's rest is kept, and for how many windows."""

    maximum: Positive
    minimum: Units = 0
    windows: Annotated[int, msgspec.Meta(ge=1, le=12)] = 1


class ByDimension(msgspec.Struct, frozen=True, omit_defaults=True):
    """Ceilings for values of a dimension, and one for all other values together."""

    dimension: str
    ceilings: dict[str, Units] = {}
    other: Units | None = None


class Boolean(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="boolean"):
    """A feature that is on or off."""

    on: bool
    upgrade_plans: tuple[str, ...] = ()


class Config(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="config"):
    """A feature that is a value."""

    value: msgspec.Raw


class Counted(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="counted"):
    """A feature whose use is counted; without a meter it is a rate, as documents wrote them before `rated`.

    Above the ceiling is allowed what `overage_cap` says, and anything where there is overage without it.
    """

    window: Window
    meter: str | None = None
    ceiling: Units | None = None
    overage: bool = False
    upgrade_plans: tuple[str, ...] = ()
    overage_cap: Positive | None = None
    align: Align = Align.CALENDAR
    priority: Priority = PRIORITY_DEFAULT
    rollover: Rollover | None = None
    rates: tuple[Rate, ...] = ()
    by: ByDimension | None = None


class Rated(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="rated"):
    """A feature that may be used so often: all of these hold at once."""

    rates: tuple[Rate, ...]
    upgrade_plans: tuple[str, ...] = ()


class Slots(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="slots"):
    """A feature that may be used so many times at once."""

    ceiling: Units | None = None
    ttl_ms: Positive = TTL_SECONDS_DEFAULT * 1000
    rates: tuple[Rate, ...] = ()
    upgrade_plans: tuple[str, ...] = ()


class Licences(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="licences"):
    """A feature that so many may use, who are not counted."""

    ceiling: Units | None = None
    per_subscription: bool = False
    """The ceiling is the subscription's own number."""
    upgrade_plans: tuple[str, ...] = ()


class NamedLicences(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="named_licences"):
    """A feature that so many may use, each counted once in a window, or while active; one of the two is given."""

    ceiling: Units | None = None
    per_subscription: bool = False
    window: Window | None = None
    active_ms: Positive | None = None
    upgrade_plans: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.window is None) == (self.active_ms is None):
            raise ValueError("named licences are counted in a window or while active; expected one of the two")


class Missing(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="missing"):
    """A feature of the product that this plan does not have; a meter where its use would be counted."""

    upgrade_plans: tuple[str, ...] = ()
    meter: str | None = None


Given: TypeAlias = Boolean | Config | Counted | Rated | Slots | Licences | NamedLicences
Feature: TypeAlias = Given | Missing
