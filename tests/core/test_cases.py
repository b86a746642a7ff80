"""The accountant's cases: each TOML table says what a quantity or a whole document costs."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from billing_core.statement import draw_up
from gateway.catalog_file import parse_rating, write_statement

CASES = Path(__file__).parent / "cases"


def cases(kind: str) -> list[Any]:
    """Collect the tables of one kind from all files, named for the report."""
    return [
        pytest.param(table, id=f"{path.stem}: {table['says']}")
        for path in sorted(CASES.glob("*.toml"))
        for table in tomllib.loads(path.read_text(encoding="utf-8")).get(kind, [])
    ]


def written(document: str) -> Any:
    """Draw up a document, and have each line derive its amount, which it asserts: both ways to it are the case's."""
    statement = draw_up(parse_rating(document))
    assert all(type(line.derivation) is tuple for line in statement.lines)
    return write_statement(statement)


@pytest.mark.parametrize("case", cases("case"))
def test_a_quantity_costs_what_the_case_says(case: dict[str, Any]) -> None:
    """Each quantity of the table, published or ours, is rated by the table's price to the amount beside it."""
    for quantity, amount in (case.get("amounts", {}) | case.get("by_hand", {})).items():
        document = f"""
            currency: {case["currency"]}
            period: [2026-01-01, 2026-02-01]
            prices: [{case["price"]}]
            usage: [{{meter: units, quantity: "{quantity}"}}]
            {case.get("also", "")}
            """
        assert (quantity, written(document)["total"]) == (quantity, amount)


@pytest.mark.parametrize("case", cases("document"))
def test_a_document_gives_the_lines_that_the_case_says(case: dict[str, Any]) -> None:
    """The lines come in the order of prices and fees, then of all that follows; the sums are those named."""
    statement = written(case["text"])
    assert [[line["description"], line["quantity"], line["amount"]] for line in statement["lines"]] == case["lines"]
    sums = ("subtotal", "tax", "credits", "total")
    assert [statement[name] for name in sums] == [case.get(name, statement[name]) for name in sums]
    assert "total" in case


def test_a_fee_has_no_meter_and_a_price_has_its_own() -> None:
    """The meter of a line says which usage it prices; a fee prices none."""
    document = """
        currency: USD
        period: [2026-01-01, 2026-02-01]
        prices: [{meter: a, model: per_unit, unit: 1}]
        fees: [{name: Base, amount: 1, every: year}]
        """
    assert [line.meter for line in draw_up(parse_rating(document)).lines] == ["a", None]
