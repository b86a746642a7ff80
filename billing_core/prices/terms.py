"""What every price may have besides its model: included units, a conversion, a discount, a minimum, a maximum."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import assert_never

from billing_core.errors import InvalidValueError
from billing_core.money import Quotient, not_negative, percentage, positive, price_amount
from billing_core.names import check_name, check_text, check_type
from billing_core.prices.capacity import Capacity
from billing_core.prices.measured import Measured, Use
from billing_core.prices.models import EventPrice, Price, charge, waits_for_the_end
from billing_core.prices.prepaid import Prepaid
from billing_core.prices.steps import NOTHING, PERCENT, Changed, Converted, Included, Reason, Step, exact_sum
from billing_core.prices.tiers import ZERO


class ChargeWhen(Enum):
    """When a price is invoiced; what it costs is the same."""

    ARREARS = "arrears"
    ADVANCE = "advance"


class UnitRounding(Enum):
    """To which whole unit a converted quantity goes; half a unit goes up."""

    UP = "up"
    DOWN = "down"
    HALF_UP = "half_up"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Conversion:
    """The meter's unit becomes the price's: divided or multiplied by a number, one of the two, then rounded."""

    divide: Decimal | None = None
    multiply: Decimal | None = None
    rounding: UnitRounding = UnitRounding.NONE

    def __post_init__(self) -> None:
        for name in ("divide", "multiply"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, positive(name, getattr(self, name)))
        if (self.divide is None) is (self.multiply is None):
            raise InvalidValueError("divide", self.divide, "is not one conversion", "either divide or multiply")
        check_type("rounding", self.rounding, UnitRounding)

    def converted(self, quantity: Decimal) -> Quotient:
        """Convert and round; what is not rounded stays a quotient."""
        divisor = Decimal(1) if self.divide is None else self.divide
        dividend = quantity if self.multiply is None else quantity * self.multiply
        whole, rest = divmod(dividend, divisor)
        match self.rounding:
            case UnitRounding.NONE:
                return Quotient(dividend, divisor)
            case UnitRounding.UP:
                return Quotient(whole + 1 if rest else whole)
            case UnitRounding.DOWN:
                return Quotient(whole)
            case UnitRounding.HALF_UP:
                return Quotient(whole + 1 if 2 * rest >= divisor else whole)
            case _:
                assert_never(self.rounding)


@dataclass(frozen=True, slots=True)
class PercentOff:
    """So many percent of the charge less."""

    percent: Decimal

    def __post_init__(self) -> None:
        object.__setattr__(self, "percent", percentage("percent", self.percent))
        if self.percent > PERCENT:
            raise InvalidValueError("percent", self.percent, "is more than everything", "at most 100")


@dataclass(frozen=True, slots=True)
class AmountOff:
    """So much money less, but never below nothing."""

    amount: Decimal

    def __post_init__(self) -> None:
        object.__setattr__(self, "amount", price_amount("amount", self.amount))


@dataclass(frozen=True, slots=True)
class UnitsOff:
    """So many units less, in the price's unit; they come off together with those included."""

    units: Decimal

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", not_negative("units", self.units))


Discount = PercentOff | AmountOff | UnitsOff


@dataclass(frozen=True, slots=True)
class Terms:
    """What goes around a price model; without any of it, the model alone decides."""

    included: Decimal = ZERO
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    discount: Discount | None = None
    convert: Conversion | None = None
    filter: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    charge_when: ChargeWhen = ChargeWhen.ARREARS

    def __post_init__(self) -> None:
        object.__setattr__(self, "included", not_negative("included", self.included))
        for name in ("minimum", "maximum"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, price_amount(name, getattr(self, name)))
        if self.minimum is not None and self.maximum is not None and self.maximum < self.minimum:
            raise InvalidValueError("maximum", self.maximum, "is below the minimum", f"at least {self.minimum}")
        if self.discount is not None and not isinstance(self.discount, Discount):
            raise InvalidValueError("discount", self.discount, "is not a discount", "percent, amount or units")
        if self.convert is not None:
            check_type("convert", self.convert, Conversion)
        values = {dimension: tuple(sorted(set(values))) for dimension, values in self.filter.items()}
        object.__setattr__(self, "filter", MappingProxyType(values))
        for dimension, allowed in values.items():
            check_name(f"filter.{dimension}", dimension)
            for value in allowed:
                check_text(f"filter.{dimension}", value)
            if not allowed:
                raise InvalidValueError(f"filter.{dimension}", 0, "values are given", "at least one")
        check_type("charge_when", self.charge_when, ChargeWhen)

    def takes(self, dimensions: Mapping[str, str]) -> bool:
        """Whether a use with these dimensions is priced here."""
        return not self.filter or all(dimensions.get(dimension) in values for dimension, values in self.filter.items())

    def excludes(self, other: "Terms") -> bool:
        """Whether no use can be priced both here and there."""
        common = self.filter.keys() & other.filter.keys()
        return any(set(self.filter[name]).isdisjoint(other.filter[name]) for name in common)

    @property
    def are_plain(self) -> bool:
        """Whether the model alone decides what its meter's quantity costs."""
        around = (self.minimum, self.maximum, self.discount, self.convert)
        return not self.included and not self.filter and all(term is None for term in around)

    @property
    def free_units(self) -> Decimal:
        """Units that cost nothing: those included and those discounted."""
        return self.included + self.discount.units if type(self.discount) is UnitsOff else self.included


