"""Package: units come in packages, and every started package is paid in full."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from billing_core.money import Quotient, not_negative, positive, price_amount
from billing_core.prices.steps import Part, Pieces, Units
from billing_core.prices.tiers import ZERO, started


@dataclass(frozen=True, slots=True)
class Package:
    """`amount` for every started package of `size` units, once the `free` units are used.

    A package starts with its first unit, as in Lago and OpenMeter. Flexprice can also be told to charge full ones only:
    that is written as a conversion that divides by the size and rounds down, with a price per unit.
    """

    model: ClassVar[str] = "package"

    size: Decimal
    amount: Decimal
    free: Decimal = ZERO

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", positive("size", self.size))
        object.__setattr__(self, "amount", price_amount("amount", self.amount))
        object.__setattr__(self, "free", not_negative("free", self.free))


def charge(price: Package, quantity: Quotient) -> tuple[Part, ...]:
    """Count a package from its first unit after the free ones, however small a part of it was used."""
    used, divisor = quantity.dividend, quantity.divisor
    free = min(used, price.free * divisor)
    packages = Pieces(started(used - free, price.size * divisor), price.amount, price.size)
    return (Units(free, ZERO, divisor), packages) if free else (packages,)
