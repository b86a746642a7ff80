"""Commitments: what a customer pays at least and at most, and what goes beyond a commitment.

A commitment counts the lines of its meters: of one, of a group, or of the whole plan with its fees. It is settled over
the stretch of time that its charges come from: a billing period, or a subscription's year, whose earlier periods are
handed in as charged before. One for each window of a period is settled by `settle_windows`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Protocol

from billing_core.errors import InvalidValueError
from billing_core.money import Currency, Money, Quotient, RoundingPoint, exact_decimal, price_amount, rounded, total
from billing_core.names import check_name, check_text, check_type
from billing_core.proration import WHOLE, Share


class Charged(Protocol):
    """A line as far as a commitment looks at it; a fee has no meter."""

    @property
    def meter(self) -> str | None:
        """Return the meter that the line prices."""

    @property
    def amount(self) -> Money:
        """Return its rounded amount."""


@dataclass(frozen=True, slots=True)
class Commitment:
    """At least `minimum`, at most `maximum`, and `overage_factor` times what goes beyond the minimum.

    Without meters it counts the whole plan.
    """

    name: str
    minimum: Decimal = Decimal(0)
    maximum: Decimal | None = None
    overage_factor: Decimal = Decimal(1)
    meters: frozenset[str] | None = None

    def __post_init__(self) -> None:
        check_text("name", self.name)
        object.__setattr__(self, "minimum", price_amount("minimum", self.minimum))
        if self.maximum is not None:
            object.__setattr__(self, "maximum", price_amount("maximum", self.maximum))
            if self.maximum < self.minimum:
                raise InvalidValueError("maximum", self.maximum, "is below the minimum", f"at least {self.minimum}")
        object.__setattr__(self, "overage_factor", checked_factor(self.overage_factor))
        if self.meters is not None:
            object.__setattr__(self, "meters", frozenset(self.meters))
            for meter in sorted(self.meters, key=str):
                check_name("meters", meter)
            if not self.meters:
                raise InvalidValueError("meters", 0, "meters are named", "at least one, or none for the whole plan")

    def counts(self, line: Charged) -> bool:
        """Whether a line is part of what was committed to."""
        return self.meters is None or line.meter in self.meters

    def includes(self, other: "Commitment") -> bool:
        """Whether everything that the other one counts is counted here too."""
        return self.meters is None or (other.meters is not None and other.meters <= self.meters)


@dataclass(frozen=True, slots=True)
class Stretch:
    """The time a commitment is settled over: the part that ran, what it counted before, and whether it ends now."""

    part: Share = WHOLE
    charged_before: Decimal = Decimal(0)
    is_final: bool = True

    def __post_init__(self) -> None:
        check_type("part", self.part, Share)
        object.__setattr__(self, "charged_before", exact_decimal("charged_before", self.charged_before))
        check_type("is_final", self.is_final, bool)


@dataclass(frozen=True, slots=True)
class Part:
    """One line as a commitment sees it: what lies within the minimum, and what goes beyond."""

    meter: str | None
    within: Money
    beyond: Money


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a commitment adds to the lines it counts, and why.

    `overage` is what the factor adds beyond the minimum, `capped` what the maximum takes off again as a negative
    amount, `true_up` what the minimum still lacks, and `due` the three together.
    """

    commitment: Commitment
    stretch: Stretch
    minimum: Money
    maximum: Money | None
    charged: Money
    parts: tuple[Part, ...]
    overage: Money
    capped: Money
    true_up: Money
    due: Money

    def __post_init__(self) -> None:
        zero = Money(Decimal(0), self.due.currency)
        assert self.due == self.overage + self.capped + self.true_up
        assert self.charged == total((part.within + part.beyond for part in self.parts), self.due.currency)
        assert zero <= self.true_up


def settle(
    asked: Sequence[tuple[Commitment, Stretch]], lines: Iterable[Charged], currency: Currency
) -> tuple[Settlement, ...]:
    """Settle the narrower commitment first, and let what it adds or takes off count for the wider ones.

    Otherwise two minimums would charge the same shortfall twice. Lago counts a charge's true-up for its plan's minimum
    as well. Of two that count the same meters, the first comes first.
    """
    counted = tuple(lines)
    done: list[Settlement] = []
    for commitment, stretch in sorted(asked, key=lambda pair: (pair[0].meters is None, len(pair[0].meters or ()))):
        added = [_Added(None, one.due) for one in done if commitment.includes(one.commitment)]
        mine = [line for line in counted if commitment.counts(line)]
        done.append(_settlement(commitment, stretch, [*mine, *added], currency))
    return tuple(done)


