"""Deductions: what coupons and granted money take off lines, how much of it off which line, and in which order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import assert_never

from billing_core.credits import Grant
from billing_core.errors import InvalidValueError
from billing_core.lines import InvoiceLine
from billing_core.money import (
    Currency,
    Money,
    Quotient,
    RoundingPoint,
    check_payable,
    positive,
    price_amount,
    rounded,
    total,
)
from billing_core.names import check_name

COUPONS_MAX = 50

_WEIGHT_DIVISOR_MAX = 10**30
"""Finer parts of a line weigh as much as a multiple of this part of a unit.

Where coupons overlap, what is left is a fraction with twice the digits after each of them; some twenty of them would
take hours. Shares by such weights are as exact, add up as well, and differ from the others by nothing that is money.
"""


@dataclass(frozen=True, slots=True)
class OnMeters:
    """A coupon for the lines of some meters."""

    meters: frozenset[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "meters", _names("meters", self.meters))


@dataclass(frozen=True, slots=True)
class OnPlans:
    """A coupon for the lines of some plans."""

    plans: frozenset[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "plans", _names("plans", self.plans))


@dataclass(frozen=True, slots=True)
class OnEverything:
    """A coupon for the whole invoice."""


Scope = OnMeters | OnPlans | OnEverything
EVERYTHING = OnEverything()


@dataclass(frozen=True, slots=True)
class PercentOff:
    """A share of what is left of the lines, rounded to what can be paid."""

    percent: Decimal

    def __post_init__(self) -> None:
        object.__setattr__(self, "percent", price_amount("percent", self.percent))
        if not 0 < self.percent <= 100:  # noqa: PLR2004 - a percentage
            raise InvalidValueError("percent", self.percent, "is no discount", "more than 0 and at most 100")


@dataclass(frozen=True, slots=True)
class AmountOff:
    """A fixed amount."""

    amount: Money

    def __post_init__(self) -> None:
        check_payable("amount", self.amount)
        positive("amount", self.amount.amount)


@dataclass(frozen=True, slots=True)
class UnitsOff:
    """So many units, at the average price that the lines of the meters have left."""

    units: Decimal

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", positive("units", self.units))


Value = PercentOff | AmountOff | UnitsOff


@dataclass(frozen=True, slots=True)
class Coupon:
    """What it takes off, and off which lines."""

    id: str
    value: Value
    scope: Scope = EVERYTHING

    def __post_init__(self) -> None:
        check_name("id", self.id)
        if not isinstance(self.value, Value):
            raise InvalidValueError(
                "value", self.value, "is nothing to take off", "a PercentOff, AmountOff or UnitsOff"
            )
        if not isinstance(self.scope, Scope):
            raise InvalidValueError("scope", self.scope, "is not a scope", "an OnMeters, OnPlans or OnEverything")
        if isinstance(self.value, UnitsOff) and not isinstance(self.scope, OnMeters):
            raise InvalidValueError("scope", self.scope, "has no units to take off", "an OnMeters")

    def covers(self, line: InvoiceLine) -> bool:
        """Whether the coupon may take something off the line."""
        match self.scope:
            case OnMeters(meters):
                return line.meter in meters
            case OnPlans(plans):
                return line.plan in plans
            case OnEverything():
                return True
            case _:
                assert_never(self.scope)


def in_coupon_order(coupons: Iterable[Coupon]) -> tuple[Coupon, ...]:
    """Sort: limited to meters → limited to plans → unlimited; of one kind in the order given, as Lago does.

    What fits few lines is used before what fits many could take those lines away from it.
    """
    kinds: tuple[type[Scope], ...] = (OnMeters, OnPlans, OnEverything)
    return tuple(sorted(coupons, key=lambda coupon: kinds.index(type(coupon.scope))))


class DeductionKind(Enum):
    """What took something off."""

    PROGRESSIVE = "progressive"
    COUPON = "coupon"
    CREDIT = "credit"


@dataclass(frozen=True, slots=True)
class Deduction:
    """What was asked for, what was taken, and exactly how much of it off each line.

    What is taken can be paid, so that an invoice adds up; shares are exact, so that tax sees no rounding.
    """

    kind: DeductionKind
    name: str
    asked: Money
    amount: Money
    shares: tuple[Fraction, ...]

    def __post_init__(self) -> None:
        assert self.amount <= self.asked
        assert sum(self.shares, Fraction(0)) == Fraction(self.amount.amount)
        assert all(share >= 0 for share in self.shares)


class Remainder:
    """What is left of each line, exactly, while deductions are made one after the other."""

    def __init__(self, lines: Sequence[InvoiceLine], currency: Currency) -> None:
        self.currency = currency
        self.lines = tuple(lines)
        self.left = [Fraction(total([line.amount], currency).amount) for line in lines]

    def deduct(self, kind: DeductionKind, name: str, asked: Money, covered: Sequence[bool]) -> Deduction:
        """Take an amount off the lines that are covered, in proportion to what is left of each.

        Nothing is taken off what is credited already, no line falls below zero, and neither do all lines together.
        """
        open_parts = [max(left, Fraction(0)) * is_covered for left, is_covered in zip(self.left, covered, strict=True)]
        together = sum(open_parts, Fraction(0))
        available = max(min(together, sum(self.left, Fraction(0))), Fraction(0))
        amount = min(asked, rounded(Quotient.of(available), self.currency, RoundingPoint.DEDUCTION))
        weights = [_weight(part) for part in open_parts]
        weight = sum(weights, Fraction(0))
        if Fraction(amount.amount) > weight:  # as when all of it is taken: then no part may be lost
            weights, weight = open_parts, together
        share = Fraction(Fraction(amount.amount), weight) if weight else Fraction(0)
        shares = tuple(part * share for part in weights)
        self.left = [left - taken for left, taken in zip(self.left, shares, strict=True)]
        return Deduction(kind, name, asked, amount, shares)

    def redeem(self, coupon: Coupon) -> Deduction:
        """Take off what a coupon is worth."""
        covered = [coupon.covers(line) for line in self.lines]
        exact = self._worth(coupon.value, covered)
        asked = rounded(Quotient.of(exact), self.currency, RoundingPoint.LINE)
        return self.deduct(DeductionKind.COUPON, coupon.id, asked, covered)

    def burn(self, grant: Grant) -> Deduction:
        """Take off what is left of a promotional grant of money."""
        covered = [grant.covers(line.meter) for line in self.lines]
        asked = rounded(Quotient(grant.amount), self.currency, RoundingPoint.DEDUCTION)
        return self.deduct(DeductionKind.CREDIT, grant.id, asked, covered)

    def _worth(self, value: Value, covered: Sequence[bool]) -> Fraction:
        each = zip(self.lines, self.left, covered, strict=True)
        open_lines = [(line, left) for line, left, is_covered in each if is_covered and left > 0]
        together = sum((left for _, left in open_lines), Fraction(0))
        match value:
            case PercentOff(percent):
                return Fraction(together * Fraction(percent), 100)
            case AmountOff(amount):
                return Fraction(total([amount], self.currency).amount)
            case UnitsOff(units):
                used = sum((Fraction(line.quantity) for line, _ in open_lines), Fraction(0))
                return Fraction(together * min(Fraction(units), used), used) if used else Fraction(0)
            case _:
                assert_never(value)


def _weight(part: Fraction) -> Fraction:
    if part.denominator <= _WEIGHT_DIVISOR_MAX:
        return part
    return Fraction(part * _WEIGHT_DIVISOR_MAX // 1, _WEIGHT_DIVISOR_MAX)


def _names(field: str, names: Iterable[str]) -> frozenset[str]:
    checked = frozenset(names)
    for name in sorted(checked, key=str):
        check_name(field, name)
    if not checked:
        raise InvalidValueError(field, 0, f"{field} are named", "at least one")
    return checked
