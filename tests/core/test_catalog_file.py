"""The catalog file is read exactly or not at all, and every problem is told with its line and path."""

import json
import tomllib
from dataclasses import replace
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing_core.catalog import Catalog, Fee, MeterPrice
from billing_core.entitlements import Limit, Overage, Rate, Rates, Setting, Switch, Window
from billing_core.periods import Interval
from billing_core.prices import Graduated, PerUnit, Tier
from gateway.catalog_file import CatalogError, parse_catalog, parse_rating, write_catalog
from tests.core import made

SAMPLE = files("gateway").joinpath("catalogs/neural-language-engine.yaml").read_text(encoding="utf-8")

MISTAKES = tomllib.loads((Path(__file__).parent / "cases" / "mistakes.toml").read_text(encoding="utf-8"))
GOOD: str = MISTAKES["catalog"]
RATING: str = MISTAKES["rating"]


def problems_of(text: str) -> list[str]:
    """Read what must be refused and give its problems as they are printed."""
    with pytest.raises(CatalogError) as caught:
        parse_catalog(text)
    assert str(caught.value) == "\n".join(str(problem) for problem in caught.value.problems)
    return str(caught.value).split("\n")


def test_the_sample_says_what_the_design_says() -> None:
    """The Neural Language Engine, number by number."""
    catalog = parse_catalog(SAMPLE)
    plan = catalog.plans["developer"]
    free, paid = Tier(Decimal(10000)), Tier(None, Decimal("0.002"))
    assert plan.fees == (Fee("Platform", Decimal("49.99"), Interval.MONTH),)
    assert plan.prices == (
        MeterPrice("input_tokens", Graduated((free, paid), Decimal(1000))),
        MeterPrice("output_tokens", PerUnit(Decimal("0.006"), Decimal(1000))),
    )
    assert dict(plan.entitlements) == {
        "priority_queue": Switch(on=False),
        "max_seats": Setting("5"),
        "input_tokens": Limit(1_000_000, Window.MONTH, Overage.DENY, (80, 90, 100)),
        "output_tokens": Limit(None, Window.MONTH),
        "requests": Rates((Rate(100, Window.MINUTE),)),
    }
    scale = catalog.plans["scale"]
    assert scale.fees == (Fee("Platform", Decimal(499), Interval.MONTH),)
    assert scale.prices[0].price == PerUnit(Decimal("0.0015"), Decimal(1000))
    assert scale.prices[1].price == PerUnit(Decimal("0.0045"), Decimal(1000))
    assert scale.entitlements["input_tokens"] == Limit(50_000_000, Window.MONTH, Overage.ALLOW, (80, 100))
    assert scale.entitlements["requests"] == Rates((Rate(1000, Window.MINUTE),))
    assert scale.entitlements["max_seats"] == Setting("50")


@given(made.catalogs())
def test_what_is_written_reads_back_equal(catalog: Catalog) -> None:
    """Parse ∘ write is the identity, and equal catalogs have one text."""
    text = write_catalog(catalog)
    again = parse_catalog(text)
    assert again == catalog
    assert write_catalog(again) == text
    json.loads(text)


@given(made.catalogs())
def test_the_order_of_names_does_not_change_the_text(catalog: Catalog) -> None:
    """Equal catalogs are written alike, in whatever order they were put together."""
    turned = {
        section: dict(reversed(getattr(catalog, section).items()))
        for section in ("meters", "features", "plans", "add_ons")
    }
    assert write_catalog(replace(catalog, **turned)) == write_catalog(catalog)


def test_json_escapes_are_read_as_json_has_them() -> None:
    """Characters beyond the first plane come as two escapes, which YAML would refuse; a byte order mark is skipped."""
    document = json.dumps(json.loads(write_catalog(parse_catalog(GOOD.replace("Basic", '"Basic 😀"')))))
    assert "\\ud83d\\ude00" in document
    assert parse_catalog("\ufeff" + document).plans["basic"].display_name == "Basic 😀"


