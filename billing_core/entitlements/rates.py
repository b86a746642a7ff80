"""How often something may be used in a short time: windows, sliding windows, and a steady flow with bursts."""

from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from billing_core.entitlements.numbers import CEILING_MAX, check_ceiling, check_whole
from billing_core.entitlements.windows import RATE_WINDOWS, Window, check_window
from billing_core.errors import InvalidValueError
from billing_core.names import check_type

RATES_MAX = 8

_MS = {Window.SECOND: 1_000, Window.MINUTE: 60_000, Window.HOUR: 3_600_000, Window.DAY: 86_400_000}


class Algorithm(Enum):
    """How the uses of a time are counted."""

    FIXED = "fixed"
    """In windows that begin anew."""
    SLIDING = "sliding"
    """In a window that ends now: the part of the window before that still lies in it counts as if spread evenly."""
    GCRA = "gcra"
    """As a steady flow, which a burst may run ahead of."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many uses in a short window; a ceiling of None is unlimited.

    Without a burst, a steady flow may run ahead by all of its ceiling.
    """

    ceiling: int | None
    window: Window
    algorithm: Algorithm = Algorithm.FIXED
    burst: int | None = None

    def __post_init__(self) -> None:
        check_window("window", self.window, RATE_WINDOWS, "is too long for a rate")
        check_type("algorithm", self.algorithm, Algorithm)
        check_ceiling("limit", self.ceiling, unlimited=self.algorithm is Algorithm.FIXED)
        most = ceiling_max(self.algorithm, self.window)
        match self.algorithm:
            case Algorithm.SLIDING:
                problem = f"cannot be counted exactly over a sliding {self.window.value}"
                check_whole("limit", self.ceiling, 0, most, problem)
            case Algorithm.GCRA:
                problem = f"is no steady flow per {self.window.value}, in microseconds"
                check_whole("limit", self.ceiling, 1, most, problem)
                field = "limit" if self.burst is None else "burst"
                problem = f"cannot be counted exactly as a burst per {self.window.value}"
                check_whole(field, self.burst_or_ceiling, 1, burst_max(self.window), problem)
            case Algorithm.FIXED:
                pass
        if self.burst is not None and self.algorithm is not Algorithm.GCRA:
            raise InvalidValueError(
                "burst", self.burst, f"says nothing where the algorithm is {self.algorithm.value}", "gcra, or no burst"
            )

    @property
    def burst_or_ceiling(self) -> int | None:
        """How many uses may come at once."""
        return self.ceiling if self.burst is None else self.burst


def ceiling_max(algorithm: Algorithm, window: Window) -> int:
    """Return the highest ceiling that is counted exactly, in doubles.

    A sliding window multiplies uses by milliseconds; a steady flow has at most one use in a microsecond.
    """
    match algorithm:
        case Algorithm.FIXED:
            return CEILING_MAX
        case Algorithm.SLIDING:
            return CEILING_MAX // _MS[window]
        case Algorithm.GCRA:
            return _MS[window] * 1000
        case _:
            assert_never(algorithm)


def burst_max(window: Window) -> int:
    """Return how many uses of a steady flow may come at once: they are multiplied by microseconds, exactly."""
    return CEILING_MAX // (_MS[window] * 1000)


@dataclass(frozen=True, slots=True)
class Rates:
    """What a rate feature gives: all of these hold at once."""

    rates: tuple[Rate, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "rates", tuple(self.rates))
        if not self.rates:
            raise InvalidValueError("rates", 0, "rates are given", "at least one")
        check_rates(self.rates)


def check_rates(rates: tuple[Rate, ...]) -> None:
    """Refuse too many rates, and two that one counter would have to count."""
    if len(rates) > RATES_MAX:
        raise InvalidValueError("rates", len(rates), "rates are given", f"at most {RATES_MAX}")
    seen: set[tuple[Algorithm, Window]] = set()
    for index, rate in enumerate(rates):
        check_type(f"rates[{index}]", rate, Rate)
        kind = (rate.algorithm, rate.window)
        if kind in seen:
            rule = f"one {rate.algorithm.value} rate per {rate.window.value}"
            raise InvalidValueError(f"rates[{index}].window", rate.window.value, "is limited already", rule)
        seen.add(kind)
