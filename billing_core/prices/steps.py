"""How a charge comes about, as data: parts that add up, and what is done to their sum."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import assert_never

from billing_core.money import Quotient

ONE = Decimal(1)
PERCENT = Decimal(100)


@dataclass(frozen=True, slots=True)
class Units:
    """`quantity` ÷ `per` at `unit` each; tiers are counted from 1."""

    quantity: Decimal
    unit: Decimal
    per: Decimal = ONE
    tier: int | None = None


@dataclass(frozen=True, slots=True)
class Pieces:
    """So many things at `amount` each: started packages or blocks of `size` units, or events, which have no size."""

    count: Decimal
    amount: Decimal
    size: Decimal | None = None
    tier: int | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """`rate` percent of `quantity` ÷ `per`, which measure an amount of money."""

    quantity: Decimal
    rate: Decimal
    per: Decimal = ONE
    tier: int | None = None


@dataclass(frozen=True, slots=True)
class Flat:
    """An amount that no quantity changes."""

    amount: Decimal
    tier: int | None = None


Part = Units | Pieces | Share | Flat


@dataclass(frozen=True, slots=True)
class Converted:
    """A quantity in the meter's unit became one in the price's unit; nothing is charged by that."""

    measured: Decimal
    priced: Quotient


@dataclass(frozen=True, slots=True)
class Included:
    """So many units, in the price's unit, cost nothing."""

    quantity: Quotient


class Reason(Enum):
    """Why a sum was changed."""

    DISCOUNT = "discount"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    ROUNDING = "rounding"
    BILLED = "billed before"


@dataclass(frozen=True, slots=True)
class Changed:
    """What was added to the sum of the steps before, or with a minus taken from it."""

    reason: Reason
    by: Quotient


Step = Part | Converted | Included | Changed


def exact_amount(step: Step) -> Quotient:
    """Say what a step adds."""
    match step:
        case Units():
            return Quotient(step.quantity * step.unit, step.per)
        case Pieces():
            return Quotient(step.count * step.amount)
        case Share():
            return Quotient(step.quantity * step.rate, step.per * PERCENT)
        case Flat():
            return Quotient(step.amount)
        case Converted() | Included():
            return Quotient(Decimal(0))
        case Changed():
            return step.by
        case _:
            assert_never(step)


def exact_sum(steps: Iterable[Step]) -> Quotient:
    """Add up steps, exactly."""
    return sum((exact_amount(step) for step in steps), start=Quotient(Decimal(0)))
