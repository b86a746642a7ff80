"""How a charge comes about, as data: parts that add up, and what is done to their sum."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import ClassVar

from billing_core.money import Quotient

ONE = Decimal(1)
PERCENT = Decimal(100)
NOTHING = Quotient(Decimal(0))


@dataclass(frozen=True, slots=True)
class Units:
    """`quantity` ÷ `per` at `unit` each; tiers are counted from 1."""

    quantity: Decimal
    unit: Decimal
    per: Decimal = ONE
    tier: int | None = None

    @property
    def dividend(self) -> Decimal:
        """The money, before it is divided."""
        return self.quantity * self.unit

    @property
    def divisor(self) -> Decimal:
        """What it is divided by."""
        return self.per


@dataclass(frozen=True, slots=True)
class Pieces:
    """So many things at `amount` each: started packages or blocks of `size` units, or events, which have no size."""

    divisor: ClassVar[Decimal] = ONE

    count: Decimal
    amount: Decimal
    size: Decimal | None = None
    tier: int | None = None

    @property
    def dividend(self) -> Decimal:
        """The money."""
        return self.count * self.amount


@dataclass(frozen=True, slots=True)
class Share:
    """`rate` percent of `quantity` ÷ `per`, which measure an amount of money."""

    quantity: Decimal
    rate: Decimal
    per: Decimal = ONE
    tier: int | None = None

    @property
    def dividend(self) -> Decimal:
        """The money, before it is divided."""
        return self.quantity * self.rate

    @property
    def divisor(self) -> Decimal:
        """What it is divided by."""
        return self.per * PERCENT


@dataclass(frozen=True, slots=True)
class Flat:
    """An amount that no quantity changes."""

    divisor: ClassVar[Decimal] = ONE

    amount: Decimal
    tier: int | None = None

    @property
    def dividend(self) -> Decimal:
        """The money."""
        return self.amount


Part = Units | Pieces | Share | Flat


@dataclass(frozen=True, slots=True)
class Converted:
    """A quantity in the meter's unit became one in the price's unit; nothing is charged by that."""

    dividend: ClassVar[Decimal] = Decimal(0)
    divisor: ClassVar[Decimal] = ONE

    measured: Decimal
    priced: Quotient


@dataclass(frozen=True, slots=True)
class Included:
    """So many units, in the price's unit, cost nothing."""

    dividend: ClassVar[Decimal] = Decimal(0)
    divisor: ClassVar[Decimal] = ONE

    quantity: Quotient


class Reason(Enum):
    """Why a sum was changed."""

    DISCOUNT = "discount"
    PRORATION = "proration"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    ROUNDING = "rounding"
    BILLED = "billed before"
    CHARGED = "charged"
    LEFT = "left"
    CONTAINED = "contained"


@dataclass(frozen=True, slots=True)
class Changed:
    """What was added to the sum of the steps before, or with a minus taken from it."""

    reason: Reason
    by: Quotient

    @property
    def dividend(self) -> Decimal:
        """The money, before it is divided."""
        return self.by.dividend

    @property
    def divisor(self) -> Decimal:
        """What it is divided by."""
        return self.by.divisor


Step = Part | Converted | Included | Changed
"""Each step is a quotient of money, and a derivation is a sum of them."""


def exact_sum(steps: Iterable[Step]) -> Quotient:
    """Add up steps in the exact context; they nearly always share a divisor, and then nothing is multiplied out."""
    dividend, divisor = NOTHING.dividend, ONE
    for step in steps:
        if step.divisor == divisor:
            dividend += step.dividend
        else:
            dividend = dividend * step.divisor + step.dividend * divisor
            divisor *= step.divisor
    return Quotient(dividend, divisor)
