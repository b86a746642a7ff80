"""What the uses of a meter come to, as its aggregation says: the quantities that a price is applied to."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from decimal import Decimal
from typing import assert_never

from billing_core.aggregation import (
    Aggregation,
    Average,
    Count,
    Latest,
    Max,
    Min,
    Percentile,
    ProratedSum,
    Sum,
    UniqueCount,
    UsageEvent,
    WeightedSum,
    WindowedMax,
    measure,
)
from billing_core.catalog import Meter
from billing_core.errors import InvalidValueError
from billing_core.money import not_negative
from billing_core.periods import Period
from billing_core.prices.measured import Usage, Use

_SUM = Sum()


def aggregation_of(meter: str, meters: Mapping[str, Meter]) -> Aggregation:
    """Say how a meter is aggregated; one that nobody described sums."""
    return meters[meter].aggregation if meter in meters else _SUM


def check_use(path: str, usage: Usage, aggregation: Aggregation) -> None:
    """Refuse a use that lacks what its meter goes by: a moment, a dimension; or that is negative and no change."""
    match aggregation:
        case Sum() | Count() | Average() | Max() | Min() | Percentile():
            by, goes_by_time, may_fall = None, False, False
        case UniqueCount():
            by, goes_by_time, may_fall = aggregation.by, False, False
        case Latest():
            by, goes_by_time, may_fall = None, True, False
        case WeightedSum() | ProratedSum():
            by, goes_by_time, may_fall = None, True, True
        case WindowedMax():
            by, goes_by_time, may_fall = aggregation.by, True, False
        case _:
            assert_never(aggregation)
    if not may_fall:
        not_negative(f"{path}.quantity", usage.quantity)
    if goes_by_time and usage.at is None:
        rule = f"a moment, because {usage.meter} is a {aggregation.name}"
        raise InvalidValueError(f"{path}.at", None, "says no time", rule)
    if by is not None and by not in usage.dimensions:
        rule = f"a value of {by}, because {usage.meter} is a {aggregation.name} by it"
        raise InvalidValueError(f"{path}.dimensions", None, f"says no {by}", rule)


def summed(uses: Iterable[Usage]) -> dict[str, Decimal]:
    """Measure all meters that sum, at once and in the exact context; one that was not used is missing."""
    sums: dict[str, Decimal] = {}
    for usage in uses:
        meter = usage.meter
        sums[meter] = sums[meter] + usage.quantity if meter in sums else usage.quantity
    return sums


def uses_of(meters: Iterable[str], uses: Iterable[Usage]) -> dict[str, list[Usage]]:
    """Gather the uses of some meters, for which their sum is not enough."""
    gathered: dict[str, list[Usage]] = {meter: [] for meter in meters}
    for usage in uses if gathered else ():
        if usage.meter in gathered:
            gathered[usage.meter].append(usage)
    return gathered


def quantities_of(
    meter: str, aggregation: Aggregation, uses: Sequence[Usage], period: Period, zone: tzinfo
) -> tuple[Decimal, ...]:
    """Measure a meter's uses, in the exact context: one quantity, or one of each window and group that was used."""
    match aggregation:
        case Sum():  # the two that nearly all meters have need no events of their own
            return (sum((usage.quantity for usage in uses), start=Decimal(0)),)
        case Count():
            return (Decimal(sum(usage.events for usage in uses)),)
        case _:
            events = (UsageEvent(usage.quantity, usage.at, usage.dimensions, usage.events) for usage in uses)
            found = measure(aggregation, events, period, zone) or (Decimal(0),)
    for quantity in found:
        if quantity < 0:  # more was taken away than was ever there
            rule = "uses that come to at least 0"
            raise InvalidValueError(f"meters.{meter}", quantity, f"is its {aggregation.name}, below nothing", rule)
    return found


def single_uses(aggregation: Aggregation, uses: Sequence[Usage]) -> tuple[Use, ...]:
    """Give each use the quantity that it adds to its meter, which sums or counts."""
    if isinstance(aggregation, Count):
        return tuple(Use(usage, Decimal(usage.events), Decimal(usage.events)) for usage in uses)
    return tuple(Use(usage, usage.quantity, usage.quantity) for usage in uses)
