"""The accountant's calls: each TOML table names a function of billing_core, what it is given and what it gives."""

import importlib
from collections.abc import Callable
from dataclasses import is_dataclass
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

import pytest

from billing_core.aggregation import measure
from billing_core.money import Currency, Money, exact_decimal, plain_text, total
from billing_core.periods import Period
from billing_core.proration import Share, share
from billing_core.rating import rate
from gateway.catalog_file import parse_rating
from tests.core import commitment_calls, credit_calls, invoice_calls, money_calls
from tests.core.test_cases import cases

IN_WORDS: dict[str, Callable[[dict[str, Any]], Any]] = {
    **money_calls.CALLS,
    **credit_calls.CALLS,
    **commitment_calls.CALLS,
    **invoice_calls.CALLS,
}
"""Calls whose cases an accountant would not write as the function takes them."""


@pytest.mark.parametrize("case", cases("call"))
def test_a_call_gives_what_the_case_says(case: dict[str, Any]) -> None:
    """The named function, called with the table's `with`, gives the table's `gives`; of an invoice, what it names."""
    if case["call"] in IN_WORDS:
        result = IN_WORDS[case["call"]](case["with"])
        names = case["gives"] if case["call"] == "invoice.build" else result
        assert ({name: result[name] for name in names} if isinstance(result, dict) else result) == case["gives"]
        return
    module, _, name = case["call"].rpartition(".")
    function = getattr(importlib.import_module(f"billing_core.{module}"), name)
    assert said(given(function, case["with"]), case["gives"]) == case["gives"]


@pytest.mark.parametrize("case", cases("measured"))
def test_events_measure_what_the_case_says(case: dict[str, Any]) -> None:
    """The events of the table are aggregated to its quantities, each of which its price, if any, prices by itself."""
    values = {name: case[name] for name in ("aggregation", "period", "zone", "decimals", "rounding") if name in case}
    fields = ("at", "quantity", "dimensions")
    quantities = given(measure, values | {"events": [dict(zip(fields, row, strict=False)) for row in case["events"]]})
    assert said(quantities, []) == case["quantities"]
    if "price" in case:
        document = (
            'currency: USD\nperiod: [2026-01-01, 2026-02-01]\nprices: [{}]\nusage: [{{meter: units, quantity: "{}"}}]'
        )
        ratings = [
            rate(parse_rating(document.format(case["price"], quantity)).rating) for quantity in case["quantities"]
        ]
        assert total([rating.total for rating in ratings], Currency("USD")).text() == case["total"]


def given(function: Any, values: dict[str, Any]) -> Any:
    """Call a function with what a table says, each value read as its parameter's type."""
    kinds = get_type_hints(function.__init__ if isinstance(function, type) else function)
    return function(**{name: read(kinds[name], value) for name, value in values.items()})


def read(kind: Any, value: Any) -> Any:
    """Read what TOML can write as a value of a type: decimals and moments are texts, enumerations their values."""
    inner = [part for part in get_args(kind) if part not in (NoneType, ...)]
    match kind, value:
        case _ if len(inner) > 1 and get_origin(kind) is UnionType:
            named = next(part for part in inner if part.name == value["name"])
            return given(named, {name: part for name, part in value.items() if name != "name"})
        case _, list() if kind is not Period:
            return tuple(read(inner[0], part) for part in value)
        case _ if len(inner) == 1:
            return read(inner[0], value)
        case _ if kind in READERS:
            return READERS[kind](value)
        case type(), _ if is_dataclass(kind) or issubclass(kind, Enum):
            return given(kind, value) if isinstance(value, dict) else kind(value)
        case _:
            return value


def moment(value: str | date) -> datetime:
    """Read a date as its midnight, and what names no offset as UTC."""
    at = datetime.fromisoformat(str(value))
    return at if at.tzinfo else at.replace(tzinfo=UTC)


READERS = {
    datetime: moment,
    tzinfo: ZoneInfo,
    Decimal: lambda value: exact_decimal("value", value),
    Period: lambda value: Period(*map(moment, value)),
    Share: lambda value: given(share, value) if "period" in value else Share(**value),
}


def said(value: Any, like: Any) -> Any:
    """Write what a function gave in the shape of what the case expects: a mapping asks for attributes."""
    match value:
        case _ if isinstance(like, dict):
            return {name: said(getattr(value, name), inner) for name, inner in like.items()}
        case _ if isinstance(like, list):
            shapes = like if len(like) == len(value) else [None] * len(value)
            return [said(inner, shape) for inner, shape in zip(value, shapes, strict=True)]
        case Money():
            return value.text()
        case Decimal():
            return plain_text(value)
        case datetime():
            return value.isoformat()
        case _:
            return value
