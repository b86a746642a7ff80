"""The price models: what a quantity costs, exactly, before any rounding.

One module per model owns its dataclass, its rules of validity and its function from a quantity to an exact amount.
They do not own measuring (the quantity is handed in), rounding (`money.rounded`, on the line) or the meter that a
price belongs to (`catalog.MeterPrice`). `rating.rate` calls `charge`; a new model is one more module and one more case.
"""

from decimal import Decimal
from typing import assert_never

from billing_core.money import Quotient
from billing_core.prices import graduated, package, per_unit, volume
from billing_core.prices.graduated import Graduated
from billing_core.prices.package import Package
from billing_core.prices.per_unit import PerUnit
from billing_core.prices.tiers import Tier
from billing_core.prices.volume import Volume

__all__ = ["Graduated", "Package", "PerUnit", "Price", "Tier", "Volume", "charge"]

Price = PerUnit | Package | Graduated | Volume


def charge(price: Price, quantity: Decimal) -> Quotient:
    """Price a quantity of at least zero: exact, not yet rounded."""
    match price:
        case PerUnit():
            return per_unit.charge(price, quantity)
        case Package():
            return package.charge(price, quantity)
        case Graduated():
            return graduated.charge(price, quantity)
        case Volume():
            return volume.charge(price, quantity)
        case _:
            assert_never(price)
