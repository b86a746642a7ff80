"""Volume: the tier that holds the whole quantity prices all of it, per unit or as a percentage."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from billing_core.money import Quotient, positive
from billing_core.prices.steps import ONE, Flat, Part
from billing_core.prices.tiers import PercentTier, Tier, checked_tiers, tier_of


@dataclass(frozen=True, slots=True)
class Volume:
    """The `unit` of the tier reached for every `per` units of the whole quantity, and that tier's `flat`."""

    model: ClassVar[str] = "volume"

    tiers: tuple[Tier, ...]
    per: Decimal = ONE
    # OpenMeter and Lago charge the first tier's flat without any usage; systems that do not are written with False.
    flat_at_zero: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "tiers", checked_tiers(self.tiers, Tier))
        object.__setattr__(self, "per", positive("per", self.per))


@dataclass(frozen=True, slots=True)
class VolumePercentage:
    """The `rate` of the tier reached, of the whole measured amount of money, and that tier's `flat`."""

    model: ClassVar[str] = "volume_percentage"

    tiers: tuple[PercentTier, ...]
    flat_at_zero: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "tiers", checked_tiers(self.tiers, PercentTier))


def charge(price: Volume | VolumePercentage, quantity: Quotient) -> tuple[Part, ...]:
    """Price the whole quantity by its tier; zero lies in the first."""
    used, divisor = quantity.dividend, quantity.divisor
    tiers: tuple[Tier | PercentTier, ...] = price.tiers
    per = price.per if isinstance(price, Volume) else ONE
    number, tier = tier_of(tiers, used, divisor)
    flats = (Flat(tier.flat, number),) if tier.flat and (used or price.flat_at_zero) else ()
    return (tier.part(used, divisor, per, number), *flats)