def test_order_and_spelling_do_not_change_the_canonical_text() -> None:
    """The order of names, quotes, closing zeros, defaults and YAML or JSON say nothing; numbers do."""
    same = GOOD.replace('"9.99"', '"9.9900"').replace("limit: 1000", 'limit: "1000"').replace("overage: deny, ", "")
    same = same.replace(
        "  support: {type: boolean}\n  seats: {type: config}\n", "  seats: {type: config}\n  support: {type: boolean}\n"
    )
    assert same != GOOD
    assert write_catalog(parse_catalog(same)) == write_catalog(parse_catalog(GOOD))
    assert write_catalog(parse_catalog(GOOD.replace("9.99", "9.98"))) != write_catalog(parse_catalog(GOOD))


def test_what_may_be_left_out() -> None:
    """A plan needs an interval, a product a plan and a currency; all else has a default."""
    catalog = parse_catalog("{product: p, currency: EUR, meters: {m: {}}, plans: {free: {billing_interval: year}}}")
    assert catalog.plans["free"].display_name == "free"
    assert catalog.meters["m"].unit == "units"
    assert not catalog.features


@pytest.mark.parametrize(("old", "new", "problem"), MISTAKES["in_catalog"], ids=lambda value: value[:40])
def test_one_mistake_is_one_problem(old: str, new: str, problem: str) -> None:
    """A single slip is told once, with its line, its path and what was expected."""
    assert GOOD.count(old) >= 1
    problems = problems_of(GOOD.replace(old, new, 1))
    assert len(problems) == 1, problems
    assert problems[0].startswith(problem)


def test_all_mistakes_are_told_at_once() -> None:
    """An unknown meter, overlapping tiers, an unquoted decimal and an unknown key in one price are four problems."""
    bad = GOOD.replace("meter: calls, model", "meter: x, colour: red, model").replace("up_to: 20", "up_to: 5")
    bad = bad.replace('unit: "0.1"', "unit: 0.1").replace('"9.99"', "9.99").replace("limit: 1000", "limit: -1")
    paths = [problem.split(": ")[1].removeprefix("plans.basic.") for problem in problems_of(bad)]
    assert paths == [
        "fees[0].amount",
        "prices[0].colour",
        "prices[0].meter",
        "prices[0].tiers[1].up_to",
        "prices[0].tiers[2].unit",
        "entitlements.calls.limit",
    ]


def test_json_is_read_by_the_same_rules() -> None:
    """Strings and integers are taken, a bare decimal is not, lines are known, tabs are white space."""
    document = json.dumps(json.loads(write_catalog(parse_catalog(GOOD))), indent="\t")
    assert parse_catalog(document) == parse_catalog(GOOD)
    line = 1 + document[: document.index('"9.99"')].count("\n")
    assert problems_of(document.replace('"9.99"', "9.99")) == [
        f'line {line}: plans.basic.fees[0].amount: is an unquoted decimal; expected it in quotes, write amount: "9.99"'
    ]
    assert problems_of(document.replace('"product"', '"product": "x", "product"', 1)) == [
        "line 2: product: is given twice; expected once, as on line 2"
    ]


