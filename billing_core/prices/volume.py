"""Volume: the tier that holds the whole quantity prices all of it."""

from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import ClassVar

from billing_core.money import EXACT, Quotient, positive
from billing_core.prices.tiers import Tier, checked_tiers


@dataclass(frozen=True, slots=True)
class Volume:
    """The `unit` of the tier reached for every `per` units of the whole quantity, and that tier's `flat`."""

    model: ClassVar[str] = "volume"

    tiers: tuple[Tier, ...]
    per: Decimal = Decimal(1)
    # OpenMeter and Lago charge the first tier's flat without any usage; systems that do not are written with False.
    flat_at_zero: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "tiers", checked_tiers(self.tiers))
        object.__setattr__(self, "per", positive("per", self.per))


def charge(price: Volume, quantity: Decimal) -> Quotient:
    """Price the whole quantity by its tier; zero lies in the first."""
    with localcontext(EXACT):
        tier = next(tier for tier in price.tiers if tier.up_to is None or quantity <= tier.up_to)
        flat = tier.flat if quantity or price.flat_at_zero else Decimal(0)
        return Quotient(quantity * tier.unit + flat * price.per, price.per)
