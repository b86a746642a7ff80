"""What a plan says about a feature, by the feature's type: a switch, a setting, a limit, rates, slots or licences."""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from billing_core.entitlements.features import (
    BooleanFeature,
    ConcurrencyFeature,
    ConfigFeature,
    Feature,
    LicenceFeature,
    MeteredFeature,
    RateFeature,
)
from billing_core.entitlements.limits import Limit
from billing_core.entitlements.numbers import check_ceiling, check_whole
from billing_core.entitlements.rates import Rate, Rates, check_rates
from billing_core.entitlements.windows import LONG_WINDOWS, Window, check_window
from billing_core.errors import InvalidValueError
from billing_core.periods import DAYS_MAX

TTL_SECONDS_DEFAULT = 60
TTL_SECONDS_MAX = 86_400
ACTIVE_DAYS_MAX = DAYS_MAX
NAMED_WINDOWS = (*LONG_WINDOWS, Window.LIFETIME)


@dataclass(frozen=True, slots=True)
class Switch:
    """A boolean feature, on or off in this plan."""

    on: bool

    def __post_init__(self) -> None:
        if type(self.on) is not bool:
            raise InvalidValueError("on", self.on, "is neither", "True or False")


@dataclass(frozen=True, slots=True)
class Setting:
    """A config feature's value as JSON text, kept as text because nothing here looks into it."""

    json_text: str

    def __post_init__(self) -> None:
        if type(self.json_text) is not str or not self.json_text:
            raise InvalidValueError("json_text", self.json_text, "is no JSON", "a value as JSON text")
        if self.json_text == "null":
            raise InvalidValueError("value", None, "sets nothing", "a JSON value that is not null")


@dataclass(frozen=True, slots=True)
class Concurrency:
    """So many uses at once, each for as long as it is kept alive; None is unlimited. Its rates hold as well."""

    ceiling: int | None
    ttl_seconds: int = TTL_SECONDS_DEFAULT
    rates: tuple[Rate, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "rates", tuple(self.rates))
        check_ceiling("limit", self.ceiling)
        check_whole("ttl_seconds", self.ttl_seconds, 1, TTL_SECONDS_MAX, "is not a time to live")
        check_rates(self.rates)


class PerSubscription(Enum):
    """A number that is not the plan's: each subscription has its own."""

    PER_SUBSCRIPTION = "per_subscription"


LicenceCeiling: TypeAlias = int | PerSubscription | None


@dataclass(frozen=True, slots=True)
class Licences:
    """How many licences there are, None for as many as one likes; who uses them is not counted."""

    ceiling: LicenceCeiling

    def __post_init__(self) -> None:
        if not isinstance(self.ceiling, PerSubscription):
            check_ceiling("limit", self.ceiling)


@dataclass(frozen=True, slots=True)
class ActiveFor:
    """A person counts for so many days after each use."""

    days: int

    def __post_init__(self) -> None:
        check_whole("active_for_days", self.days, 1, ACTIVE_DAYS_MAX, "is not a number of days")


@dataclass(frozen=True, slots=True)
class NamedLicences:
    """How many people may use it: each counts once in a window, or while active."""

    ceiling: LicenceCeiling
    counted: Window | ActiveFor

    def __post_init__(self) -> None:
        if not isinstance(self.ceiling, PerSubscription):
            check_ceiling("limit", self.ceiling)
        if not isinstance(self.counted, ActiveFor):
            check_window("window", self.counted, NAMED_WINDOWS, "is too short for named licences")


Entitlement = Switch | Setting | Limit | Rates | Concurrency | Licences | NamedLicences


def check_fits(field: str, feature: Feature, entitlement: Entitlement) -> None:
    """Refuse an entitlement that is not what its feature's type takes."""
    match feature, entitlement:
        case (
            (BooleanFeature(), Switch())
            | (ConfigFeature(), Setting())
            | (MeteredFeature(), Limit())
            | (RateFeature(), Rates())
            | (ConcurrencyFeature(), Concurrency())
            | (LicenceFeature(), Licences() | NamedLicences())
        ):
            return
        case _:
            rule = f"what a {feature.type} feature takes"
            raise InvalidValueError(field, entitlement, "does not fit the feature", rule)
