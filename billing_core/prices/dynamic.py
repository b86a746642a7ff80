"""Dynamic: the market sets the unit price, by an index or by each event's own amount."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from billing_core.errors import InvalidValueError
from billing_core.money import not_negative, price_amount
from billing_core.names import check_name
from billing_core.prices.measured import Measured, Use
from billing_core.prices.steps import ONE, Flat, Part, Units


@dataclass(frozen=True, slots=True)
class Dynamic:
    """The unit price that `index` has at a use's moment, or without one the use's own amount over its quantity.

    It is multiplied by `markup` and then kept from `floor` to `cap`. The markup is a factor, as in OpenMeter (1.2 adds
    a fifth), because that is how such prices are published; `floor` and `cap` are unit prices as well.
    """

    model: ClassVar[str] = "dynamic"

    index: str | None = None
    markup: Decimal = ONE
    floor: Decimal | None = None
    cap: Decimal | None = None

    def __post_init__(self) -> None:
        if self.index is not None:
            check_name("index", self.index)
        object.__setattr__(self, "markup", not_negative("markup", self.markup))
        for name in ("floor", "cap"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, price_amount(name, getattr(self, name)))
        if self.floor is not None and self.cap is not None and self.cap < self.floor:
            raise InvalidValueError("cap", self.cap, "is below the floor", f"at least {self.floor}")


def charge(price: Dynamic, measured: Measured) -> tuple[Part, ...]:
    """Add up what was used at each unit price, and the amounts that events brought along."""
    divisor = measured.quantity.divisor
    quantities: dict[Decimal, Decimal] = {}
    brought = Decimal(0)
    parts: list[Part] = []
    for use in measured.uses:
        unit = _unit(price, measured, use)
        if unit is not None:
            quantities[unit] = quantities.get(unit, Decimal(0)) + use.paid
            continue
        assert use.usage.amount is not None, "a use without an amount is refused before"
        if use.paid == use.quantity:
            brought += use.usage.amount * price.markup
        else:
            parts.append(Units(use.paid, use.usage.amount * price.markup, use.quantity))
    parts += [Units(quantity, unit, divisor) for unit, quantity in quantities.items()]
    return (*parts, Flat(brought)) if brought else tuple(parts)


def _unit(price: Dynamic, measured: Measured, use: Use) -> Decimal | None:
    """Find a use's unit price; None where it is the use's own amount over its quantity, which is never divided."""
    if price.index is not None:
        assert use.usage.at is not None, "a use without a moment is refused before"
        quoted = measured.indexes[price.index].price_at(use.usage.at)
        assert quoted is not None, "a use before the index begins is refused before"
        unit = quoted * price.markup
        unit = unit if price.floor is None else max(unit, price.floor)
        return unit if price.cap is None else min(unit, price.cap)
    assert use.usage.amount is not None, "a use without an amount is refused before"
    amount = use.usage.amount * price.markup * measured.quantity.divisor
    if price.floor is not None and amount < price.floor * use.quantity:
        return price.floor
    return price.cap if price.cap is not None and amount > price.cap * use.quantity else None
