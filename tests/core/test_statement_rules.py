"""What a statement is made of is valid or not at all, and what does not add up is none."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from billing_core.catalog import Fee, MeterPrice
from billing_core.commitments import Commitment
from billing_core.credits import Grant
from billing_core.discounts import AmountOff, Coupon, OnMeters, OnPlans, PercentOff
from billing_core.errors import CurrencyMismatchError, InvalidValueError
from billing_core.money import Currency, Money
from billing_core.periods import Interval, Period
from billing_core.prices import PerUnit
from billing_core.prices.steps import Flat
from billing_core.rating import RatingRequest
from billing_core.statement import (
    CommitmentTerms,
    Kind,
    ScopedRate,
    StatementLine,
    StatementRequest,
    WindowCommitment,
    draw_up,
)
from billing_core.statement.windows import windows_in
from billing_core.tax import TaxRate
from gateway.catalog_file import parse_rating, write_statement

USD, EUR = Currency("USD"), Currency("EUR")
START, END = datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)
RATING = RatingRequest(USD, Period(START, END), [MeterPrice("a", PerUnit(1))], [Fee("Base", 10, Interval.MONTH)])
REQUEST = StatementRequest(RATING)
DAILY = WindowCommitment("Daily", "a", Interval.DAY, 5)


def granted(**fields: object) -> Grant:
    """Make a grant of units of the meter, with other fields."""
    made = {"id": "g", "amount": 1, "effective_at": START, "created_at": START, "meters": ["a"]} | fields
    return Grant(**made)


@pytest.mark.parametrize(
    ("build_it", "message"),
    [
        (lambda: replace(REQUEST, rating=5), "rating: 5 has the wrong type; expected RatingRequest"),
        (lambda: replace(REQUEST, tax=5), "tax: 5 has the wrong type; expected TaxTerms"),
        (
            lambda: replace(REQUEST, grants=[granted(meters=["b"])]),
            "grants[0].meters: 'b' has no price of its own; expected",
        ),
        (
            lambda: replace(REQUEST, coupons=[Coupon("c", PercentOff(5), OnMeters("b"))]),
            "coupons[0].meters: 'b' has no price of its own; expected one of a",
        ),
        (
            lambda: replace(REQUEST, coupons=[Coupon("c", PercentOff(5), OnPlans(["p"]))]),
            "coupons[0].plans: 1 plans are named; expected meters, or nothing",
        ),
        (
            lambda: replace(REQUEST, commitments=[CommitmentTerms(Commitment("c", 5, meters=["b"]))]),
            "commitments[0].meters: 'b' has no price of its own; expected one of a",
        ),
        (
            lambda: replace(REQUEST, rates=[ScopedRate(TaxRate("VAT", 5), fees=["Setup"])]),
            "tax.rates[0].fees: 'Setup' is no fee, and no seats; expected one of Base",
        ),
        (
            lambda: replace(REQUEST, rates=[ScopedRate(TaxRate("VAT", number)) for number in range(51)]),
            "tax.rates: 51 are too many; expected at most 50",
        ),
        (lambda: CommitmentTerms(5), "commitment: 5 has the wrong type; expected Commitment"),
        (lambda: CommitmentTerms(Commitment("c", 5), charged_before="x"), "charged_before: 'x' is not an exact number"),
        (lambda: ScopedRate("VAT"), "rate: 'VAT' has the wrong type; expected TaxRate"),
        (lambda: replace(DAILY, name=""), "name: '' is not a text"),
        (lambda: replace(DAILY, meter="a b"), "meters: 'a b' is not a name"),
        (
            lambda: replace(DAILY, window=Interval.MINUTE),
            "window: 'minute' is no window of a commitment; expected one of",
        ),
        (lambda: replace(DAILY, quantity=0), "quantity: 0 is not positive"),
        (lambda: replace(DAILY, quantity=None, minimum=-1), "minimum: -1 is negative"),
        (lambda: replace(DAILY, overage_factor="0.5"), "overage_factor: '0.5' makes use beyond a commitment cheaper"),
    ],
)
def test_what_is_no_request_is_refused(build_it: Callable[[], object], message: str) -> None:
    """Each rule, broken once, names the field, the value and what was expected."""
    with pytest.raises(InvalidValueError, match=f"^{re.escape(message)}"):
        build_it()


@pytest.mark.parametrize(
    "fields",
    [
        {"grants": [granted(meters=None, currency=EUR)]},
        {"coupons": [Coupon("c", AmountOff(Money(1, EUR)))]},
    ],
)
def test_a_statement_has_one_currency(fields: dict[str, object]) -> None:
    """A grant or a coupon of another currency is refused before anything is computed."""
    with pytest.raises(CurrencyMismatchError, match="USD met EUR"):
        replace(REQUEST, **fields)


def test_a_statement_that_does_not_add_up_cannot_be_made() -> None:
    """Each sum is asserted where it is made, and so is each line's."""
    vat = [ScopedRate(TaxRate("VAT", 20))]
    drawn = draw_up(replace(REQUEST, coupons=[Coupon("c", AmountOff(Money(3, USD)))], rates=vat))
    assert [line.kind for line in drawn.lines[-2:]] == [Kind.COUPON, Kind.TAX]
    for name in ("subtotal", "tax", "credits", "total"):
        with pytest.raises(AssertionError):
            replace(drawn, **{name: getattr(drawn, name) + Money(1, USD)})
    with pytest.raises(AssertionError):
        replace(drawn, lines=drawn.lines[:-1])
    with pytest.raises(AssertionError):
        replace(drawn, lines=[*drawn.lines[:-2], drawn.lines[-1]])
    with pytest.raises(AssertionError):
        replace(drawn.lines[0], amount=Money(1, USD))
    off = StatementLine(Kind.COUPON, "coupons[0]", None, "c", Decimal(1), Money(-3, USD), (Flat(Decimal(3)),))
    with pytest.raises(AssertionError):
        replace(off, kind=Kind.CHARGE)


