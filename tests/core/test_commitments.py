"""Commitments lose nothing however a stretch of time is split, and are valid or not at all."""

import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_core.commitments import Commitment, Settlement, Stretch, settle, settle_windows
from billing_core.errors import CurrencyMismatchError, InvalidValueError
from billing_core.money import Currency, Money, Quotient, total
from billing_core.proration import Share
from tests.core import made
from tests.core.commitment_calls import Line

USD = Currency("USD")
ZERO = Money(0, USD)
cents = st.integers(0, 10**6).map(lambda units: Money(Decimal(units).scaleb(-2), USD))
lines = st.lists(st.builds(Line, st.sampled_from([None, "a", "b"]), cents), max_size=5)
days = st.integers(1, 31).flatmap(lambda period: st.builds(Share, st.integers(0, period), st.just(period)))
scopes = st.sampled_from([None, frozenset("a"), frozenset("ab")])
factors = st.sampled_from([Decimal(1), Decimal("1.5"), Decimal(3)])


@st.composite
def commitments(draw: st.DrawFn) -> Commitment:
    """Make a commitment with any of its bounds."""
    minimum, maximum = sorted(draw(st.tuples(made.decimals(5000, 3), made.decimals(20000, 3))))
    return Commitment("c", minimum, draw(st.sampled_from([None, maximum])), draw(factors), draw(scopes))


@given(commitments(), days, lines)
def test_what_is_paid_lies_between_the_bounds(commitment: Commitment, active: Share, charged: list[Line]) -> None:
    """Never less than the prorated minimum, never more than the prorated maximum."""
    (done,) = settle([(commitment, Stretch(active))], charged, USD)
    paid = done.charged + done.due
    assert done.minimum <= paid
    assert done.maximum is None or paid <= done.maximum
    assert done.charged == total([line.amount for line in charged if commitment.counts(line)], USD)
    for bound, exact in [(done.minimum, commitment.minimum), (done.maximum, commitment.maximum)]:
        if bound is not None and exact is not None:
            wanted = Fraction(exact) * Fraction(active.part) / Fraction(active.whole)
            assert abs(Fraction(bound.amount) - wanted) <= Fraction(1, 200)


@given(commitments(), days, lines, lines)
def test_splitting_a_stretch_loses_no_cent(
    commitment: Commitment, active: Share, first: list[Line], last: list[Line]
) -> None:
    """Two splits are due what the whole is, whatever each of them charged."""
    (begun,) = settle([(commitment, Stretch(active, is_final=False))], first, USD)
    (ended,) = settle([(commitment, Stretch(active, begun.charged.amount))], last, USD)
    (whole,) = settle([(commitment, Stretch(active))], [*first, *last], USD)
    assert begun.true_up == ZERO
    assert begun.due + ended.due == whole.due


@given(lines, made.decimals(5000, 2), made.decimals(5000, 2))
def test_a_shortfall_is_charged_once(charged: list[Line], narrow: Decimal, wide: Decimal) -> None:
    """A meter's true-up counts for the plan, in whichever order the two are given."""
    pairs = [(Commitment("plan", wide), Stretch()), (Commitment("a", narrow, meters=["a"]), Stretch())]
    done = settle(pairs, charged, USD)
    assert done == settle(pairs[::-1], charged, USD)
    paid = total([line.amount for line in charged] + [one.due for one in done], USD)
    of_a = total([line.amount for line in charged if line.meter == "a"], USD)
    of_others = total([line.amount for line in charged if line.meter != "a"], USD)
    assert paid == max(max(of_a, Money(narrow, USD)) + of_others, Money(wide, USD))


@given(st.lists(st.fractions(0, 1000, max_denominator=1000), max_size=6), st.fractions(0, 1000), factors)
def test_windows_stand_alone(charges: list[Fraction], least: Fraction, factor: Decimal) -> None:
    """Each window is charged for itself, exactly: what one has too much, no other one gets."""
    done = settle_windows([Quotient.of(charge) for charge in charges], Quotient.of(least), USD, factor)
    for charge, part in zip(charges, done.windows, strict=True):
        due = part.charged + part.true_up + part.overage
        assert due == max(charge, least) + max(charge - least, 0) * (Fraction(factor) - 1)


def test_a_settlement_that_does_not_add_up_cannot_be_built() -> None:
    """The sum is asserted where it is made."""
    for true_up, due in [(1, 2), (-1, -1)]:
        with pytest.raises(AssertionError):
            Settlement(
                *(Commitment("c"), Stretch(), ZERO, None, ZERO, (), ZERO, ZERO), Money(true_up, USD), Money(due, USD)
            )


def test_a_commitment_in_another_currency_is_refused() -> None:
    """Lines of another currency are not counted as if they were dollars."""
    with pytest.raises(CurrencyMismatchError, match="EUR met USD"):
        settle([(Commitment("c"), Stretch())], [Line(None, Money(1, USD))], Currency("EUR"))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Commitment(""), "name: '' is not a text"),
        (lambda: Commitment("c", -1), "minimum: -1 is negative"),
        (lambda: Commitment("c", 0, -1), "maximum: -1 is negative"),
        (lambda: Commitment("c", 5, 4), "maximum: 4 is below the minimum; expected at least 5"),
        (
            lambda: Commitment("c", overage_factor="0.99"),
            "overage_factor: '0.99' makes use beyond a commitment cheaper",
        ),
        (
            lambda: Commitment("c", meters=[]),
            "meters: 0 meters are named; expected at least one, or none for the whole",
        ),
        (lambda: Commitment("c", meters=["a b"]), "meters: 'a b' is not a name"),
        (lambda: Stretch(7), "part: 7 has the wrong type; expected Share"),
        (lambda: Stretch(charged_before=None), "charged_before: null is not an exact number"),
        (lambda: Stretch(is_final=1), "is_final: 1 has the wrong type; expected bool"),
        (lambda: settle_windows([], Quotient(Decimal(1)), USD, 0), "overage_factor: 0 makes use beyond a commitment"),
    ],
)
def test_what_is_no_commitment_is_refused(build: Callable[[], object], message: str) -> None:
    """Each rule, broken once, names the field, the value and what was expected."""
    with pytest.raises(InvalidValueError, match=f"^{re.escape(message)}"):
        build()
