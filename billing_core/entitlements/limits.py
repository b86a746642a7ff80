"""How much may be used in a window: hard, soft or up to a bound; what is left may be kept, and parts limited apart."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from billing_core.credits import PRIORITY_MAX
from billing_core.entitlements.numbers import CEILING_MAX, check_ceiling, check_whole
from billing_core.entitlements.rates import Rate, check_rates
from billing_core.entitlements.windows import LONG_WINDOWS, METERED_WINDOWS, Align, Window, check_align, check_window
from billing_core.errors import InvalidValueError
from billing_core.names import check_name, check_type, one_of

THRESHOLD_PERCENT_MAX = 1000
PRIORITY_DEFAULT = 100
ROLLOVER_WINDOWS_MAX = 12
VALUES_MAX = 100
"""So many values of a dimension have a limit of their own; a plan's document holds them all."""

_VALUE = re.compile(r"[\x20-\x2b\x2d-\x7e]{1,64}")


class Overage(Enum):
    """What happens above the ceiling.

    A soft ceiling changes who may use how much, and never what use costs: prices look at usage alone, as in OpenMeter.
    Autumn's spend limits are ceilings too.
    """

    DENY = "deny"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True)
class OverageCap:
    """Use above the ceiling is allowed, by so many units."""

    units: int

    def __post_init__(self) -> None:
        check_whole("cap", self.units, 1, CEILING_MAX, "is no overage")


@dataclass(frozen=True, slots=True)
class Rollover:
    """What of a window's rest is kept, min(maximum, max(minimum, rest)), and for how many windows after it."""

    maximum: int
    minimum: int = 0
    windows: int = 1

    def __post_init__(self) -> None:
        check_whole("maximum", self.maximum, 1, CEILING_MAX, "keeps nothing")
        check_whole("minimum", self.minimum, 0, CEILING_MAX, "is not a number of units")
        if self.minimum > self.maximum:
            raise InvalidValueError("minimum", self.minimum, "is above the maximum", f"at most {self.maximum}")
        problem = "is not a number of windows"
        check_whole("expires_after", self.windows, 1, ROLLOVER_WINDOWS_MAX, problem)


@dataclass(frozen=True, slots=True)
class ByDimension:
    """Limits for values of a dimension, beside the limit and in its windows.

    All other values share one counter; None is unlimited.
    """

    dimension: str
    ceilings: Mapping[str, int]
    other: int | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "ceilings", MappingProxyType(dict(self.ceilings)))
        check_name("dimension", self.dimension)
        check_ceiling("other", self.other)
        if len(self.ceilings) > VALUES_MAX:
            raise InvalidValueError("limits", len(self.ceilings), "values have a limit", f"at most {VALUES_MAX}")
        for value, ceiling in self.ceilings.items():
            if type(value) is not str or not _VALUE.fullmatch(value):
                rule = "1 to 64 printable ASCII characters without a comma"
                raise InvalidValueError("limits", value, "is not a value of a dimension", rule)
            check_ceiling(f"limits.{value}", ceiling, unlimited=False)

    def __hash__(self) -> int:
        return hash((self.dimension, self.other, frozenset(self.ceilings.items())))


@dataclass(frozen=True, slots=True)
class Limit:
    """So much in a window; a ceiling of None is unlimited.

    Where there are grants beside it, the lower priority burns first. Its rates hold at the same time.
    """

    ceiling: int | None
    window: Window
    overage: Overage | OverageCap = Overage.DENY
    thresholds: tuple[int, ...] = ()
    align: Align = Align.CALENDAR
    priority: int = PRIORITY_DEFAULT
    rollover: Rollover | None = None
    rates: tuple[Rate, ...] = ()
    by: ByDimension | None = field(default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "thresholds", tuple(self.thresholds))
        object.__setattr__(self, "rates", tuple(self.rates))
        check_window("window", self.window, METERED_WINDOWS, "is no window of a limit")
        check_align(self.align, self.window)
        check_ceiling("limit", self.ceiling)
        rule = "a whole number from 0, which burns first,"
        check_whole("priority", self.priority, 0, PRIORITY_MAX, "is not a priority", rule)
        self._check_overage()
        self._check_thresholds()
        self._check_rollover()
        check_rates(self.rates)
        if self.by is not None:
            check_type("by", self.by, ByDimension)

    def _check_overage(self) -> None:
        if not isinstance(self.overage, OverageCap):
            check_type("overage", self.overage, Overage)
            return
        if self.ceiling is None:
            rule = "deny or allow where the limit is unlimited"
            raise InvalidValueError("overage.cap", self.overage.units, "is above nothing", rule)
        problem = "and the limit are more than a counter can hold"
        check_whole("overage.cap", self.overage.units, 1, CEILING_MAX - self.ceiling, problem)

    def _check_thresholds(self) -> None:
        if self.ceiling is None and self.thresholds:
            rule = "no thresholds where the limit is unlimited"
            raise InvalidValueError("thresholds[0]", self.thresholds[0], "is a percentage of nothing", rule)
        below = 0
        for index, threshold in enumerate(self.thresholds):
            place = f"thresholds[{index}]"
            rule = "a whole percentage of the limit,"
            check_whole(place, threshold, 1, THRESHOLD_PERCENT_MAX, "is not a threshold", rule)
            if threshold <= below:
                raise InvalidValueError(place, threshold, "does not rise", f"more than {below}")
            below = threshold

    def _check_rollover(self) -> None:
        if self.rollover is None:
            return
        check_type("rollover", self.rollover, Rollover)
        if self.ceiling is None:
            rule = "a limit that is a number"
            raise InvalidValueError("rollover", self.rollover.maximum, "is kept of no rest", rule)
        if self.overage is not Overage.DENY:
            shown = self.overage.value if isinstance(self.overage, Overage) else self.overage.units
            raise InvalidValueError("overage", shown, "does not go with a rollover", "deny")
        if self.window not in LONG_WINDOWS:
            rule = one_of(each.value for each in LONG_WINDOWS)
            raise InvalidValueError("window", self.window.value, "does not go with a rollover", rule)
