"""Prepaid: blocks of units are bought ahead and paid whether used or not; what goes beyond has a price of its own."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from billing_core.errors import InvalidValueError
from billing_core.money import Quotient, not_negative, percentage, positive, price_amount
from billing_core.prices import by_quantity
from billing_core.prices.by_quantity import QuantityPrice
from billing_core.prices.steps import PERCENT, Part, Pieces, Units
from billing_core.prices.tiers import ZERO


@dataclass(frozen=True, slots=True)
class Prepaid:
    """`blocks` blocks of `block` units at `amount` each less `discount` percent, then `overage` for what is above them.

    The discount is the one for reserving ahead: it lowers the blocks and never the overage.
    """

    model: ClassVar[str] = "prepaid"

    block: Decimal
    blocks: Decimal
    amount: Decimal
    overage: QuantityPrice
    discount: Decimal = ZERO

    def __post_init__(self) -> None:
        object.__setattr__(self, "block", positive("block", self.block))
        object.__setattr__(self, "blocks", not_negative("blocks", self.blocks))
        if self.blocks % 1:
            raise InvalidValueError("blocks", self.blocks, "is not whole", "a whole number of blocks")
        object.__setattr__(self, "amount", price_amount("amount", self.amount))
        if not isinstance(self.overage, QuantityPrice):
            raise InvalidValueError("overage", self.overage, "is not a price of a quantity", "such as per_unit")
        object.__setattr__(self, "discount", percentage("discount", self.discount))
        if self.discount > PERCENT:
            raise InvalidValueError("discount", self.discount, "is more than everything", "at most 100 percent")


def charge(price: Prepaid, quantity: Quotient) -> tuple[Part, ...]:
    """Charge the blocks, used or not, and the overage as if it began at zero."""
    used, divisor = quantity.dividend, quantity.divisor
    reserved = price.block * price.blocks * divisor
    blocks = Pieces(price.blocks, price.amount * (PERCENT - price.discount) * Decimal("0.01"), price.block)
    covered = Units(min(used, reserved), ZERO, divisor)
    # an overage of nothing is none: not even its first tier's flat is due
    above = by_quantity.charge(price.overage, Quotient(used - reserved, divisor)) if used > reserved else ()
    return (blocks, *((covered,) if covered.quantity else ()), *above)
