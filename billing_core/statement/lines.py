"""The lines of a statement: what each is about, where it comes from, and how its amount came about."""

from dataclasses import dataclass
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, localcontext
from enum import Enum
from fractions import Fraction

from billing_core.money import Money, Quotient, RoundingPoint
from billing_core.prices.steps import Changed, Reason, Step

WIDE = Context(prec=10**6, traps=[Inexact, InvalidOperation, DivisionByZero])
"""What is left of a line after many coupons is a fraction of as many divisors, and added up without a loss."""


class Kind(Enum):
    """What a line does: it charges, makes up for a commitment, takes off, or taxes."""

    CHARGE = "charge"
    COMMITMENT = "commitment"
    COUPON = "coupon"
    CREDIT = "credit"
    TAX = "tax"

    @property
    def takes_off(self) -> bool:
        """Whether its derivation says what is taken off: then its amount is that with a minus."""
        return self in (Kind.COUPON, Kind.CREDIT)


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One row: what, how much of it, its rounded amount, and how that came about.

    `source` is what it comes from, as a path in the request: `prices[0]`, `coupons[1]`. Only a price of one meter has
    a meter. `rounding` says where its amount was rounded.
    """

    kind: Kind
    source: str
    meter: str | None
    description: str
    quantity: Decimal
    amount: Money
    derivation: tuple[Step, ...]
    rounding: RoundingPoint = RoundingPoint.LINE

    def __post_init__(self) -> None:
        derived = exact_sum(self.derivation)
        assert derived == Fraction(-self.amount.amount if self.kind.takes_off else self.amount.amount)


@dataclass(frozen=True, slots=True)
class ScopedLine:
    """A line that is charged, and the meters that it is about; none where it is about a fee, or the whole plan."""

    line: StatementLine
    meters: frozenset[str] | None

    def holds(self, other: "ScopedLine") -> bool:
        """Whether the other line is about nothing else: a part of the group, or anything where it is the plan."""
        return self.meters is None or (other.meters is not None and other.meters <= self.meters)


def exact_sum(steps: tuple[Step, ...]) -> Fraction:
    """Add up steps as fractions; unlike those of a price, they need not share a divisor."""
    with localcontext(WIDE):
        return sum((Fraction(Fraction(step.dividend), Fraction(step.divisor)) for step in steps), Fraction(0))


def adjusted(steps: tuple[Step, ...], reason: Reason, to: Money) -> tuple[Step, ...]:
    """Add the step that leads to an amount, where the steps do not come to it by themselves."""
    by = Fraction(to.amount) - exact_sum(steps)
    return (*steps, Changed(reason, Quotient.of(by))) if by else steps
