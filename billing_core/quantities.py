"""Where a measured quantity is divided and rounded: once, at the end, to at most twelve decimals.

Systems differ in how far they go: Lago cuts weighted and prorated units to 5 decimals, upwards, Flexprice credits to 8.
Both can be said; what is not said keeps all twelve and rounds half away from zero, as money does.
"""

from decimal import Decimal, localcontext
from enum import Enum
from typing import assert_never

from billing_core.errors import InvalidValueError
from billing_core.money import EXACT, Quotient
from billing_core.names import check_type

QUANTITY_DECIMALS_MAX = 12
EVENTS_MAX = 10**12


class Rounding(Enum):
    """To which side a quantity is rounded, seen from zero."""

    HALF_UP = "half_up"
    UP = "up"
    DOWN = "down"


def rounded_quantity(
    exact: Quotient, decimals: int = QUANTITY_DECIMALS_MAX, rounding: Rounding = Rounding.HALF_UP
) -> Decimal:
    """Carry out the division of a quantity and round once; the divisor is above zero."""
    if type(decimals) is not int or not 0 <= decimals <= QUANTITY_DECIMALS_MAX:
        rule = f"a whole number from 0 to {QUANTITY_DECIMALS_MAX}"
        raise InvalidValueError("decimals", decimals, "is not a number of decimals", rule)
    check_type("rounding", rounding, Rounding)
    with localcontext(EXACT):
        units, rest = divmod(exact.dividend.scaleb(decimals), exact.divisor)
        match rounding:
            case Rounding.HALF_UP:
                goes_up = 2 * abs(rest) >= exact.divisor
            case Rounding.UP:
                goes_up = rest != 0
            case Rounding.DOWN:
                goes_up = False
            case _:
                assert_never(rounding)
        if goes_up:
            units += Decimal(1).copy_sign(exact.dividend)
        return units.scaleb(-decimals) or Decimal(0)  # no minus zero


def check_events(name: str, value: object) -> None:
    """Refuse a number of events that is none."""
    if type(value) is not int or not 1 <= value <= EVENTS_MAX:
        raise InvalidValueError(name, value, "is not a number of events", f"a whole number from 1 to {EVENTS_MAX}")
