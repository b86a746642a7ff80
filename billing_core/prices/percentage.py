"""Percentage: a share of a measured amount of money, and a fixed part for each event."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, NamedTuple

from billing_core.errors import InvalidValueError
from billing_core.money import Quotient, not_negative, percentage, price_amount
from billing_core.prices.measured import Measured
from billing_core.prices.steps import PERCENT, Part, Pieces, Share
from billing_core.prices.tiers import ZERO

FREE_EVENTS_MAX = 10**12


@dataclass(frozen=True, slots=True)
class Percentage:
    """`rate` percent of each event's amount plus `fixed`, from `min_per_event` to `max_per_event`.

    The first `free_events` events and the first `free_amount` are free; whichever ends first ends both, as in Lago, and
    0 is no such allowance. The event in which `free_amount` ends pays the share of its rest and its whole fixed part.
    """

    model: ClassVar[str] = "percentage"

    rate: Decimal
    fixed: Decimal = ZERO
    free_events: int = 0
    free_amount: Decimal = ZERO
    min_per_event: Decimal | None = None
    max_per_event: Decimal | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", percentage("rate", self.rate))
        object.__setattr__(self, "fixed", price_amount("fixed", self.fixed))
        if type(self.free_events) is not int or not 0 <= self.free_events <= FREE_EVENTS_MAX:
            rule = f"a whole number from 0 to {FREE_EVENTS_MAX}"
            raise InvalidValueError("free_events", self.free_events, "is not a number of events", rule)
        object.__setattr__(self, "free_amount", not_negative("free_amount", self.free_amount))
        for name in ("min_per_event", "max_per_event"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, price_amount(name, getattr(self, name)))
        low, high = self.min_per_event, self.max_per_event
        if low is not None and high is not None and high < low:
            raise InvalidValueError("max_per_event", high, "is below the minimum", f"at least {low}")


class _Alike(NamedTuple):
    """So many events that share an amount equally; it is kept as a whole, since a share may not be a decimal."""

    events: Decimal
    amount: Quotient


def charge(price: Percentage, measured: Measured) -> tuple[Part, ...]:
    """Price each event by itself and add up alike ones: rate + fixed, clamped."""
    free = measured.quantity
    shares: dict[Decimal, Decimal] = {}
    events_of = {price.fixed: ZERO}
    for events, amount in _paid(price, measured):
        free -= amount
        both = Quotient(amount.dividend * price.rate, amount.divisor * PERCENT) + Quotient(events * price.fixed)
        low, high = price.min_per_event, price.max_per_event
        if low is not None and both.dividend < events * low * both.divisor:
            each = low
        elif high is not None and both.dividend > events * high * both.divisor:
            each = high
        else:
            each = price.fixed
            shares[amount.divisor] = shares.get(amount.divisor, ZERO) + amount.dividend
        events_of[each] = events_of.get(each, ZERO) + events
    parts: list[Part] = [Share(free.dividend, ZERO, free.divisor)] if free.dividend else []
    parts += [Share(amount, price.rate, divisor) for divisor, amount in shares.items()]
    return (*parts, *(Pieces(events, each) for each, events in sorted(events_of.items()) if events and each))


def _paid(price: Percentage, measured: Measured) -> Iterator[_Alike]:
    """Leave out what the allowances cover, use by use in the order in which they are used up."""
    divisor = measured.quantity.divisor
    amount_left, events_left = price.free_amount * divisor, Decimal(price.free_events)
    ended = not price.free_amount and not price.free_events
    for use in measured.uses:
        events, amount = Decimal(use.usage.events), use.paid
        if ended:
            yield _Alike(events, Quotient(amount, divisor))
            continue
        # how many of these events each allowance covers in full
        by_events = min(events, events_left) if price.free_events else events
        by_amount = min(events, amount_left * events // amount) if price.free_amount and amount else events
        if min(by_events, by_amount) == events:
            events_left -= events
            amount_left -= amount
            continue
        # From here on the amounts of single events are counted in parts of `events`.
        ended, parts = True, divisor * events
        if by_amount < by_events:
            rest = (by_amount + 1) * amount - amount_left * events
            yield _Alike(Decimal(1), Quotient(rest, parts))
            by_events = by_amount + 1
        if by_events < events:
            yield _Alike(events - by_events, Quotient((events - by_events) * amount, parts))
