"""Granted units: which uses they cover, so that only what they leave is priced."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext

from billing_core.burning import BurnDown, burn_down
from billing_core.credits import Grant, Use
from billing_core.money import EXACT
from billing_core.prices.measured import in_order
from billing_core.rating import RatingRequest

_JUST_BEFORE = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Covered:
    """What is left to be priced, and what each grant gave."""

    rating: RatingRequest
    burned: BurnDown


def last_moment(rating: RatingRequest) -> datetime:
    """The moment at which a period is settled: its last, so that what expires with the period still counts."""
    return rating.period.end - _JUST_BEFORE


def cover(rating: RatingRequest, grants: Sequence[Grant]) -> Covered:
    """Let uses burn grants of units before anything is priced, as Autumn does: tiers begin with what is left.

    A use that says no moment is one of the last. Which of two uses at one moment is covered first is said by
    `prices.measured.in_order`, and not by their arrival.
    """
    last = last_moment(rating)
    scoped = {meter for grant in grants for meter in grant.meters or ()}
    granted = [use for use in rating.usage if use.meter in scoped]
    burned = burn_down(grants, [Use(use.at or last, use.quantity, use.meter) for use in granted], last)
    open_quantities: dict[tuple[str, datetime], Decimal] = {}
    usage = [use for use in rating.usage if use.meter not in scoped]
    with localcontext(EXACT):
        for burn in burned.burns:
            assert burn.meter is not None, "a use has a meter"
            before = open_quantities.get((burn.meter, burn.at), Decimal(0))
            open_quantities[burn.meter, burn.at] = before + burn.quantity
        for use in in_order(granted):
            key = use.meter, use.at or last
            taken = min(open_quantities.get(key, Decimal(0)), use.quantity)
            open_quantities[key] = open_quantities.get(key, Decimal(0)) - taken
            usage.append(replace(use, quantity=use.quantity - taken) if taken else use)
    assert not any(open_quantities.values()), "what was burned was used"
    return Covered(replace(rating, usage=tuple(usage)) if burned.burns else rating, burned)
