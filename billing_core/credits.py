"""Credits: which grants there are, in which order they burn, and what is left of them.

A grant is an allowance of units, of credits, or of promotional money; what it may be used for is its scope. Where
money that was granted stands on an invoice, and where prepaid money does, is said in `invoice.build`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, localcontext

from billing_core.errors import InvalidValueError
from billing_core.money import EXACT, Currency, not_negative, price_amount
from billing_core.names import check_name, check_type, one_of
from billing_core.periods import EPOCH, Interval, anchored_period

PRIORITY_MAX = 255
EXPIRY_PERIODS_MAX = 120
RECURRENCES = (Interval.DAY, Interval.WEEK, Interval.MONTH, Interval.YEAR)


@dataclass(frozen=True, slots=True)
class Rollover:
    """How much of a grant survives a reset: min(maximum, max(minimum, balance)), for some periods or for good.

    OpenMeter's rule; Autumn knows the maximum only, and Lago's wallets keep all or nothing.
    """

    maximum: Decimal
    minimum: Decimal = Decimal(0)
    expires_after: Interval | None = None
    expires_after_periods: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "maximum", not_negative("maximum", self.maximum))
        object.__setattr__(self, "minimum", not_negative("minimum", self.minimum))
        if self.minimum > self.maximum:
            raise InvalidValueError("minimum", self.minimum, "is above the maximum", f"at most {self.maximum}")
        if self.expires_after is not None:
            _check_recurrence("expires_after", self.expires_after)
        periods = self.expires_after_periods
        if type(periods) is not int or not 1 <= periods <= EXPIRY_PERIODS_MAX:
            rule = f"a whole number from 1 to {EXPIRY_PERIODS_MAX}"
            raise InvalidValueError("expires_after_periods", periods, "is not a number of periods", rule)

    def kept(self, balance: Decimal) -> Decimal:
        """Return what a reset leaves of a balance."""
        return min(self.maximum, max(self.minimum, balance))

    def end(self, at: datetime) -> datetime | None:
        """Return when what was kept at that moment expires."""
        if self.expires_after is None:
            return None
        end = at
        for _ in range(self.expires_after_periods):
            end = anchored_period(at, self.expires_after, end).end
        return end


@dataclass(frozen=True, slots=True)
class Grant:
    """A quantity that may be used before anything is charged: from when, until when, and for what.

    It is promotional when its units cost nothing, and paid otherwise. Without meters it is good for every use; without
    a currency it counts units. A recurring grant is filled up to its amount again at each of its boundaries. A voided
    one keeps what it gave until then: voiding is not retroactive.
    """

    id: str
    amount: Decimal
    effective_at: datetime
    created_at: datetime
    expires_at: datetime | None = None
    priority: int = 0
    cost_basis: Decimal = Decimal(0)
    meters: frozenset[str] | None = None
    currency: Currency | None = None
    recurs: Interval | None = None
    rollover: Rollover | None = None
    voided_at: datetime | None = None

    def __post_init__(self) -> None:
        check_name("id", self.id)
        object.__setattr__(self, "amount", not_negative("amount", self.amount))
        object.__setattr__(self, "cost_basis", price_amount("cost_basis", self.cost_basis))
        for name in ("effective_at", "created_at", "expires_at", "voided_at"):
            if getattr(self, name) is not None or name in ("effective_at", "created_at"):
                check_moment(name, getattr(self, name))
        if self.expires_at is not None and self.expires_at <= self.effective_at:
            rule = f"a moment after {self.effective_at.isoformat()}"
            raise InvalidValueError("expires_at", self.expires_at.isoformat(), "is not after effective_at", rule)
        if type(self.priority) is not int or not 0 <= self.priority <= PRIORITY_MAX:
            rule = f"a whole number from 0, which burns first, to {PRIORITY_MAX}"
            raise InvalidValueError("priority", self.priority, "is not a priority", rule)
        self._check_scope()
        if self.currency is not None:
            check_type("currency", self.currency, Currency)
        if self.recurs is not None:
            _check_recurrence("recurs", self.recurs)
        if self.rollover is not None:
            check_type("rollover", self.rollover, Rollover)
        if self.recurs is not None and self.rollover is not None:
            rule = "a grant that recurs, or one that rolls over"
            raise InvalidValueError("rollover", self.rollover, "does nothing for a grant that is refilled", rule)

    def _check_scope(self) -> None:
        if self.meters is None:
            return
        object.__setattr__(self, "meters", frozenset(self.meters))
        for meter in sorted(self.meters, key=str):
            check_name("meters", meter)
        if not self.meters:
            raise InvalidValueError("meters", 0, "meters are named", "at least one, or none for every use")

    @property
    def is_promotional(self) -> bool:
        """Whether nobody paid for it."""
        return self.cost_basis == 0

    @property
    def ends_at(self) -> datetime | None:
        """When nothing can be burned any more: it expires or is voided, whichever is first; None is never."""
        return min((end for end in (self.expires_at, self.voided_at) if end is not None), default=None)

    def is_active(self, at: datetime) -> bool:
        """Whether it can be burned at that moment; it begins with its effective time and is over at its end."""
        return self.effective_at <= at and (self.ends_at is None or at < self.ends_at)

    def covers(self, meter: str | None) -> bool:
        """Whether a use of that meter may burn it; a use of no meter burns grants without scope only."""
        return self.meters is None or meter in self.meters


def in_burn_order(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """Sort by priority → expiry, none last → promotional first → narrower scope → creation → id: a total order.

    The customer said what matters by the priority; what is lost first is used first; what nobody paid for before what
    somebody did; what fits few uses before what fits many; and the older one of equals. OpenMeter stops after expiry
    and creation, Metronome and Orb order as here, Autumn uses rollovers first and then the shorter reset interval.
    """
    return tuple(sorted(grants, key=_burn_key))


def _burn_key(grant: Grant) -> tuple[int, bool, datetime, bool, bool, int, datetime, str]:
    expires = (grant.expires_at is None, grant.expires_at or EPOCH)
    scope = (grant.meters is None, len(grant.meters or ()))
    return (grant.priority, *expires, not grant.is_promotional, *scope, grant.created_at, grant.id)


@dataclass(frozen=True, slots=True)
class Use:
    """A quantity at a moment, which grants may cover: units of a meter, credits, or money."""

    at: datetime
    quantity: Decimal
    meter: str | None = None

    def __post_init__(self) -> None:
        check_moment("at", self.at)
        object.__setattr__(self, "quantity", not_negative("quantity", self.quantity))
        if self.meter is not None:
            check_name("meter", self.meter)


@dataclass(frozen=True, slots=True)
class CreditSystem:
    """What a unit of each meter costs in credits."""

    costs: Mapping[str, Decimal]

    def __post_init__(self) -> None:
        costs = {meter: price_amount(f"costs.{meter}", cost) for meter, cost in self.costs.items()}
        for meter in costs:
            check_name("costs", meter)
        object.__setattr__(self, "costs", costs)

    def in_credits(self, use: Use) -> Use:
        """Turn units of a meter into credits, which keep their meter: grants may be scoped to it."""
        if use.meter is None or use.meter not in self.costs:
            raise InvalidValueError("meter", use.meter, "has no cost in credits", one_of(self.costs))
        with localcontext(EXACT):
            return replace(use, quantity=use.quantity * self.costs[use.meter])


def check_moment(field: str, value: object) -> None:
    """Refuse what is no moment: a datetime without a time zone means another one everywhere."""
    if type(value) is not datetime or value.utcoffset() is None:
        raise InvalidValueError(field, value, "is not a moment", "a datetime with a time zone")


def _check_recurrence(field: str, value: object) -> None:
    check_type(field, value, Interval)
    if value not in RECURRENCES:
        shown = value.value if isinstance(value, Interval) else value
        raise InvalidValueError(field, shown, "has no anchor", one_of(interval.value for interval in RECURRENCES))
