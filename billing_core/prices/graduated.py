"""Graduated: each tier prices its own part of the quantity."""

from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import ClassVar

from billing_core.money import EXACT, Quotient, positive
from billing_core.prices.tiers import Tier, checked_tiers


@dataclass(frozen=True, slots=True)
class Graduated:
    """Each tier's `unit` for every `per` units of its own part, and its `flat` once when the tier is reached."""

    model: ClassVar[str] = "graduated"

    tiers: tuple[Tier, ...]
    per: Decimal = Decimal(1)
    # OpenMeter and Lago charge the first tier's flat without any usage; systems that do not are written with False.
    flat_at_zero: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "tiers", checked_tiers(self.tiers))
        object.__setattr__(self, "per", positive("per", self.per))


def charge(price: Graduated, quantity: Decimal) -> Quotient:
    """Add up the tiers reached; a tier is reached by the first quantity above the bound before it."""
    with localcontext(EXACT):
        parts, flats = Decimal(0), Decimal(0)
        below = Decimal(0)
        for tier in price.tiers:
            if quantity <= below:
                break
            above = quantity if tier.up_to is None else min(quantity, tier.up_to)
            parts += (above - below) * tier.unit
            flats += tier.flat
            below = above
        if quantity == 0 and price.flat_at_zero:
            flats = price.tiers[0].flat
        return Quotient(parts + flats * price.per, price.per)
