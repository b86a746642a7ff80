"""What a list of tiers must be, for the two models that have one."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from billing_core.errors import InvalidValueError
from billing_core.money import positive, price_amount


@dataclass(frozen=True, slots=True)
class Tier:
    """Quantities up to and including `up_to`, in units of the meter and never in `per`s; None has no upper bound."""

    up_to: Decimal | None
    unit: Decimal = Decimal(0)
    flat: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        if self.up_to is not None:
            object.__setattr__(self, "up_to", positive("up_to", self.up_to))
        object.__setattr__(self, "unit", price_amount("unit", self.unit))
        object.__setattr__(self, "flat", price_amount("flat", self.flat))


def checked_tiers(tiers: Iterable[Tier]) -> tuple[Tier, ...]:
    """Take tiers that rise without a gap, of which the last and only the last has no upper bound."""
    checked = tuple(tiers)
    if not checked:
        raise InvalidValueError("tiers", 0, "tiers are given", "at least one, the last with up_to null")
    below = Decimal(0)
    for index, tier in enumerate(checked):
        if type(tier) is not Tier:
            raise InvalidValueError(f"tiers[{index}]", tier, "is not a tier", "a Tier")
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