def test_windows_tile_the_time_in_which_the_plan_ran() -> None:
    """From noon on the 1st to the morning of the 3rd are three days: a half, a whole and a quarter."""
    ran = Period(datetime(2026, 4, 1, 12, tzinfo=UTC), datetime(2026, 4, 3, 6, tzinfo=UTC))
    windows = windows_in(ran, Interval.DAY, UTC, RATING.proration)
    assert [window.part.of(1) for window in windows] == [Fraction(1, 2), 1, Fraction(1, 4)]
    assert [window.ran.start for window in windows[1:]] == [window.ran.end for window in windows[:-1]]
    assert {window.part.of(1) for window in windows_in(ran, Interval.DAY, UTC, None)} == {1}


def test_a_line_in_json_says_where_it_comes_from_and_how_it_came_about() -> None:
    """The shape that programs rely on, of one line that has everything: a tier, a share, rounding, what was left."""
    document = """
        currency: USD
        period: [2026-04-01, 2026-05-01]
        prices:
          - {meter: a, model: graduated, per: 3, tiers: [{up_to: 10, unit: 1, flat: "0.5"}, {up_to: null, unit: 2}]}
        usage: [{meter: a, quantity: 11}]
        coupons: [{id: HALF, percent: 50}]
        grants: [{id: gift, amount: 20}]
        """
    written = json.loads(json.dumps(write_statement(draw_up(parse_rating(document)))))
    assert written == {
        "lines": [
            {
                "meter": "a",
                "description": "a (graduated)",
                "quantity": "11",
                "amount": "4.50",
                "kind": "charge",
                "source": "prices[0]",
                "derivation": [
                    {"step": "units", "quantity": "10", "per": "3", "unit": "1", "tier": 1, "amount": "10/3"},
                    {"step": "flat", "tier": 1, "amount": "0.5"},
                    {"step": "units", "quantity": "1", "per": "3", "unit": "2", "tier": 2, "amount": "2/3"},
                ],
                "rounding": "line",
            },
            {
                "meter": None,
                "description": "HALF (coupon)",
                "quantity": "1",
                "amount": "-2.25",
                "kind": "coupon",
                "source": "coupons[0]",
                "derivation": [{"step": "share", "of": "4.5", "percent": "50", "tier": None, "amount": "2.25"}],
                "rounding": "line",
            },
            {
                "meter": None,
                "description": "gift (credit)",
                "quantity": "1",
                "amount": "-2.25",
                "kind": "credit",
                "source": "grants[0]",
                "derivation": [
                    {"step": "flat", "tier": None, "amount": "20"},
                    {"step": "left", "amount": "-17.75"},
                ],
                "rounding": "deduction",
            },
        ],
        "subtotal": "2.25",
        "tax": "0.00",
        "credits": "2.25",
        "total": "0.00",
    }
