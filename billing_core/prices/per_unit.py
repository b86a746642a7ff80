"""Per unit: every unit costs the same."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from billing_core.money import Quotient, positive, price_amount
from billing_core.prices.steps import ONE, Part, Units


@dataclass(frozen=True, slots=True)
class PerUnit:
    """`unit` for every `per` units, in proportion."""

    model: ClassVar[str] = "per_unit"

    unit: Decimal
    per: Decimal = ONE

    def __post_init__(self) -> None:
        object.__setattr__(self, "unit", price_amount("unit", self.unit))
        object.__setattr__(self, "per", positive("per", self.per))


def charge(price: PerUnit, quantity: Quotient) -> tuple[Part, ...]:
    """Price quantity ÷ per at `unit` each."""
    return (Units(quantity.dividend, price.unit, price.per * quantity.divisor),)