@pytest.mark.parametrize(
    ("written", "json_text"),
    [
        ("5", "5"),
        ('"5"', '"5"'),
        ("0.50", "0.50"),
        ("1e3", "1e3"),
        ("[null]", "[null]"),
        ("eu-west", '"eu-west"'),
        ('"Zürich 😀"', '"Zürich 😀"'),
        ('"\\u00fc"', '"ü"'),
        ("{b: [1, two, {}], a: false}", '{"a":false,"b":[1,"two",{}]}'),
    ],
)
def test_config_values_follow_json(written: str, json_text: str) -> None:
    """What JSON would take as a number is one, quotes make text, keys are sorted."""
    catalog = parse_catalog(GOOD.replace("seats: 5", f"seats: {written}"))
    assert catalog.plans["basic"].entitlements["seats"] == Setting(json_text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "line 1: the document is empty; expected a mapping"),
        ("# nothing\n", "line 1: the document is empty; expected a mapping"),
        ("[]", "line 1: is a list; expected a mapping with product, currency,"),
        ("{product: p, currency: USD}", "line 1: plans: is missing; expected a mapping of at least one plan"),
        ("{product: p, currency: USD, plans: {}}", "line 1: plans: 0 plans are sold; expected at least one"),
        ("null", "line 1: 'null' is not taken here; expected a mapping with product,"),
        ("a: [1\n", "line 2: "),
        ("a: 1\n\tb: 2", "line 2: found "),
        ("a: 1\n---\nb: 2", "line 2: a second document begins; expected one"),
        ("a: \x01", "line 1: holds a character that YAML does not allow; expected text"),
        ("a: \ud800", "line 1: holds a character that YAML does not allow; expected text"),
        ("x" * 3_145_729, "line 1: the document is too large; expected at most 3145728 bytes"),
        ("é" * 1_600_000, "line 1: the document is too large; expected at most 3145728 bytes"),
        (
            "{a: [" + "x," * 1_000_000 + "]}",
            "line 1: the document has too many keys and values; expected at most 500000",
        ),
        ('{"a": [' + "1," * 1_000_000 + "1]}", "line 1: the document has too many keys and values; expected at most"),
        ("[" * 1_000_000, "line 1: [0][0]"),
        ("[" * 100_000 + "]" * 100_000, "line 1: [0][0]"),
        ("- " * 100_000, "line 1: [0][0]"),
    ],
    ids=lambda value: value[:40],
)
def test_what_is_no_document_is_refused_at_once(text: str, problem: str) -> None:
    """Broken, empty, large and deep documents are one problem, found in no time."""
    (only,) = problems_of(text)
    assert only.startswith(problem)


def test_a_billion_laughs_are_not_laughed() -> None:
    """Aliases are refused and never followed, so a small text stays small."""
    bomb = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    problems = problems_of(bomb)
    assert "line 2: b[0]: is an alias; expected the value written out" in problems
    assert len(problems) < 50


def test_reading_stops_after_a_hundred_problems() -> None:
    """A hostile document costs no more than a bad one."""
    problems = problems_of("plans: {" + ",".join(f"p{number}: 5" for number in range(50_000)) + "}")
    assert len(problems) == 101
    assert "line 1: reading stopped after 100 problems; expected fewer" in problems


@given(st.text(max_size=200) | st.lists(st.sampled_from(list("{}[]:,-&*!|>'\"% \n\tab10.")), max_size=60).map("".join))
@settings(max_examples=300)
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text brings forth another error than ours."""
    for parse in (parse_catalog, parse_rating):
        try:
            parse(text)
        except CatalogError as error:
            assert error.problems  # noqa: PT017


@given(st.data())
@settings(max_examples=300)
def test_a_good_catalog_with_a_piece_replaced_is_read_or_refused(data: st.DataObject) -> None:
    """Slips of the hand in a good catalog bring forth no other error than ours, either."""
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(start + 12, len(GOOD))))
    piece = data.draw(st.sampled_from(["", " ", "\n", "null", "-1", "0.5", "true", "[]", "{}", "x", ": ", ", ", "'"]))
    try:
        parse_catalog(GOOD[:start] + piece + GOOD[end:])
    except CatalogError as error:
        assert error.problems  # noqa: PT017


def test_a_rating_document_is_read() -> None:
    """Dates are midnight UTC, other offsets become UTC, usage keeps its moment and dimensions."""
    request = parse_rating(RATING.replace("2026-01-31", "2026-01-31T01:30:00+02:00")).rating
    assert request.period.start.isoformat() == "2026-01-01T00:00:00+00:00"
    assert request.period.end.isoformat() == "2026-02-01T00:00:00+00:00"
    (usage,) = request.usage
    assert (usage.quantity, usage.at.isoformat()) == (Decimal("2.5"), "2026-01-30T23:30:00+00:00")
    assert dict(usage.dimensions) == {"region": "eu"}


@pytest.mark.parametrize(("old", "new", "problem"), MISTAKES["in_rating"], ids=lambda value: value[:40])
def test_one_mistake_in_a_rating_document_is_told(old: str, new: str, problem: str) -> None:
    """The desk calculator tells line, path and rule as the catalog does."""
    assert old in RATING
    with pytest.raises(CatalogError) as caught:
        parse_rating(RATING.replace(old, new, 1))
    assert str(caught.value.problems[0]).startswith(problem)
