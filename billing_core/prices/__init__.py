"""The price models: what was measured costs, exactly, before any rounding.

One module per rule owns its dataclasses, its rules of validity and its function from a quantity to parts of an exact
amount: `by_quantity` lists those that need a quantity alone, `models` all of them. `terms` owns what every price may
have around its model, and the order in which it is applied. What comes out is a derivation, `steps` that add up.

A price whose tiers are straight is also compiled, once, to a `curve`: rating takes a line's amount from there, and its
derivation from the steps when somebody asks. Both must agree, which a law and every derivation see to.

They do not own measuring (`rating`), rounding to money (`money.rounded`, on the line) or the meter that a price belongs
to (`catalog.MeterPrice`). `rating.rate` calls `terms.priced`; all arithmetic here is done in the context `money.EXACT`.
A new model is one more module and one more case.
"""

from billing_core.prices.capacity import Capacity, CapacityTier
from billing_core.prices.dynamic import Dynamic
from billing_core.prices.graduated import Graduated, GraduatedPercentage
from billing_core.prices.matrix import Cell, Matrix
from billing_core.prices.models import Price
from billing_core.prices.package import Package
from billing_core.prices.per_unit import PerUnit
from billing_core.prices.percentage import Percentage
from billing_core.prices.prepaid import Prepaid
from billing_core.prices.stairstep import Stair, Stairstep
from billing_core.prices.terms import Terms
from billing_core.prices.tiers import PercentTier, Tier
from billing_core.prices.volume import Volume, VolumePercentage

__all__ = [
    "Capacity",
    "CapacityTier",
    "Cell",
    "Dynamic",
    "Graduated",
    "GraduatedPercentage",
    "Matrix",
    "Package",
    "PerUnit",
    "PercentTier",
    "Percentage",
    "Prepaid",
    "Price",
    "Stair",
    "Stairstep",
    "Terms",
    "Tier",
    "Volume",
    "VolumePercentage",
]
