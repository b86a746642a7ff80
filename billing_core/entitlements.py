"""What may be used: features by their type, and what a plan says about each: a switch, a setting or a limit."""

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from billing_core.errors import InvalidValueError
from billing_core.names import check_name, check_type, one_of
from billing_core.periods import Interval

CEILING_MAX = 2**53 - 1
"""Counters are doubles inside the store's scripts; above this they would lose units."""

THRESHOLD_PERCENT_MAX = 1000


@dataclass(frozen=True, slots=True)
class BooleanFeature:
    """A feature that a plan has or has not."""

    type: ClassVar[str] = "boolean"
    name: str

    def __post_init__(self) -> None:
        check_name("name", self.name)


@dataclass(frozen=True, slots=True)
class ConfigFeature:
    """A feature whose value the caller reads and obeys, such as a number of seats."""

    type: ClassVar[str] = "config"
    name: str

    def __post_init__(self) -> None:
        check_name("name", self.name)


@dataclass(frozen=True, slots=True)
class MeteredFeature:
    """A feature whose use is counted on a meter and may be priced."""

    type: ClassVar[str] = "metered"
    name: str
    meter: str

    def __post_init__(self) -> None:
        check_name("name", self.name)
        check_name("meter", self.meter)


@dataclass(frozen=True, slots=True)
class RateFeature:
    """A feature that may be used so often in a short window; it is counted, never priced."""

    type: ClassVar[str] = "rate"
    name: str

    def __post_init__(self) -> None:
        check_name("name", self.name)


Feature = BooleanFeature | ConfigFeature | MeteredFeature | RateFeature


class Window(Enum):
    """The time a limit holds for, before its count begins again."""

    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    BILLING_PERIOD = "billing_period"

    @property
    def interval(self) -> Interval | None:
        """The calendar interval of this name; None for the billing period, which only a subscription knows."""
        return None if self is Window.BILLING_PERIOD else Interval(self.value)


METERED_WINDOWS = (Window.MINUTE, Window.HOUR, Window.DAY, Window.WEEK, Window.MONTH, Window.BILLING_PERIOD)
RATE_WINDOWS = (Window.SECOND, Window.MINUTE, Window.HOUR, Window.DAY)


class Overage(Enum):
    """What happens above the ceiling.

    A soft ceiling changes who may use how much, and never what use costs: prices look at usage alone, as in OpenMeter.
    Autumn's spend limits are ceilings too.
    """

    DENY = "deny"
    ALLOW = "allow"


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


@dataclass(frozen=True, slots=True)
class Limit:
    """So much in a window; a ceiling of None is unlimited."""

    ceiling: int | None
    window: Window
    overage: Overage = Overage.DENY
    thresholds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "thresholds", tuple(self.thresholds))
        check_type("window", self.window, Window)
        check_type("overage", self.overage, Overage)
        if self.ceiling is not None and (type(self.ceiling) is not int or not 0 <= self.ceiling <= CEILING_MAX):
            rule = f"a whole number from 0 to {CEILING_MAX}, or unlimited"
            raise InvalidValueError("limit", self.ceiling, "is not a ceiling", rule)
        if self.ceiling is None and self.thresholds:
            rule = "no thresholds where the limit is unlimited"
            raise InvalidValueError("thresholds[0]", self.thresholds[0], "is a percentage of nothing", rule)
        below = 0
        for index, threshold in enumerate(self.thresholds):
            field = f"thresholds[{index}]"
            if type(threshold) is not int or not 1 <= threshold <= THRESHOLD_PERCENT_MAX:
                rule = f"a whole percentage of the limit, from 1 to {THRESHOLD_PERCENT_MAX}"
                raise InvalidValueError(field, threshold, "is not a threshold", rule)
            if threshold <= below:
                raise InvalidValueError(field, threshold, "does not rise", f"more than {below}")
            below = threshold


Entitlement = Switch | Setting | Limit


def check_fits(field: str, feature: Feature, entitlement: Entitlement) -> None:
    """Refuse an entitlement that is not what its feature's type takes."""
    match feature, entitlement:
        case (BooleanFeature(), Switch()) | (ConfigFeature(), Setting()):
            return
        case (MeteredFeature() | RateFeature(), Limit(window=window)):
            windows = METERED_WINDOWS if isinstance(feature, MeteredFeature) else RATE_WINDOWS
            if window not in windows:
                rule = one_of(window.value for window in windows)
                raise InvalidValueError(
                    f"{field}.window", window.value, f"does not suit a {feature.type} feature", rule
                )
        case _:
            rule = f"what a {feature.type} feature takes"
            raise InvalidValueError(field, entitlement, "does not fit the feature", rule)
