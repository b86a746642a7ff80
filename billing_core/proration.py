"""How much of a period's amount is due for a part of it, and what a change in its midst credits and charges.

Three conventions are published and disagree; a plan says which is its own. By second, the default, counts the time
that passes (OpenMeter, Stripe). By day, the day on which a part begins counts whole, and the day on which it ends early
counts whole as well (inclusive: Lago, Flexprice) or not at all (exclusive: Kill Bill); days are those of the zone that
is handed in, and a part that ends at midnight ends with the day before.

A credit and a charge are two lines. Each is divided once and rounded once, to the currency's minor unit, and what
is due is the sum of the rounded lines: 10.97 - 5.48 is 5.49, although the exact difference would round to 5.48.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from itertools import pairwise
from typing import assert_never

from billing_core.errors import InvalidValueError
from billing_core.money import EXACT, Currency, Money, Quotient, RoundingPoint, exact_decimal, not_negative, rounded
from billing_core.names import check_type
from billing_core.periods import Interval, Period, calendar_period, days_later, in_zone
from billing_core.quantities import QUANTITY_DECIMALS_MAX, rounded_quantity


class ProrationBasis(Enum):
    """In what the parts of a period are counted."""

    SECOND = "second"
    DAY_INCLUSIVE = "day_inclusive"
    DAY_EXCLUSIVE = "day_exclusive"


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole, both in seconds or both in days; the division is left to whoever rounds."""

    part: Decimal
    whole: Decimal

    def __post_init__(self) -> None:
        object.__setattr__(self, "part", not_negative("part", self.part))
        object.__setattr__(self, "whole", exact_decimal("whole", self.whole))
        if not 0 < self.whole >= self.part:
            rule = f"at least {self.part}, above 0"
            raise InvalidValueError("whole", self.whole, "does not hold the part", rule)

    def of(self, amount: Decimal | Fraction) -> Fraction:
        """Take that part of an amount, exactly."""
        return Fraction(Fraction(amount) * Fraction(self.part), Fraction(self.whole))


WHOLE = Share(Decimal(1), Decimal(1))


@dataclass(frozen=True, slots=True)
class ProratedChange:
    """The two lines of a change in the midst of a period: a credit of at most zero, and a charge."""

    credit: Money
    charge: Money

    def __post_init__(self) -> None:
        assert self.credit.amount <= 0
        assert self.charge.amount >= 0

    @property
    def net(self) -> Money:
        """What is due, or given back: the sum of the rounded lines."""
        return self.credit + self.charge


def share(
    period: Period,
    start: datetime | None = None,
    end: datetime | None = None,
    basis: ProrationBasis = ProrationBasis.SECOND,
    zone: tzinfo = UTC,
) -> Share:
    """Measure the part from `start` to `end`: without a start what was used, without an end what is left.

    What lies outside the period does not count, so that a change after its end has a share of nothing.
    """
    check_type("basis", basis, ProrationBasis)
    first = period.start if start is None else max(in_zone("start", start, UTC), period.start)
    last = period.end if end is None else min(in_zone("end", end, UTC), period.end)
    if start is not None and end is not None and in_zone("end", end, UTC) < in_zone("start", start, UTC):
        raise InvalidValueError("end", end.isoformat(), "is before the start", f"{start.isoformat()} or later")
    whole = _count(period, period.start, period.end, basis, zone)
    return Share(_count(period, first, last, basis, zone) if first < last else Decimal(0), whole)


def prorate(amount: Decimal, part: Share) -> Quotient:
    """Take a share of a fee, a commitment or a minimum: multiplied, and not divided yet."""
    return Quotient(EXACT.multiply(exact_decimal("amount", amount), part.part), part.whole)


def prorated(amount: Decimal, part: Share, currency: Currency) -> Money:
    """Take a share of an amount as a line of its own, rounded as lines are."""
    return rounded(prorate(amount, part), currency, RoundingPoint.LINE)


def prorated_credits(granted: Decimal, part: Share, decimals: int = QUANTITY_DECIMALS_MAX) -> Decimal:
    """Take a share of a credit grant, which is a quantity and rounded as one."""
    return rounded_quantity(prorate(not_negative("granted", granted), part), decimals)


