"""Package: units come in packages, and every started package is paid in full."""

from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import ClassVar

from billing_core.money import EXACT, Quotient, not_negative, positive, price_amount


@dataclass(frozen=True, slots=True)
class Package:
    """`amount` for every started package of `size` units, once the `free` units are used."""

    model: ClassVar[str] = "package"

    size: Decimal
    amount: Decimal
    free: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", positive("size", self.size))
        object.__setattr__(self, "amount", price_amount("amount", self.amount))
        object.__setattr__(self, "free", not_negative("free", self.free))


def charge(price: Package, quantity: Decimal) -> Quotient:
    """Count a package from its first unit after the free ones, however small a part of it was used."""
    with localcontext(EXACT):
        full, rest = divmod(max(quantity - price.free, Decimal(0)), price.size)
        started = full + 1 if rest else full
        return Quotient(started * price.amount)