def check_suits(price: Price, terms: Terms) -> None:
    """Refuse terms that mean nothing around this model."""
    conversion = terms.convert
    if isinstance(price, EventPrice) and conversion is not None and conversion.rounding is not UnitRounding.NONE:
        rule = f"none, for {price.model} prices single uses and the units of all are rounded together"
        raise InvalidValueError("convert.rounding", conversion.rounding.value, "has no quantity to round", rule)
    if isinstance(price, Capacity) and (conversion or terms.free_units or terms.filter):
        name = "convert" if conversion else "filter" if terms.filter else "included"
        raise InvalidValueError(name, price.model, "has no quantity of its own", f"no {name} in this model")
    if isinstance(price, Prepaid) and terms.discount is not None:
        raise InvalidValueError("discount", price.model, "has a discount of its own", "no other")
    if waits_for_the_end(price) and terms.charge_when is ChargeWhen.ADVANCE:
        rule = "arrears, for later use changes what earlier use costs"
        raise InvalidValueError("charge_when", terms.charge_when.value, f"does not suit {price.model}", rule)


def priced(price: Price, terms: Terms, measured: Iterable[Measured], *, is_final: bool) -> tuple[Step, ...]:
    """Convert and round → included → tiers → percentage discount → maximum → minimum.

    OpenMeter's order. A unit discount comes off with the included units, after rounding, so that 1,400 ÷ 1,000 up to 2
    less 0.5 is 1.5. The maximum bounds what is paid and not what it would have been, so that it follows the discount.
    The minimum comes last, whatever discount was given, and is due with the last split of a period only; Lago, too,
    charges it in arrears, but makes a fee of its own of it. What waits for the end costs nothing before it.

    Where a meter measures several quantities, one for each window, each is converted and goes through the tiers by
    itself; what is said per period (included units, a discount, the maximum, the minimum) is there once for all.
    """
    if not is_final and waits_for_the_end(price):
        return ()
    steps: list[Step] = []
    included = Decimal(0)
    for given in measured:
        part = given if terms.convert is None else _converted(given, terms.convert)
        if terms.convert is not None:
            steps.append(Converted(given.quantity.dividend, part.quantity))
        if free_units := terms.free_units:
            # All parts have one divisor, so that what is left of the free units needs no division.
            part, free = _without(part, free_units * part.quantity.divisor - included)
            included += free.dividend
            steps.append(Included(free))
        steps += charge(price, part)
    if isinstance(terms.discount, PercentOff | AmountOff):
        steps.append(Changed(Reason.DISCOUNT, _discount(terms.discount, exact_sum(steps))))
    if terms.maximum is not None:
        above = exact_sum(steps) - Quotient(terms.maximum)
        steps += [Changed(Reason.MAXIMUM, NOTHING - above)] if above.dividend > 0 else []
    if terms.minimum is not None and is_final:
        missing = Quotient(terms.minimum) - exact_sum(steps)
        steps += [Changed(Reason.MINIMUM, missing)] if missing.dividend > 0 else []
    return tuple(steps)


def _discount(discount: PercentOff | AmountOff, charged: Quotient) -> Quotient:
    match discount:
        case PercentOff(percent=percent):
            return Quotient(-charged.dividend * percent, charged.divisor * PERCENT)
        case AmountOff(amount=amount):
            return NOTHING - Quotient(min(charged.dividend, amount * charged.divisor), charged.divisor)
        case _:
            assert_never(discount)


def _converted(measured: Measured, conversion: Conversion) -> Measured:
    factor = Decimal(1) if conversion.multiply is None else conversion.multiply
    uses = tuple(Use(use.usage, use.quantity * factor, use.paid * factor) for use in measured.uses)
    return Measured(conversion.converted(measured.quantity.dividend), uses, measured.indexes, measured.meters)


def _without(measured: Measured, most: Decimal) -> tuple[Measured, Quotient]:
    """Take as much as `most`, a dividend, off the quantity and the first uses in their order; say how much it was."""
    used, divisor = measured.quantity.dividend, measured.quantity.divisor
    free = left = min(used, most)
    uses: list[Use] = []
    for use in measured.uses:
        taken = min(left, use.paid)
        left -= taken
        uses.append(use._replace(paid=use.paid - taken))
    rest = Measured(Quotient(used - free, divisor), _paid_only(uses), measured.indexes, measured.meters)
    return rest, Quotient(free, divisor)


def _paid_only(uses: Iterable[Use]) -> tuple[Use, ...]:
    """Leave out uses that the included units cover; one of nothing from the start stays, for it may cost by event."""
    return tuple(use for use in uses if use.paid or not use.quantity)