def change(
    old: Decimal, new: Decimal, left: Share, currency: Currency, credit_max: Decimal | None = None
) -> ProratedChange:
    """Replace one amount per period by another for what is left of it: an upgrade, a downgrade.

    `credit_max` is what was paid in advance and not given back yet: nobody is credited more than that.
    """
    used_up = prorated(not_negative("old", old), left, currency)
    if credit_max is not None:
        used_up = min(used_up, Money(not_negative("credit_max", credit_max), currency))
    return ProratedChange(-used_up, prorated(not_negative("new", new), left, currency))


def change_quantity(
    unit: Decimal,
    old_quantity: Decimal,
    new_quantity: Decimal,
    left: Share,
    currency: Currency,
    credit_max: Decimal | None = None,
) -> ProratedChange:
    """Pay for more or fewer of the same for what is left of the period."""
    unit = not_negative("unit", unit)
    old = EXACT.multiply(unit, not_negative("old_quantity", old_quantity))
    new = EXACT.multiply(unit, not_negative("new_quantity", new_quantity))
    return change(old, new, left, currency, credit_max)


def add(new: Decimal, left: Share, currency: Currency) -> ProratedChange:
    """Add an item for what is left of the period; there is nothing to credit."""
    return change(Decimal(0), new, left, currency)


def remove(old: Decimal, left: Share, currency: Currency, credit_max: Decimal | None = None) -> ProratedChange:
    """Remove an item, or cancel all of a subscription: credit what was paid in advance for what is left."""
    return change(old, Decimal(0), left, currency, credit_max)


def charge_after_trial(
    amount: Decimal,
    period: Period,
    started: datetime,
    days: int,
    currency: Currency,
    basis: ProrationBasis = ProrationBasis.SECOND,
    zone: tzinfo = UTC,
) -> Money:
    """Charge what a period has left after a trial of so many days; nothing where the trial outlasts the period."""
    return prorated(amount, share(period, days_later(started, days, zone), None, basis, zone), currency)


def split(
    amount: Decimal,
    period: Period,
    cuts: Sequence[datetime],
    currency: Currency,
    basis: ProrationBasis = ProrationBasis.SECOND,
    zone: tzinfo = UTC,
) -> tuple[Money, ...]:
    """Split a period's amount at moments that rise, into lines that add up to the whole of it, cent by cent.

    Each line is the difference of what is due up to its end and up to its start, both rounded; so no line is off by
    more than one minor unit, and the last one ends at the amount itself.
    """
    check_type("basis", basis, ProrationBasis)
    moments = [in_zone(f"cuts[{index}]", cut, UTC) for index, cut in enumerate(cuts)]
    for index, (before, after) in enumerate(pairwise((period.start, *moments, period.end))):
        if after <= before:
            rule = f"moments that rise inside {period.start.isoformat()} to {period.end.isoformat()}"
            raise InvalidValueError(f"cuts[{min(index, len(moments) - 1)}]", after.isoformat(), "does not rise", rule)
    due = [prorated(amount, share(period, None, cut, basis, zone), currency) for cut in (*moments, period.end)]
    return tuple(after - before for before, after in pairwise((Money(Decimal(0), currency), *due)))


def _count(period: Period, start: datetime, end: datetime, basis: ProrationBasis, zone: tzinfo) -> Decimal:
    match basis:
        case ProrationBasis.SECOND:
            return EXACT.scaleb(Decimal((end - start) // timedelta(microseconds=1)), -6)
        case ProrationBasis.DAY_INCLUSIVE | ProrationBasis.DAY_EXCLUSIVE:
            # A period that fits into one day is that day.
            whole = max((_date(period.end, zone) - _date(period.start, zone)).days, 1)
            days = (_date(end, zone) - _date(start, zone)).days
            ends_early = end < period.end and end > calendar_period(Interval.DAY, end, zone).start
            if basis is ProrationBasis.DAY_INCLUSIVE and ends_early:
                days += 1
            return Decimal(whole if (start, end) == (period.start, period.end) else min(days, whole))
        case _:
            assert_never(basis)


def _date(moment: datetime, zone: tzinfo) -> date:
    # The day's, not the moment's: where clocks go back over midnight they show yesterday's date once more.
    return in_zone("moment", calendar_period(Interval.DAY, moment, zone).start, zone).date()
