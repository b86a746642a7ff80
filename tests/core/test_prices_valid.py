"""Prices, their terms and what they are applied to are valid or not at all: each rule, broken once."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from billing_core.catalog import MeterPrice
from billing_core.errors import InvalidValueError
from billing_core.money import Currency
from billing_core.periods import Period
from billing_core.prices import (
    Capacity,
    CapacityTier,
    Cell,
    Dynamic,
    GraduatedPercentage,
    Matrix,
    Percentage,
    PercentTier,
    PerUnit,
    Prepaid,
    Price,
    Stair,
    Stairstep,
    Terms,
    Tier,
    Volume,
)
from billing_core.prices.terms import AmountOff, ChargeWhen, Conversion, PercentOff, UnitRounding, UnitsOff
from billing_core.rating import Billed, Index, RatingRequest, Usage

START = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)
JANUARY = Period(START, datetime(2026, 2, 1, tzinfo=UTC))
VOLUME = Volume([Tier(None, 1)])
CAPACITY = Capacity([CapacityTier({"a": 1}, 1)])
MATRIX = Matrix(["model"], [Cell({"model": "large"}, 1)])
SPOT = {"spot": Index([(LATER, 1)])}


def asked(price: Price, usage: Usage | None = None, terms: Terms | None = None, **further: object) -> RatingRequest:
    """Ask for the price of a meter `m`."""
    used = [] if usage is None else [usage]
    return RatingRequest(Currency("USD"), JANUARY, [MeterPrice("m", price, terms or Terms())], (), used, **further)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Tier(None, 1, size=0), "size: 0 is not positive"),
        (lambda: Stair(None, -1), "amount: -1 is negative"),
        (lambda: Stairstep([Tier(None, 1)]), "tiers[0]: a value of type Tier is not a tier; expected a Stair"),
        (lambda: PercentTier(None, -1), "rate: -1 is negative"),
        (lambda: GraduatedPercentage([PercentTier(1)]), "tiers[0].up_to: 1 ends the last tier; expected null"),
        (lambda: Percentage(-1), "rate: -1 is negative"),
        (lambda: Percentage(1, free_events=-1), "free_events: -1 is not a number of events; expected a whole number"),
        (lambda: Percentage(1, free_events=True), "free_events: True is not a number of events"),
        (lambda: Percentage(1, free_amount=-1), "free_amount: -1 is negative"),
        (lambda: Percentage(1, min_per_event=2, max_per_event=1), "max_per_event: 1 is below the minimum; expected at"),
        (lambda: Matrix([], []), "dimensions: 0 dimensions are given; expected at least one"),
        (lambda: Matrix(["a", "a"], []), "dimensions[1]: 'a' is named twice"),
        (lambda: Matrix(["a"], [(1, 2)]), "cells[0]: a value of type tuple is not a cell"),
        (
            lambda: Matrix(["a"], [Cell({"b": "x"}, 1)]),
            "cells[0].match: 'b' is not a dimension of this price; expected",
        ),
        (
            lambda: Matrix(["a"], [Cell({}, 1), Cell({"a": "x"}, 2)]),
            "cells[1].match: a value of type mappingproxy is never reached; expected the special cells before",
        ),
        (lambda: Cell({"a": ""}, 1), "match.a: '' is not a text"),
        (lambda: Dynamic(markup=-1), "markup: -1 is negative"),
        (lambda: Dynamic(floor=2, cap=1), "cap: 1 is below the floor; expected at least 2"),
        (lambda: Prepaid(0, 1, 1, PerUnit(1)), "block: 0 is not positive"),
        (lambda: Prepaid(1, "0.5", 1, PerUnit(1)), "blocks: 0.5 is not whole; expected a whole number of blocks"),
        (lambda: Prepaid(1, 1, 1, MATRIX), "overage: a value of type Matrix is not a price of a quantity"),
        (lambda: Prepaid(1, 1, 1, PerUnit(1), 101), "discount: 101 is more than everything; expected at most 100"),
        (lambda: Capacity([]), "tiers: 0 limits are given; expected at least one tier with a limit"),
        (lambda: Capacity([CapacityTier({}, 1)]), "tiers: 0 limits are given"),
        (
            lambda: Capacity([CapacityTier({"a": 2}, 1), CapacityTier({"a": 1}, 1)]),
            "tiers[1].limits.a: 1 is below the tier before it; expected at least 2",
        ),
        (
            lambda: Capacity([CapacityTier({"a": 2}, 1), CapacityTier({"b": 1}, 1)]),
            "tiers[1].limits.b: 1 limits what is unbounded before; expected no limit",
        ),
        (lambda: Terms(included=-1), "included: -1 is negative"),
        (lambda: Terms(minimum=2, maximum=1), "maximum: 1 is below the minimum; expected at least 2"),
        (lambda: Terms(discount=5), "discount: 5 is not a discount; expected percent, amount or units"),
        (lambda: Terms(filter={"a": ()}), "filter.a: 0 values are given; expected at least one"),
        (lambda: Terms(charge_when="advance"), "charge_when: 'advance' has the wrong type"),
        (Conversion, "divide: null is not one conversion; expected either divide or multiply"),
        (lambda: Conversion(1, 1), "divide: 1 is not one conversion"),
        (lambda: Conversion(0), "divide: 0 is not positive"),
        (lambda: Conversion(1, rounding="up"), "rounding: 'up' has the wrong type"),
        (lambda: PercentOff(101), "percent: 101 is more than everything; expected at most 100"),
        (lambda: AmountOff(-1), "amount: -1 is negative"),
        (lambda: UnitsOff(-1), "units: -1 is negative"),
        (lambda: MeterPrice("a", CAPACITY), "meter: 'a' is one meter; expected none, for capacity"),
        (lambda: MeterPrice(None, PerUnit(1)), "meter: null is not a name"),
        (
            lambda: MeterPrice("m", MATRIX, Terms(convert=Conversion(10, rounding=UnitRounding.UP))),
            "convert.rounding: 'up' has no quantity to round; expected none, for matrix",
        ),
        (
            lambda: MeterPrice(None, CAPACITY, Terms(included=1)),
            "included: 'capacity' has no quantity of its own; expected no included",
        ),
        (
            lambda: MeterPrice("m", Prepaid(1, 1, 1, PerUnit(1)), Terms(discount=PercentOff(1))),
            "discount: 'prepaid' has a discount of its own",
        ),
        (
            lambda: MeterPrice("m", VOLUME, Terms(charge_when=ChargeWhen.ADVANCE)),
            "charge_when: 'advance' does not suit volume; expected arrears",
        ),
        (lambda: Index([]), "points: 0 prices are given; expected at least one moment"),
        (lambda: Index([(START, 1), (START, 2)]), "[1][0]: '2026-01-01T00:00:00+00:00' does not come later"),
        (lambda: Index([(START, -1)]), "[0][1]: -1 is negative"),
        (lambda: Index([("2026", 1)]), "[0][0]: '2026' is not a moment"),
        (lambda: Usage("m", 1, events=0), "events: 0 is not a number of events; expected a whole number from 1"),
        (lambda: Usage("m", 1, amount=-1), "amount: -1 is negative"),
        (lambda: Billed(-1, 1), "quantity: -1 is negative"),
        (lambda: asked(PerUnit(1), final=1), "final: 1 has the wrong type; expected bool"),
        (lambda: asked(Dynamic("x"), indexes=SPOT), "prices[0].index: 'x' is not an index; expected one of spot"),
        (lambda: asked(Dynamic(), Usage("m", 1)), "usage[0].amount: null is no price; expected the event's own amount"),
        (lambda: asked(Dynamic("spot"), Usage("m", 1), indexes=SPOT), "usage[0].at: null has no price in the index"),
        (
            lambda: asked(Dynamic("spot"), Usage("m", 1, START), indexes=SPOT),
            "usage[0].at: '2026-01-01T00:00:00+00:00' has no price in the index; expected a moment from 2026-01-02",
        ),
        (lambda: asked(MATRIX, Usage("m", 1)), "usage[0].dimensions: 'm' is used as nothing with a price; expected"),
        (lambda: asked(PerUnit(1), billed={"x": Billed(1, 1)}), "billed.x: 'x' has no price of its own; expected a"),
        (
            lambda: asked(PerUnit(1), billed={"m": Billed(1, "0.001")}),
            "billed.m.amount: 0.001 is not rounded; expected at most 2 decimals",
        ),
        (
            lambda: asked(MATRIX, billed={"m": Billed(1, 1)}),
            "billed.m.quantity: 1 cannot be priced again; expected 0, and all of the period's usage",
        ),
    ],
    ids=lambda value: value[:50] if isinstance(value, str) else "",
)
def test_what_breaks_a_rule_cannot_be_built(build: Callable[[], object], message: str) -> None:
    """The error names the field, the value and what was expected."""
    with pytest.raises(InvalidValueError, match=f"^{re.escape(message)}"):
        build()


def test_what_stands_on_the_edge_of_a_rule_is_taken() -> None:
    """Bounds may meet, everything may be discounted, and a filter may leave out what has no price."""
    assert Terms(minimum=1, maximum=1).maximum == Percentage(1, min_per_event=1, max_per_event=1).max_per_event
    assert Dynamic(floor=1, cap=1).cap == Decimal(1)
    assert PercentOff(100).percent == Prepaid(1, 0, 1, PerUnit(1), 100).discount
    assert Capacity([CapacityTier({"a": 1}, 1), CapacityTier({"a": 1}, 2)]).meters == ("a",)
    assert asked(MATRIX, Usage("m", 1), Terms(filter={"model": ["large"]})).usage
    assert asked(PerUnit(1), billed={"m": Billed(0, "-0.01")}).billed["m"].amount == Decimal("-0.01")
