"""Every price model, and what each makes of what was measured."""

from typing import assert_never

from billing_core.prices import by_quantity, capacity, dynamic, matrix, percentage, prepaid
from billing_core.prices.by_quantity import QuantityPrice
from billing_core.prices.capacity import Capacity
from billing_core.prices.dynamic import Dynamic
from billing_core.prices.graduated import Graduated, GraduatedPercentage
from billing_core.prices.matrix import Matrix
from billing_core.prices.measured import Measured
from billing_core.prices.package import Package
from billing_core.prices.per_unit import PerUnit
from billing_core.prices.percentage import Percentage
from billing_core.prices.prepaid import Prepaid
from billing_core.prices.stairstep import Stairstep
from billing_core.prices.steps import Part
from billing_core.prices.volume import Volume, VolumePercentage

EventPrice = Percentage | Matrix | Dynamic
"""The models that look at single uses."""

Price = QuantityPrice | Prepaid | EventPrice | Capacity


def charge(price: Price, measured: Measured) -> tuple[Part, ...]:
    """Price what was measured, in the exact context: parts that add up to the charge."""
    match price:
        case PerUnit() | Package() | Graduated() | Volume() | Stairstep() | GraduatedPercentage() | VolumePercentage():
            return by_quantity.charge(price, measured.quantity)
        case Percentage():
            return percentage.charge(price, measured)
        case Matrix():
            return matrix.charge(price, measured)
        case Dynamic():
            return dynamic.charge(price, measured)
        case Prepaid():
            return prepaid.charge(price, measured.quantity)
        case Capacity():
            return capacity.charge(price, measured)
        case _:
            assert_never(price)


def waits_for_the_end(price: Price) -> bool:
    """Whether later use changes what earlier use costs, so that nothing is known before the period's last split."""
    priced = price.overage if isinstance(price, Prepaid) else price
    return isinstance(priced, Volume | VolumePercentage | Capacity)
