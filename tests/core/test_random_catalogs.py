"""A share of the million: catalogs and usage at random are rated, or refused by a rule; and what is wrong is seen."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest

from billing_core.aggregation import Aggregation
from billing_core.money import Money
from billing_core.prices import Price
from billing_core.prices.terms import Discount, UnitRounding
from billing_core.proration import ProrationBasis
from billing_core.rating import Rating, RatingRequest, rate
from tests.core import random_catalogs
from tests.core.random_catalogs import check, tried
from tests.core.random_requests import sold

SHARE = 4000
RUNS_MIN = 1_000_000
REFUSED_SHARE_MIN, REFUSED_SHARE_MAX = 0.1, 0.4
RULES_MIN = 80

REPORT = json.loads((Path(__file__).parent / "random_catalogs_report.json").read_text(encoding="utf-8"))
EVERYTHING = {
    *(f"model {price.model}" for price in get_args(Price)),
    *(f"aggregation {aggregation.name}" for aggregation in get_args(Aggregation)),
    *(f"discount {discount.__name__}" for discount in get_args(Discount)),
    *(f"rounding {rounding.value}" for rounding in UnitRounding),
    *(f"proration {basis.value}" for basis in ProrationBasis),
    *(f"term {name}" for name in ("included", "minimum", "maximum", "filter")),
    *("proration none", "fees", "usage", "billed", "active", "seats", "final", "not final", "zone Australia/Lord_Howe"),
}
"""What must have been rated, and not only refused."""


def test_a_share_of_the_runs_is_rated_or_refused() -> None:
    """No error that is not ours, no sum that is off, in requests of everything that there is; some break a rule."""
    tally = tried(range(SHARE))
    assert tally.failures == []
    assert set(tally.holding) >= EVERYTHING
    assert tally.rated + tally.refusals.total() == SHARE
    assert REFUSED_SHARE_MIN < tally.refusals.total() / SHARE < REFUSED_SHARE_MAX
    assert len(tally.refusals) >= RULES_MIN


def test_the_whole_run_was_made() -> None:
    """The report, as the run wrote it, adds up: everything was in it, and nothing failed."""
    assert REPORT["runs"] >= RUNS_MIN
    assert REPORT["rated"] + REPORT["refused"] == REPORT["runs"]
    assert REPORT["failures"] == []
    assert set(REPORT["holding"]) >= EVERYTHING
    assert sum(REPORT["refusals"].values()) == REPORT["refused"]


def test_amounts_of_more_digits_than_usual_add_up() -> None:
    """Seeds whose totals have 29 digits and more: the sums are exact, and so is what checks them."""
    seeds = (14414, 195142, 417538, 602350)
    for seed in seeds:
        assert tried(range(seed, seed + 1)).rated == 1
        assert len(rate(sold(seed).request).total.amount.as_tuple().digits) > 28


def test_a_seed_is_one_request() -> None:
    """Whoever repeats a run gets the same catalog and the same usage."""
    first, second, *_ = (seed for seed in range(40) if tried(range(seed, seed + 1)).rated)
    assert sold(first) == sold(first)
    assert sold(first) != sold(second)


def wrong_total(request: RatingRequest) -> Rating:
    """Add a unit that no line has."""
    rating = rate(request)
    object.__setattr__(rating, "total", rating.total + Money(Decimal(1), request.currency))
    return rating


def forgetful(request: RatingRequest) -> Rating:
    """Give something else from the second time on."""
    rating = rate(request)
    if first_times.pop():
        return rating
    return replace(rating, lines=())


def by_arrival(request: RatingRequest) -> Rating:
    """Charge only what arrived first."""
    return rate(replace(request, usage=request.usage[:1]))


def foreign(request: RatingRequest) -> Rating:
    """Fail as only a bug does."""
    raise KeyError(request.currency.code)


first_times: list[bool] = []


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (wrong_total, "AssertionError: the lines make another total"),
        (forgetful, "AssertionError: rating again gives something else"),
        (by_arrival, "AssertionError: another order gives something else"),
        (foreign, "KeyError: "),
    ],
)
def test_what_is_wrong_is_found_by_its_seed(monkeypatch: pytest.MonkeyPatch, broken: Any, complaint: str) -> None:
    """Each thing that is checked fails where it does not hold, and the seed to repeat it with is named."""
    first_times[:] = [False, True] * 50
    monkeypatch.setattr(random_catalogs, "rate", broken)
    failures = tried(range(40)).failures
    assert failures
    assert all(failure.startswith("seed ") and complaint in failure for failure in failures)


def test_a_float_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A float in the JSON of a result fails, however small."""
    request = next(sold(seed).request for seed in range(40) if tried(range(seed, seed + 1)).rated)
    check(request, rate(request), 1)
    monkeypatch.setattr(random_catalogs, "write_step", lambda _: {"amount": 0.5})
    with pytest.raises(AssertionError, match=r"^0\.5 is a float"):
        check(request, rate(request), 1)
