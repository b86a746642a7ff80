"""Every line can say how it came about."""

import tomllib
from pathlib import Path

import pytest

from billing_core.statement import draw_up
from gateway.catalog_file import parse_rating
from gateway.cli.explain import explained

ONE_FEE = """
currency: USD
period: [2026-04-01, 2026-05-01]
prices: [{meter: m, model: per_unit, unit: 2}]
fees: [{name: Base, amount: 100, every: month}]
"""
CASES = tomllib.loads((Path(__file__).parent / "cases" / "explained.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("price", "usage", "billed", "words"), CASES["lines"], ids=lambda value: value[:60])
def test_a_line_says_how_it_came_about(price: str, usage: str, billed: str, words: str) -> None:
    """The words are those that a person would write, from the same steps that made the amount."""
    document = f"""
        currency: USD
        period: [2026-01-01, 2026-02-01]
        prices: [{price}]
        billed: {{{billed}}}
        usage: [{usage}]
        """
    (line,) = draw_up(parse_rating(document)).lines
    assert explained(line) == words


@pytest.mark.parametrize(("further", "description", "words"), CASES["further"], ids=lambda value: value[:60])
def test_a_line_that_is_no_use_says_so_too(further: str, description: str, words: str) -> None:
    """Commitments, coupons, credits and tax are explained from the same steps that a program is given."""
    document = f"{ONE_FEE}{further}"
    (line,) = (line for line in draw_up(parse_rating(document)).lines if line.description == description)
    assert explained(line) == words


def test_a_prorated_fee_says_so() -> None:
    """What falls outside the part in which the plan ran is taken off in sight."""
    document = """
        currency: USD
        period: [2026-04-01, 2026-05-01]
        active: [2026-04-01, 2026-04-11]
        fees: [{name: Base, amount: 10, every: month}]
        """
    (line,) = draw_up(parse_rating(document)).lines
    words = "$10, less $6.666666666667… for the time in which the plan did not run = $3.333333333333…, rounded = $3.33"
    assert explained(line) == words


def test_seats_say_how_long_they_were_held() -> None:
    """Seats times seconds over the period's seconds, or a bare number where it is whole."""
    document = """
        currency: USD
        period: [2026-04-01, 2026-05-01]
        seats: [{unit: 30, levels: [[2026-04-01, 4]]}, {unit: 30, levels: [[2026-04-30, 4]]}]
        """
    all_month, a_day = draw_up(parse_rating(document)).lines
    assert explained(all_month) == "4 \N{MULTIPLICATION SIGN} $30 = $120.00"
    assert explained(a_day).endswith(" \N{MULTIPLICATION SIGN} $30 = $4.00")
