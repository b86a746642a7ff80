"""What seats and named licences count: at least a minimum, as long as they were held, and each person once.

Seats are a number that somebody sets; named licences are people who were seen. Seats in arrears are seats over time:
their number is weighed by how long it held. Seats in advance are paid by the period, and a change in its midst is a
credit and a charge for what is left of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, localcontext
from itertools import pairwise

from billing_core.aggregation import UniqueCount, UsageEvent, measure
from billing_core.errors import InvalidValueError
from billing_core.money import EXACT, Currency, Money, Quotient, RoundingPoint, not_negative, price_amount, rounded
from billing_core.names import check_text
from billing_core.periods import Period, in_zone
from billing_core.proration import ProratedChange, ProrationBasis, Share, change_quantity, share

NO_MINIMUM = Decimal(0)


@dataclass(frozen=True, slots=True)
class Seats:
    """So many seats from a moment on."""

    at: datetime
    seats: Decimal

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", in_zone("at", self.at, UTC))
        object.__setattr__(self, "seats", not_negative("seats", self.seats))


@dataclass(frozen=True, slots=True)
class SeatFee:
    """What seats cost in arrears: `unit` for one held all of a period, at no moment fewer than the minimum."""

    name: str
    unit: Decimal
    levels: tuple[Seats, ...] = ()
    minimum: Decimal = NO_MINIMUM

    def __post_init__(self) -> None:
        check_text("name", self.name)
        object.__setattr__(self, "unit", price_amount("unit", self.unit))
        object.__setattr__(self, "levels", _in_order(self.levels))
        object.__setattr__(self, "minimum", not_negative("minimum", self.minimum))


def seats_held(
    fee: SeatFee,
    period: Period,
    active: Period | None = None,
    basis: ProrationBasis | None = ProrationBasis.SECOND,
    zone: tzinfo = UTC,
) -> Quotient:
    """Count the seats to pay: weighed over the part in which the plan ran, and that part weighed in the period.

    Without a basis nothing is weighed, and the most seats that there were at once are paid in full.
    """
    ran = active or period
    if basis is None:
        return Quotient(max(fee.minimum, *(level.seats for level in _levels_in(ran, fee.levels))))
    held, part = (
        seats_over_time(ran, fee.levels, fee.minimum, basis, zone),
        share(period, ran.start, ran.end, basis, zone),
    )
    with localcontext(EXACT):
        weight, whole = held.dividend * part.part, held.divisor * part.whole
        seats, rest = divmod(weight, whole)
    return Quotient(weight, whole) if rest else Quotient(seats)


def seats_over_time(
    period: Period,
    levels: Iterable[Seats],
    minimum: Decimal = NO_MINIMUM,
    basis: ProrationBasis = ProrationBasis.SECOND,
    zone: tzinfo = UTC,
) -> Quotient:
    """Weigh the seats of a period by how long they were held, at no moment fewer than the minimum.

    The level before the period is the last one set before it; without one, there were none. By day, the seats that a
    day ends with are that day's: the day on which seats are added or given back counts for the new number only.
    """
    minimum = not_negative("minimum", minimum)
    held = _levels_in(period, levels)
    with localcontext(EXACT):
        whole = share(period, None, None, basis, zone).whole
        left = [share(period, level.at, None, basis, zone).part for level in held]
        stretches = [
            (level, start - end) for level, (start, end) in zip(held, pairwise([*left, Decimal(0)]), strict=True)
        ]
        weight = sum((max(level.seats, minimum) * length for level, length in stretches), start=Decimal(0))
    return Quotient(weight, whole)


def charge_seats(
    unit: Decimal,
    period: Period,
    levels: Iterable[Seats],
    currency: Currency,
    minimum: Decimal = NO_MINIMUM,
    basis: ProrationBasis = ProrationBasis.SECOND,
    zone: tzinfo = UTC,
) -> Money:
    """Charge a period's seats in arrears at `unit` for a seat held all of it: one line, divided and rounded once."""
    held = seats_over_time(period, levels, minimum, basis, zone)
    exact = Quotient(EXACT.multiply(not_negative("unit", unit), held.dividend), held.divisor)
    return rounded(exact, currency, RoundingPoint.LINE)


def change_seats(
    unit: Decimal,
    old_seats: Decimal,
    new_seats: Decimal,
    left: Share,
    currency: Currency,
    minimum: Decimal = NO_MINIMUM,
    credit_max: Decimal | None = None,
) -> ProratedChange:
    """Credit and charge a change of seats that are paid in advance; below the minimum nothing changes."""
    minimum = not_negative("minimum", minimum)
    old = max(not_negative("old_seats", old_seats), minimum)
    new = max(not_negative("new_seats", new_seats), minimum)
    return change_quantity(unit, old, new, left, currency, credit_max)


def named_licences(events: Iterable[UsageEvent], period: Period, by: str, minimum: Decimal = NO_MINIMUM) -> Decimal:
    """Count whom the period's events name in the dimension `by`, each once and in full, however late."""
    return max(measure(UniqueCount(by), events, period)[0], not_negative("minimum", minimum))


def _levels_in(period: Period, levels: Iterable[Seats]) -> Sequence[Seats]:
    """Put the levels of a period in order, the first at its start."""
    ordered = _in_order(levels)
    already = [level.seats for level in ordered if level.at <= period.start]
    inside = [level for level in ordered if period.start < level.at < period.end]
    return [Seats(period.start, already[-1] if already else Decimal(0)), *inside]


def _in_order(levels: Iterable[Seats]) -> tuple[Seats, ...]:
    """Order levels by time, and refuse two at one moment."""
    ordered = tuple(sorted(levels, key=lambda level: level.at))
    for before, after in pairwise(ordered):
        if before.at == after.at:
            rule = "one number of seats at a time"
            raise InvalidValueError("levels", after.at.isoformat(), "has two numbers of seats", rule)
    return ordered
