"""Statements add up, whatever they are made of, and whatever order it comes in."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing_core.catalog import Fee, MeterPrice
from billing_core.commitments import Commitment
from billing_core.credits import Grant
from billing_core.discounts import EVERYTHING, AmountOff, Coupon, OnMeters, PercentOff, UnitsOff
from billing_core.invoice_document import loaded, stored
from billing_core.money import Currency, Money, total
from billing_core.periods import Interval, Period
from billing_core.prices import Graduated, PerUnit, Tier, Volume
from billing_core.proration import ProrationBasis
from billing_core.rating import Billed, RatingRequest, Usage
from billing_core.statement import (
    CommitmentTerms,
    Kind,
    ScopedRate,
    StatementRequest,
    WindowCommitment,
    draw_up,
)
from billing_core.tax import TaxMode, TaxRate, TaxRounding, TaxTerms
from gateway.catalog_file import write_statement
from tests.core import made

START = datetime(2026, 4, 1, tzinfo=UTC)
PERIOD = Period(START, datetime(2026, 5, 1, tzinfo=UTC))
METERS = ["a", "b"]

currencies = st.sampled_from(["USD", "JPY", "KWD"]).map(Currency)
moments = st.integers(0, 30 * 24 - 1).map(lambda hours: START + timedelta(hours=hours))
quantities = made.decimals(200, 2)
units = made.decimals(5, 4)
scopes = st.sampled_from([None, frozenset("a"), frozenset("ab")])
uses = st.lists(st.builds(Usage, st.sampled_from(METERS), quantities, moments), max_size=6)
shares = st.sampled_from([Decimal(1), Decimal("1.5"), Decimal(3)])


@st.composite
def ratings(draw: st.DrawFn) -> RatingRequest:
    """Make a period of two meters, of which the first is priced by unit, and maybe a fee."""
    tiers = [Tier(10, draw(units), draw(units)), Tier(None, draw(units))]
    other = draw(st.sampled_from([Graduated(tiers), Volume(tiers), PerUnit(draw(units))]))
    fees = [Fee("Base", draw(made.decimals(100, 2)), Interval.MONTH)] if draw(st.booleans()) else []
    active = Period(draw(moments), PERIOD.end) if draw(st.booleans()) else None
    return RatingRequest(
        draw(currencies),
        PERIOD,
        [MeterPrice("a", PerUnit(draw(units))), MeterPrice("b", other)],
        fees,
        draw(uses),
        active=active,
        proration=draw(st.sampled_from([*ProrationBasis, None])),
    )


@st.composite
def grants_of(draw: st.DrawFn, currency: Currency) -> list[Grant]:
    """Make grants of units, of promotional money, and of money that was paid for."""
    made_up = []
    for index in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["units", "promotional", "paid"]))
        made_up.append(
            Grant(
                f"g{index}",
                draw(quantities),
                (begin := draw(moments)),
                begin,
                priority=draw(st.integers(0, 2)),
                cost_basis=Decimal(kind == "paid"),
                meters=draw(scopes.filter(bool))
                if kind == "units"
                else draw(scopes)
                if kind == "promotional"
                else None,
                currency=None if kind == "units" else currency,
                recurs=draw(st.sampled_from([None, Interval.WEEK])) if kind == "units" else None,
            )
        )
    return made_up


@st.composite
def coupons_of(draw: st.DrawFn, currency: Currency) -> list[Coupon]:
    """Make coupons of any value and scope."""
    values = st.one_of(
        st.builds(PercentOff, st.sampled_from(["10", "33.3", "100"])),
        st.integers(1, 50).map(lambda amount: AmountOff(Money(amount, currency))),
    )
    anywhere = st.sampled_from([EVERYTHING, OnMeters("a"), OnMeters("ab")])
    some = [Coupon(f"c{index}", draw(values), draw(anywhere)) for index in range(draw(st.integers(0, 3)))]
    return some + [Coupon("units", UnitsOff(draw(st.integers(1, 50))), OnMeters("ab"))] * draw(st.integers(0, 1))


@st.composite
def commitments(draw: st.DrawFn) -> CommitmentTerms:
    """Make a commitment to the period, with any of its bounds."""
    low, high = sorted([draw(made.decimals(300, 2)), draw(made.decimals(300, 2))])
    name = f"of {low} and {high}"
    return CommitmentTerms(Commitment(name, low, draw(st.sampled_from([None, high])), draw(shares), draw(scopes)))


@st.composite
def requests(draw: st.DrawFn) -> StatementRequest:
    """Make a request with a few of everything."""
    rating = draw(ratings())
    daily = WindowCommitment("daily", "a", Interval.DAY, draw(st.integers(1, 20)), None, draw(shares))
    rates = [ScopedRate(TaxRate("VAT", "19")), ScopedRate(TaxRate("Reduced", "7.5"), frozenset("b"))]
    return StatementRequest(
        rating,
        draw(grants_of(rating.currency)),
        draw(coupons_of(rating.currency)),
        draw(st.lists(commitments(), max_size=2, unique_by=lambda terms: terms.name))
        + [daily] * draw(st.integers(0, 1)),
        rates[: draw(st.integers(0, 2))],
        draw(st.builds(TaxTerms, st.sampled_from(TaxMode), st.sampled_from(TaxRounding))),
    )


@given(requests())
def test_the_total_is_the_sum_of_the_lines(request: StatementRequest) -> None:
    """Every sum is that of its lines, tax that is in them aside, and all of it can be read back."""
    drawn = draw_up(request)
    currency = request.rating.currency
    of_kind = {kind: total([one.amount for one in drawn.lines if one.kind is kind], currency) for kind in Kind}
    assert drawn.total == total(list(of_kind.values()), currency)
    assert drawn.subtotal == of_kind[Kind.CHARGE] + of_kind[Kind.COMMITMENT] + of_kind[Kind.COUPON]
    assert drawn.credits == -of_kind[Kind.CREDIT]
    added = drawn.tax if request.tax.mode is TaxMode.EXCLUSIVE else Money(0, currency)
    assert drawn.total == drawn.subtotal + added - drawn.credits
    assert loaded(json.loads(json.dumps(stored(drawn.invoice)))) == drawn.invoice


@given(requests())
def test_every_line_adds_up_to_its_amount_in_json(request: StatementRequest) -> None:
    """A program that adds the steps as fractions finds the amount, or with a minus what is taken off."""
    document = json.loads(json.dumps(write_statement(draw_up(request))))
    for line in document["lines"]:
        steps = sum((Fraction(step["amount"]) for step in line["derivation"]), Fraction(0))
        assert steps == Fraction(line["amount"]) * (-1 if line["kind"] in ("coupon", "credit") else 1)
    lines = sum((Decimal(line["amount"]) for line in document["lines"]), Decimal(0))
    assert lines == Decimal(document["total"])


@given(requests(), st.randoms())
def test_the_order_of_usage_and_grants_does_not_matter(request: StatementRequest, random: st.randoms) -> None:
    """What is used, and what burns first, is decided by time and priority, never by arrival."""
    usage, grants = list(request.rating.usage), list(request.grants)
    random.shuffle(usage)
    random.shuffle(grants)
    other = draw_up(replace(request, rating=replace(request.rating, usage=usage), grants=grants))
    drawn = draw_up(request)
    assert [(one.description, one.amount) for one in other.lines] == [
        (one.description, one.amount) for one in drawn.lines
    ]
    assert (other.subtotal, other.tax, other.credits, other.total) == (
        *(drawn.subtotal, drawn.tax, drawn.credits, drawn.total),
    )


@given(ratings(), st.lists(st.integers(1, 60), max_size=4), st.lists(st.integers(1, 60), max_size=4), st.randoms())
def test_the_order_of_amounts_off_does_not_matter(
    rating: RatingRequest, on_a: list[int], anywhere: list[int], random: st.randoms
) -> None:
    """Amounts of one scope take the same in any order, and narrower scopes come first in any case."""
    coupons = [
        *(
            Coupon(f"a{number}", AmountOff(Money(one, rating.currency)), OnMeters("a"))
            for number, one in enumerate(on_a)
        ),
        *(Coupon(f"c{number}", AmountOff(Money(one, rating.currency))) for number, one in enumerate(anywhere)),
    ]
    shuffled = random.sample(coupons, len(coupons))
    vat = [ScopedRate(TaxRate("VAT", "19"))]
    one, other = (draw_up(StatementRequest(rating, coupons=order, rates=vat)) for order in (coupons, shuffled))
    assert (one.subtotal, one.tax, one.total) == (other.subtotal, other.tax, other.total)


@given(requests())
def test_nothing_is_negative_where_nothing_was_given_back(request: StatementRequest) -> None:
    """Coupons and credits leave nothing to pay at most, and a maximum takes no more than was charged."""
    drawn = draw_up(request)
    assert all(amount.amount >= 0 for amount in (drawn.subtotal, drawn.tax, drawn.credits, drawn.total))
    assert all(line.amount.amount >= 0 for line in drawn.lines if line.kind is Kind.CHARGE)
    assert all(line.amount.amount <= 0 for line in drawn.lines if line.kind.takes_off)


@given(requests(), st.integers(1, 18))
def test_a_tax_that_is_split_into_two_takes_the_same(request: StatementRequest, part: int) -> None:
    """19 % as two rates that add up to it come to the same tax, exclusive or inclusive, rounded once."""
    terms = TaxTerms(request.tax.mode, TaxRounding.INVOICE)
    whole = [ScopedRate(TaxRate("VAT", 19))]
    split = [ScopedRate(TaxRate("State", part)), ScopedRate(TaxRate("City", 19 - part))]
    one, other = (draw_up(replace(request, tax=terms, rates=rates)) for rates in (whole, split))
    assert (one.tax, one.total) == (other.tax, other.total)


@given(ratings(), uses, commitments())
def test_a_period_in_two_splits_costs_what_it_costs_in_one(
    rating: RatingRequest, later: list[Usage], terms: CommitmentTerms
) -> None:
    """Bounds, overage and true-up of a commitment lose no cent when a period is rated twice."""
    by_unit = replace(rating, prices=[rating.prices[0], MeterPrice("b", PerUnit(Decimal("0.3")))], fees=())
    first = draw_up(StatementRequest(replace(by_unit, final=False), commitments=[terms]))
    billed = {line.meter: Billed(line.quantity, line.amount.amount) for line in first.lines if line.kind is Kind.CHARGE}
    last = draw_up(StatementRequest(replace(by_unit, usage=later, billed=billed), commitments=[terms]))
    whole = draw_up(StatementRequest(replace(by_unit, usage=[*by_unit.usage, *later]), commitments=[terms]))
    assert first.total + last.total == whole.total


@given(requests(), st.integers(1, 100))
def test_more_money_granted_never_makes_a_period_dearer(request: StatementRequest, amount: int) -> None:
    """One more grant of money takes off what is due at most by its amount and its tax, and never adds to it."""
    more = Grant("more", Decimal(amount), START, START, priority=9, currency=request.rating.currency)
    assert draw_up(replace(request, grants=[*request.grants, more])).total <= draw_up(request).total
