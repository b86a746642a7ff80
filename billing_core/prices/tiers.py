"""What a list of tiers must be, for the models that have one, and what one tier charges."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Protocol, TypeVar

from billing_core.errors import InvalidValueError
from billing_core.money import percentage, positive, price_amount
from billing_core.prices.steps import ONE, Pieces, Share, Units

ZERO = Decimal(0)


class Bounded(Protocol):
    """A tier, whatever it charges, holds quantities up to and including `up_to`; None has no upper bound.

    So 5.001 is in the tier above 5, as in OpenMeter and Stripe. Lago's tiers are ranges of whole units, 0 to 10 and
    then 11 to 20, between which 10.5 needs a rule of its own there.
    """

    @property
    def up_to(self) -> Decimal | None:
        """The bound in units of the meter, after conversion, and never in `per`s."""


T = TypeVar("T", bound=Bounded)


@dataclass(frozen=True, slots=True)
class Tier:
    """`unit` for every `per` units, or for every started block of `size` units, which `per` does not divide."""

    up_to: Decimal | None
    unit: Decimal = ZERO
    flat: Decimal = ZERO
    size: Decimal | None = None

    def __post_init__(self) -> None:
        check_bound(self)
        object.__setattr__(self, "unit", price_amount("unit", self.unit))
        object.__setattr__(self, "flat", price_amount("flat", self.flat))
        if self.size is not None:
            object.__setattr__(self, "size", positive("size", self.size))

    def part(self, quantity: Decimal, divisor: Decimal, per: Decimal, number: int) -> Units | Pieces:
        """Price quantity ÷ divisor units."""
        if self.size is None:
            return Units(quantity, self.unit, per * divisor, number)
        return Pieces(started(quantity, self.size * divisor), self.unit, self.size, number)


@dataclass(frozen=True, slots=True)
class PercentTier:
    """`rate` percent of a measured amount of money."""

    up_to: Decimal | None
    rate: Decimal = ZERO
    flat: Decimal = ZERO

    def __post_init__(self) -> None:
        check_bound(self)
        object.__setattr__(self, "rate", percentage("rate", self.rate))
        object.__setattr__(self, "flat", price_amount("flat", self.flat))

    def part(self, quantity: Decimal, divisor: Decimal, per: Decimal, number: int) -> Share:
        """Price quantity ÷ divisor of money."""
        assert per == ONE, "a share is of each unit of money"
        return Share(quantity, self.rate, divisor, number)


def check_bound(tier: Bounded) -> None:
    """Take the upper bound of a tier as an exact number, or None."""
    if tier.up_to is not None:
        object.__setattr__(tier, "up_to", positive("up_to", tier.up_to))


def checked_tiers(tiers: Iterable[T], kind: type[T]) -> tuple[T, ...]:
    """Take tiers that rise without a gap, of which the last and only the last has no upper bound."""
    checked = tuple(tiers)
    if not checked:
        raise InvalidValueError("tiers", 0, "tiers are given", "at least one, the last with up_to null")
    below = ZERO
    for index, tier in enumerate(checked):
        if type(tier) is not kind:
            raise InvalidValueError(f"tiers[{index}]", tier, "is not a tier", f"a {kind.__name__}")
        is_last = index == len(checked) - 1
        # 1. the last tier holds every quantity above the others; 2. only the last may; 3. bounds rise
        if is_last and tier.up_to is not None:
            raise InvalidValueError(f"tiers[{index}].up_to", tier.up_to, "ends the last tier", "null in the last tier")
        if not is_last and tier.up_to is None:
            raise InvalidValueError(f"tiers[{index}].up_to", None, "leaves nothing to the next tier", "an upper bound")
        if tier.up_to is not None and tier.up_to <= below:
            rule = f"more than {below}, where the tier before it ends"
            raise InvalidValueError(f"tiers[{index}].up_to", tier.up_to, "overlaps the tier before it", rule)
        below = tier.up_to or below
    return checked


@dataclass(frozen=True, slots=True)
class UnitTiers:
    """Tiers of a `unit` for every `per` units; whether the first one's `flat` is due without any usage."""

    tiers: tuple[Tier, ...]
    per: Decimal = ONE
    # OpenMeter and Lago charge the first tier's flat without any usage; systems that do not are written with False.
    flat_at_zero: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "tiers", checked_tiers(self.tiers, Tier))
        object.__setattr__(self, "per", positive("per", self.per))


@dataclass(frozen=True, slots=True)
class PercentTiers:
    """Tiers of a `rate` of a measured amount of money; whether the first one's `flat` is due without any."""

    per: ClassVar[Decimal] = ONE

    tiers: tuple[PercentTier, ...]
    flat_at_zero: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "tiers", checked_tiers(self.tiers, PercentTier))


def tier_of(tiers: tuple[T, ...], quantity: Decimal, divisor: Decimal) -> tuple[int, T]:
    """Find the tier that holds quantity ÷ divisor units, and its number from 1; zero lies in the first."""
    return next(
        (number, tier) for number, tier in enumerate(tiers, 1) if tier.up_to is None or quantity <= tier.up_to * divisor
    )


def started(quantity: Decimal, size: Decimal) -> Decimal:
    """Count things of a size, the last one in full however small a part of it was used."""
    full, rest = divmod(quantity, size)
    return full + 1 if rest else full
