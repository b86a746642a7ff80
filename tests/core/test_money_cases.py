"""The accountant's calls: each TOML table names a function of the money core, its arguments and what it must give."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from billing_core.money import Currency, Money, Quotient, RoundingPoint, allocate, exact_decimal, rounded
from tests.core import commitment_calls, credit_calls, invoice_calls

CASES = Path(__file__).parent / "cases"
FILES = ("money", "credits", "commitments", "invoice")

Arguments = dict[str, Any]


def money_rounded(given: Arguments) -> list[str]:
    """Round each amount on a line of its own."""
    currency = Currency(given["currency"])
    exact = [Quotient(exact_decimal("amount", amount)) for amount in given["amounts"]]
    return [rounded(quotient, currency, RoundingPoint.LINE).text() for quotient in exact]


def money_allocate(given: Arguments) -> list[str]:
    """Split an amount by weights."""
    weights = [exact_decimal("weight", weight) for weight in given["weights"]]
    return [part.text() for part in allocate(Money(given["amount"], Currency(given["currency"])), weights)]


CALLS: dict[str, Callable[[Arguments], object]] = {
    "money.rounded": money_rounded,
    "money.allocate": money_allocate,
    **credit_calls.CALLS,
    **commitment_calls.CALLS,
    **invoice_calls.CALLS,
}


def calls() -> list[Any]:
    """Collect the calls of all files, named for the report."""
    return [
        pytest.param(table, id=f"{name}: {table['says']}")
        for name in FILES
        for table in tomllib.loads((CASES / f"{name}.toml").read_text(encoding="utf-8"))["worked"]
    ]


@pytest.mark.parametrize("case", calls())
def test_a_call_gives_what_the_case_says(case: dict[str, Any]) -> None:
    """What is expected, published or ours, is what comes out, number by number; of an invoice, what the case names."""
    given: Any = CALLS[case["function"]](case["arguments"])
    if case["function"] == "invoice.build":
        given = {name: given[name] for name in case["expected"]}
    assert given == case["expected"]
