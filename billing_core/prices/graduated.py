"""Graduated: each tier prices its own part of the quantity, per unit or as a percentage."""

from dataclasses import dataclass
from typing import ClassVar

from billing_core.money import Quotient
from billing_core.prices.steps import Flat, Part
from billing_core.prices.tiers import ZERO, PercentTier, PercentTiers, Tier, UnitTiers


@dataclass(frozen=True, slots=True)
class Graduated(UnitTiers):
    """Each tier's `unit` for every `per` units of its own part, and its `flat` once when the tier is reached."""

    model: ClassVar[str] = "graduated"


@dataclass(frozen=True, slots=True)
class GraduatedPercentage(PercentTiers):
    """Each tier's `rate` of its own part of a measured amount of money, and its `flat` once when it is reached."""

    model: ClassVar[str] = "graduated_percentage"


def charge(price: Graduated | GraduatedPercentage, quantity: Quotient) -> tuple[Part, ...]:
    """Add up the tiers reached; a tier is reached by the first quantity above the bound before it."""
    used, divisor = quantity.dividend, quantity.divisor
    tiers: tuple[Tier | PercentTier, ...] = price.tiers
    if not used:
        return (Flat(tiers[0].flat, 1),) if price.flat_at_zero else ()
    parts: list[Part] = []
    below = ZERO
    for number, tier in enumerate(tiers, 1):
        if used <= below:
            break
        above = used if tier.up_to is None else min(used, tier.up_to * divisor)
        parts.append(tier.part(above - below, divisor, price.per, number))
        if tier.flat:
            parts.append(Flat(tier.flat, number))
        below = above
    return tuple(parts)
