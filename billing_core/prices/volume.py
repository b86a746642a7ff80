"""Volume: the tier that holds the whole quantity prices all of it, per unit or as a percentage."""

from dataclasses import dataclass
from typing import ClassVar

from billing_core.money import Quotient
from billing_core.prices.steps import Flat, Part
from billing_core.prices.tiers import PercentTier, PercentTiers, Tier, UnitTiers, tier_of


@dataclass(frozen=True, slots=True)
class Volume(UnitTiers):
    """The `unit` of the tier reached for every `per` units of the whole quantity, and that tier's `flat`."""

    model: ClassVar[str] = "volume"


@dataclass(frozen=True, slots=True)
class VolumePercentage(PercentTiers):
    """The `rate` of the tier reached, of the whole measured amount of money, and that tier's `flat`."""

    model: ClassVar[str] = "volume_percentage"


def charge(price: Volume | VolumePercentage, quantity: Quotient) -> tuple[Part, ...]:
    """Price the whole quantity by its tier; zero lies in the first."""
    used, divisor = quantity.dividend, quantity.divisor
    tiers: tuple[Tier | PercentTier, ...] = price.tiers
    number, tier = tier_of(tiers, used, divisor)
    flats = (Flat(tier.flat, number),) if tier.flat and (used or price.flat_at_zero) else ()
    return (tier.part(used, divisor, price.per, number), *flats)