def _settlement(commitment: Commitment, stretch: Stretch, lines: Sequence[Charged], currency: Currency) -> Settlement:
    """Overage factor → maximum → minimum, each on what was charged until now less what was charged before.

    In this order because the maximum limits what is paid, however it came about, and because a true-up is what is
    still lacking when all else is said; it is due on the last split only. Bounds are prorated by the part that ran and
    rounded here, as amounts that can be paid.
    """
    minimum = _on_a_line(stretch.part.of(commitment.minimum), currency)
    maximum = None if commitment.maximum is None else _on_a_line(stretch.part.of(commitment.maximum), currency)
    charged = total((line.amount for line in lines), currency)
    before = Money(stretch.charged_before, currency)
    until_now = before + charged
    zero = Money(Decimal(0), currency)

    def overage_of(amount: Money) -> Money:
        beyond = max(amount - minimum, zero)
        return _on_a_line(Fraction(beyond.amount) * (Fraction(commitment.overage_factor) - 1), currency)

    def capped_of(amount: Money) -> Money:
        return zero if maximum is None else min(maximum - amount - overage_of(amount), zero)

    overage = overage_of(until_now) - overage_of(before)
    capped = capped_of(until_now) - capped_of(before)
    paid = until_now + overage_of(until_now) + capped_of(until_now)
    true_up = max(minimum - paid, zero) if stretch.is_final else zero
    parts = _parts(max(minimum - before, zero), lines)
    due = overage + capped + true_up
    return Settlement(commitment, stretch, minimum, maximum, charged, parts, overage, capped, true_up, due)


@dataclass(frozen=True, slots=True)
class WindowPart:
    """One window, exactly: what its use costs, what it lacks of the commitment, and what the factor adds beyond it."""

    charged: Fraction
    true_up: Fraction
    overage: Fraction


@dataclass(frozen=True, slots=True)
class WindowSettlement:
    """A period's windows, and their sums, each rounded once as a line."""

    windows: tuple[WindowPart, ...]
    charged: Money
    true_up: Money
    overage: Money


def settle_windows(
    charges: Iterable[Quotient],
    committed: Quotient,
    currency: Currency,
    overage_factor: Decimal = Decimal(1),
    parts: Sequence[Share] | None = None,
) -> WindowSettlement:
    """Charge every window at least what was committed for it, and the factor times what goes beyond.

    A committed quantity is handed in as its price: `charge(price, quantity)`. Windows are many and their sums are
    lines, so that no window is rounded. `parts` says how much of each the plan ran for; without them it
    ran for all.
    """
    factor = Fraction(checked_factor(overage_factor))
    nothing = Fraction(0)
    charged = [charge.fraction for charge in charges]
    committed_to = [part.of(committed.fraction) for part in parts or [WHOLE] * len(charged)]
    windows = tuple(
        WindowPart(one, max(least - one, nothing), max(one - least, nothing) * (factor - 1))
        for one, least in zip(charged, committed_to, strict=True)
    )
    return WindowSettlement(
        windows,
        _on_a_line(sum((window.charged for window in windows), nothing), currency),
        _on_a_line(sum((window.true_up for window in windows), nothing), currency),
        _on_a_line(sum((window.overage for window in windows), nothing), currency),
    )


@dataclass(frozen=True, slots=True)
class _Added:
    meter: str | None
    amount: Money


def _parts(open_minimum: Money, lines: Sequence[Charged]) -> tuple[Part, ...]:
    parts = []
    for line in lines:
        within = min(line.amount, open_minimum)
        open_minimum -= within
        parts.append(Part(line.meter, within, line.amount - within))
    return tuple(parts)


def _on_a_line(exact: Fraction, currency: Currency) -> Money:
    return rounded(Quotient.of(exact), currency, RoundingPoint.LINE)


def checked_factor(value: object) -> Decimal:
    """Take a factor for use beyond a commitment: at least 1."""
    factor = price_amount("overage_factor", value)
    if factor < 1:
        raise InvalidValueError("overage_factor", value, "makes use beyond a commitment cheaper", "at least 1")
    return factor
