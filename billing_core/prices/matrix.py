"""Matrix: what was used costs by what it was, such as its model and its region."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import ClassVar

from billing_core.errors import InvalidValueError
from billing_core.money import price_amount
from billing_core.names import check_name, check_text, one_of
from billing_core.prices.measured import Measured, Usage
from billing_core.prices.steps import Part, Units


@dataclass(frozen=True, slots=True)
class Cell:
    """The `unit` price of what matches: a dimension that is not named may have any value."""

    match: Mapping[str, str]
    unit: Decimal

    def __post_init__(self) -> None:
        object.__setattr__(self, "match", MappingProxyType(dict(self.match)))
        for dimension, value in self.match.items():
            check_text(f"match.{dimension}", value)
        object.__setattr__(self, "unit", price_amount("unit", self.unit))


@dataclass(frozen=True, slots=True)
class Matrix:
    """The first of the `cells` that matches prices a use; what no cell matches costs `default`, or is refused."""

    model: ClassVar[str] = "matrix"

    dimensions: tuple[str, ...]
    cells: tuple[Cell, ...]
    default: Decimal | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimensions", tuple(self.dimensions))
        object.__setattr__(self, "cells", tuple(self.cells))
        if not self.dimensions:
            raise InvalidValueError("dimensions", 0, "dimensions are given", "at least one")
        for index, dimension in enumerate(self.dimensions):
            check_name(f"dimensions[{index}]", dimension)
            if dimension in self.dimensions[:index]:
                raise InvalidValueError(f"dimensions[{index}]", dimension, "is named twice", "each dimension once")
        for index, cell in enumerate(self.cells):
            if type(cell) is not Cell:
                raise InvalidValueError(f"cells[{index}]", cell, "is not a cell", "a Cell")
            for dimension in cell.match:
                if dimension not in self.dimensions:
                    path, rule = f"cells[{index}].match", one_of(self.dimensions)
                    raise InvalidValueError(path, dimension, "is not a dimension of this price", rule)
            if any(earlier.match.items() <= cell.match.items() for earlier in self.cells[:index]):
                rule = "the special cells before the general ones"
                raise InvalidValueError(f"cells[{index}].match", cell.match, "is never reached", rule)
        if self.default is not None:
            object.__setattr__(self, "default", price_amount("default", self.default))

    def unit_of(self, usage: Usage) -> Decimal | None:
        """Return the unit price of one use; None where it has none."""
        for cell in self.cells:
            if cell.match.items() <= usage.dimensions.items():
                return cell.unit
        return self.default


def charge(price: Matrix, measured: Measured) -> tuple[Part, ...]:
    """Add up what was used at each unit price."""
    quantities: dict[Decimal, Decimal] = {}
    for use in measured.uses:
        unit = price.unit_of(use.usage)
        assert unit is not None, "a use without a price is refused before"
        quantities[unit] = quantities.get(unit, Decimal(0)) + use.paid
    return tuple(Units(quantities[unit], unit, measured.quantity.divisor) for unit in sorted(quantities))
