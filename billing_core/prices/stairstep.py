"""Stairstep: the whole quantity costs the amount of the tier that holds it."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from billing_core.money import Quotient, price_amount
from billing_core.prices.steps import Flat, Part
from billing_core.prices.tiers import check_bound, checked_tiers, tier_of


@dataclass(frozen=True, slots=True)
class Stair:
    """One `amount` for every quantity up to and including `up_to`."""

    up_to: Decimal | None
    amount: Decimal

    def __post_init__(self) -> None:
        check_bound(self)
        object.__setattr__(self, "amount", price_amount("amount", self.amount))


@dataclass(frozen=True, slots=True)
class Stairstep:
    """The `amount` of the tier reached, for everything together."""

    model: ClassVar[str] = "stairstep"

    tiers: tuple[Stair, ...]
    # Nothing used reaches no tier; systems that charge the first one as a base fee are written with True.
    flat_at_zero: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "tiers", checked_tiers(self.tiers, Stair))


def charge(price: Stairstep, quantity: Quotient) -> tuple[Part, ...]:
    """Find the tier that holds the whole quantity."""
    number, tier = tier_of(price.tiers, quantity.dividend, quantity.divisor)
    return (Flat(tier.amount, number),) if quantity.dividend or price.flat_at_zero else ()
