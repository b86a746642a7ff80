"""Capacity: one amount for everything, by the highest tier that any of several meters reaches."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import ClassVar

from billing_core.errors import InvalidValueError
from billing_core.money import not_negative, price_amount
from billing_core.names import check_name
from billing_core.prices.measured import Measured
from billing_core.prices.steps import Flat, Part


@dataclass(frozen=True, slots=True)
class CapacityTier:
    """An `amount` for as much of each meter as its limit, included; a meter without one is unbounded."""

    limits: Mapping[str, Decimal]
    amount: Decimal

    def __post_init__(self) -> None:
        limits = {meter: not_negative(f"limits.{meter}", limit) for meter, limit in self.limits.items()}
        for meter in limits:
            check_name(f"limits.{meter}", meter)
        object.__setattr__(self, "limits", MappingProxyType(limits))
        object.__setattr__(self, "amount", price_amount("amount", self.amount))


@dataclass(frozen=True, slots=True)
class Capacity:
    """The `amount` of the highest tier reached; the last tier holds what is above all limits."""

    model: ClassVar[str] = "capacity"

    tiers: tuple[CapacityTier, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tiers", tuple(self.tiers))
        if not self.tiers or not any(tier.limits for tier in self.tiers if type(tier) is CapacityTier):
            raise InvalidValueError("tiers", 0, "limits are given", "at least one tier with a limit")
        for index, tier in enumerate(self.tiers):
            if type(tier) is not CapacityTier:
                raise InvalidValueError(f"tiers[{index}]", tier, "is not a tier", "a CapacityTier")
            for meter, limit in tier.limits.items():
                path = f"tiers[{index}].limits.{meter}"
                if index and meter not in self.tiers[index - 1].limits:
                    raise InvalidValueError(path, limit, "limits what is unbounded before", "no limit for this meter")
                if index and limit < self.tiers[index - 1].limits[meter]:
                    rule = f"at least {self.tiers[index - 1].limits[meter]}, the limit of the tier before it"
                    raise InvalidValueError(path, limit, "is below the tier before it", rule)

    @property
    def meters(self) -> tuple[str, ...]:
        """The meters it looks at: the first tier limits each of them."""
        return tuple(sorted(self.tiers[0].limits))


def charge(price: Capacity, measured: Measured) -> tuple[Part, ...]:
    """Find the lowest tier that holds every meter's quantity; without any use that is the first."""
    last = len(price.tiers)
    number = next((number for number, tier in enumerate(price.tiers, 1) if _holds(tier, measured)), last)
    return (Flat(price.tiers[number - 1].amount, number),)


def _holds(tier: CapacityTier, measured: Measured) -> bool:
    return all(measured.meters[meter] <= limit for meter, limit in tier.limits.items())
