"""The models that price a quantity whatever it is made of."""

from typing import assert_never

from billing_core.money import Quotient
from billing_core.prices import graduated, package, per_unit, stairstep, volume
from billing_core.prices.graduated import Graduated, GraduatedPercentage
from billing_core.prices.package import Package
from billing_core.prices.per_unit import PerUnit
from billing_core.prices.stairstep import Stairstep
from billing_core.prices.steps import Part
from billing_core.prices.volume import Volume, VolumePercentage

QuantityPrice = PerUnit | Package | Graduated | Volume | Stairstep | GraduatedPercentage | VolumePercentage


def charge(price: QuantityPrice, quantity: Quotient) -> tuple[Part, ...]:
    """Price a quantity of at least zero, in the exact context."""
    match price:
        case PerUnit():
            return per_unit.charge(price, quantity)
        case Package():
            return package.charge(price, quantity)
        case Graduated() | GraduatedPercentage():
            return graduated.charge(price, quantity)
        case Volume() | VolumePercentage():
            return volume.charge(price, quantity)
        case Stairstep():
            return stairstep.charge(price, quantity)
        case _:
            assert_never(price)
