"""Graduated: each tier prices its own part of the quantity, per unit or as a percentage."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from billing_core.money import Quotient, positive
from billing_core.prices.steps import ONE, Flat, Part
from billing_core.prices.tiers import ZERO, PercentTier, Tier, checked_tiers


@dataclass(frozen=True, slots=True)
class Graduated:
    """Each tier's `unit` for every `per` units of its own part, and its `flat` once when the tier is reached."""

    model: ClassVar[str] = "graduated"

    tiers: tuple[Tier, ...]
    per: Decimal = ONE
    # OpenMeter and Lago charge the first tier's flat without any usage; systems that do not are written with False.
    flat_at_zero: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "tiers", checked_tiers(self.tiers, Tier))
        object.__setattr__(self, "per", positive("per", self.per))


@dataclass(frozen=True, slots=True)
class GraduatedPercentage:
    """Each tier's `rate` of its own part of a measured amount of money, and its `flat` once when it is reached."""

    model: ClassVar[str] = "graduated_percentage"

    tiers: tuple[PercentTier, ...]
    flat_at_zero: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "tiers", checked_tiers(self.tiers, PercentTier))


def charge(price: Graduated | GraduatedPercentage, quantity: Quotient) -> tuple[Part, ...]:
    """Add up the tiers reached; a tier is reached by the first quantity above the bound before it."""
    used, divisor = quantity.dividend, quantity.divisor
    tiers: tuple[Tier | PercentTier, ...] = price.tiers
    per = price.per if isinstance(price, Graduated) else ONE
    if not used:
        return (Flat(tiers[0].flat, 1),) if price.flat_at_zero else ()
    parts: list[Part] = []
    below = ZERO
    for number, tier in enumerate(tiers, 1):
        if used <= below:
            break
        above = used if tier.up_to is None else min(used, tier.up_to * divisor)
        parts.append(tier.part(above - below, divisor, per, number))
        if tier.flat:
            parts.append(Flat(tier.flat, number))
        below = above
    return tuple(parts)
