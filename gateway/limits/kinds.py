"""The kinds of compiled entitlements, with the names of the counters that they are counted on.

A limit is named by its feature, or its grant, and the kind of its window, never by a plan's version: what was used
stays used when the plan changes. A ceiling or a size of None is unlimited.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from billing_core.entitlements import Algorithm, Align, Window


@dataclass(frozen=True, slots=True)
class Switch:
    """A boolean feature: on or off."""

    on: bool
    upgrade_plans: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """A config feature: its value is handed out as JSON."""

    value: str


@dataclass(frozen=True, slots=True)
class Absent:
    """A feature of the product that the customer does not have."""

    upgrade_plans: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Suspended:
    """Nothing of it: the subscription is paused, suspended, or past due for longer than its grace."""


@dataclass(frozen=True, slots=True)
class TrialOver:
    """Nothing of it: the trial has ended."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many uses in a short window, on the counter `f/minute`, sliding `f~minute`, as a steady flow `f!minute`."""

    counter: str
    window: Window
    ceiling: int | None
    algorithm: Algorithm
    burst: int | None
    """How many may come at once; None unless they are a steady flow."""


@dataclass(frozen=True, slots=True)
class Rollover:
    """What is left of the allowance's windows: min(maximum, max(minimum, rest)) of each of the last `windows`."""

    counter: str
    """The allowance's."""
    windows: int
    maximum: int
    minimum: int

    def slots(self, ordinal: int) -> Iterator[tuple[str, int]]:
        """Give what may be left in the window of that number: counter `f:month>0` … and number, the oldest first."""
        for kept in range(ordinal - self.windows, ordinal):
            yield self.slot(kept), kept

    def slot(self, ordinal: int) -> str:
        """Name the counter of what is left of the window of that number."""
        return f"{self.counter}>{ordinal % self.windows}"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the plan gives in each window, on the counter `f:month`; what it left before burns right before it."""

    counter: str
    window: Window
    align: Align
    size: int | None
    priority: int
    rollover: Rollover | None = None


@dataclass(frozen=True, slots=True)
class AddOn:
    """What an add-on gives in each window, times its quantity, on the counter `f+more:month`."""

    counter: str
    name: str
    window: Window
    align: Align
    size: int
    priority: int


@dataclass(frozen=True, slots=True)
class Grant:
    """What was granted once, on the counter `f+<grant id>`, from `start_ms` to `end_ms`."""

    counter: str
    id: str
    size: int
    start_ms: int
    end_ms: int
    priority: int
    promotional: bool
    created_ms: int


Member: TypeAlias = Allowance | AddOn | Grant


@dataclass(frozen=True, slots=True)
class ByDimension:
    """Ceilings by a dimension's value, in the allowance's windows: `f:month:model=large`, others `f:month:model`."""

    dimension: str
    counter: str
    """That of all values without a ceiling of their own."""
    window: Window
    align: Align
    ceilings: Mapping[str, int]
    other: int | None

    def limit_of(self, value: str | None) -> tuple[str, int | None]:
        """Return the counter and the ceiling of a use with that value, or without any."""
        if value is not None and value in self.ceilings:
            return f"{self.counter}={value}", self.ceilings[value]
        return self.counter, self.other


@dataclass(frozen=True, slots=True)
class Metered:
    """A feature that is counted on a meter: its members burn in their order.

    What no member has left goes on the counter of `members[base]`, by at most `beyond`, or without a bound.
    """

    meter: str
    members: tuple[Member, ...]
    base: int
    beyond: int | None
    rates: tuple[Rate, ...]
    by: ByDimension | None
    upgrade_plans: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rated:
    """A feature that may be used so often; it has no meter."""

    rates: tuple[Rate, ...]
    upgrade_plans: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Slots:
    """A feature that may be used so many times at once, on the counter `f#`."""

    counter: str
    ceiling: int | None
    ttl_ms: int
    rates: tuple[Rate, ...]
    upgrade_plans: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Licences:
    """How many licences there are; none is counted."""

    ceiling: int | None
    upgrade_plans: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NamedLicences:
    """How many people may use it, each counted once in a window, or for so long after each use."""

    ceiling: int | None
    counted: Window | int
    """A window, or ms."""
    upgrade_plans: tuple[str, ...]


Entitlement: TypeAlias = (
    Switch | Setting | Metered | Rated | Slots | Licences | NamedLicences | Absent | Suspended | TrialOver
)
