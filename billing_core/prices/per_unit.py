"""Per unit: every unit costs the same."""

from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import ClassVar

from billing_core.money import EXACT, Quotient, positive, price_amount


@dataclass(frozen=True, slots=True)
class PerUnit:
    """`unit` for every `per` units, in proportion."""

    model: ClassVar[str] = "per_unit"

    unit: Decimal
    per: Decimal = Decimal(1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "unit", price_amount("unit", self.unit))
        object.__setattr__(self, "per", positive("per", self.per))


def charge(price: PerUnit, quantity: Decimal) -> Quotient:
    """Price quantity ÷ per at `unit` each, multiplied first."""
    with localcontext(EXACT):
        return Quotient(quantity * price.unit, price.per)
