"""What the command line does on its own: an accountant prices a document, a seller checks a catalog."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests import terminal

SAMPLE = Path(terminal.__file__).parents[1] / "gateway/catalogs/neural-language-engine.yaml"

RATING = {
    "currency": "USD",
    "period": ["2026-01-01", "2026-02-01"],
    "prices": [
        {
            "meter": "m",
            "model": "graduated",
            "tiers": [{"up_to": "10", "unit": "0.5", "flat": "1"}, {"up_to": None, "unit": "0.2"}],
        }
    ],
    "fees": [],
    "usage": [{"meter": "m", "quantity": "22"}],
}


async def test_the_desk_calculator_prices_a_document(tmp_path: Path) -> None:
    """`rate` prices the same document from a file and from standard input, exactly, and prints one JSON document."""
    fees = [{"name": "Platform", "amount": "5.00", "every": "month"}]
    idle = {"meter": "idle", "model": "per_unit", "unit": "0.1"}
    more = RATING | {"fees": fees, "prices": [*RATING["prices"], idle]}
    bare = {name: value for name, value in RATING.items() if name not in ("fees", "usage")}
    file = tmp_path / "rating.json"
    file.write_text(json.dumps(RATING), encoding="utf-8")
    rated, rated_more, rated_bare, table = await asyncio.gather(
        terminal.run("rate", str(file), "--json"),
        terminal.run("rate", "-", "--json", stdin=json.dumps(more)),
        terminal.run("rate", "-", "--json", stdin=json.dumps(bare)),
        terminal.run("rate", "-", stdin=json.dumps(RATING)),
    )
    # 10 at 0.50 and the flat 1, then 12 at 0.20
    (line,) = rated.json["lines"]
    assert (rated.exit_code, rated.err) == (0, "")
    assert [line[name] for name in ("meter", "description", "quantity", "amount")] == [
        "m",
        "m (graduated)",
        "22",
        "8.40",
    ]
    assert [step["amount"] for step in line["derivation"]] == ["5", "1", "2.4"]
    sums = {name: rated.json[name] for name in rated.json if name != "lines"}
    assert sums == {"subtotal": "8.40", "tax": "0.00", "credits": "0.00", "total": "8.40"}
    assert [(one["meter"], one["amount"]) for one in rated_more.json["lines"]] == [
        ("m", "8.40"),
        ("idle", "0.00"),
        (None, "5.00"),
    ]
    assert rated_more.json["total"] == "13.40"
    assert [one["quantity"] for one in rated_bare.json["lines"]] == ["0"]
    assert "2026-01-01 00:00 to 2026-02-01 00:00" in table.out
    assert "8.40" in table.out


STATEMENT = """\
currency: USD
period: [2026-04-01, 2026-05-01]
active: [2026-04-16, 2026-05-01]
prices:
  - {meter: tokens, model: graduated, per: 1000, tiers: [{up_to: 10000, unit: 0}, {up_to: null, unit: "0.002"}]}
  - {meter: images, model: per_unit, unit: "0.04"}
fees: [{name: Platform, amount: 50, every: month}]
usage:
  - {meter: tokens, quantity: 5010000}
  - {meter: images, quantity: 1000}
grants:
  - {id: free-images, units: 500, meters: [images]}
  - {id: welcome, amount: 5}
  - {id: wallet, amount: 20, cost_basis: 1}
coupons: [{id: SPRING, percent: 10}]
commitments: [{name: Contract, minimum: 120}]
tax: {rates: [{name: VAT, percent: 20}]}
"""


async def test_the_desk_calculator_says_what_is_due_and_why() -> None:
    """Half a month with a commitment, a coupon, three kinds of credit and tax: every line, its sums and its reasons."""
    stated, explained = await asyncio.gather(
        terminal.run("rate", "-", "--json", stdin=STATEMENT), terminal.run("rate", "-", "--explain", stdin=STATEMENT)
    )
    assert (stated.exit_code, stated.err) == (0, "")
    # 5,000 × 0.002, 500 × 0.04 and half of 50 are 55, and half of 120 is committed to; a tenth off; 49 × 20 % of tax
    assert [(line["source"], line["meter"], line["amount"]) for line in stated.json["lines"]] == [
        ("prices[0]", "tokens", "10.00"),
        ("prices[1]", "images", "20.00"),
        ("fees[0]", None, "25.00"),
        ("grants[0]", None, "0.00"),
        ("commitments[0]", None, "5.00"),
        ("coupons[0]", None, "-6.00"),
        ("grants[1]", None, "-5.00"),
        ("tax.rates[0]", None, "9.80"),
        ("grants[2]", None, "-20.00"),
    ]
    sums = {name: stated.json[name] for name in stated.json if name != "lines"}
    assert sums == {"subtotal": "54.00", "tax": "9.80", "credits": "25.00", "total": "38.80"}
    table, _, reasons = explained.out.partition("tokens (graduated): ")
    rows = [[cell.strip() for cell in row.split("│")[1:-1]] for row in table.splitlines() if row.startswith("│")]
    assert rows[-6:] == [
        ["SPRING (coupon)", "", "-6.00"],
        ["Subtotal", "", "54.00"],
        ["welcome (credit)", "", "-5.00"],
        ["VAT 20 %", "", "9.80"],
        ["wallet (paid credit)", "", "-20.00"],
        ["Total", "", "38.80"],
    ]
    assert reasons.splitlines() == [
        "10,000 free, then 5,000,000 ÷ 1,000 × $0.002 = $10.00",
        "images (per_unit): 500 × $0.04 = $20.00",
        "Platform: $50, less $25 for the time in which the plan did not run = $25.00",
        "free-images (granted units): 500 units that are not charged",
        "Contract (true-up): $120, less $60 for the time in which the plan did not run, less $55 charged = $5.00",
        "SPRING (coupon): 10 % of $60 = $6.00 off",
        "welcome (credit): $5.00 off",
        "VAT 20 %: 20 % of $49 = $9.80",
        "wallet (paid credit): $20.00 off",
    ]


async def test_the_desk_calculator_refuses_what_it_cannot_price() -> None:
    """A bad document exits with 2; standard error names the field, and standard output stays empty."""
    bad = {
        "usage[0].meter": RATING | {"usage": [{"meter": "other", "quantity": "1"}]},
        "usage[0].quantity": RATING | {"usage": [{"meter": "m", "quantity": "-1"}]},
        "prices[0].model": RATING | {"prices": [{"meter": "m", "model": "magic", "unit": "1"}]},
        "period": RATING | {"period": ["2026-02-01", "2026-01-01"]},
        "currency": RATING | {"currency": "XXL"},
        "discount": RATING | {"discount": "10"},
        "coupons[0].percent": RATING | {"coupons": [{"percent": "110"}]},
        "tax.rates[0].percent": RATING | {"tax": {"rates": [{"name": "VAT"}]}},
    }
    asked = [terminal.run("rate", "-", "--json", stdin=json.dumps(document)) for document in bad.values()]
    asked.append(terminal.run("rate", "-", "--json", stdin="{"))
    for where, ran in zip([*bad, "YAML or JSON"], await asyncio.gather(*asked), strict=True):
        assert (ran.exit_code, ran.out) == (2, ""), where
        assert where in ran.err


BAD_CATALOG = """\
product: p
currency: USD
meters:
  m: {unit: things, aggregation: sum}
features:
  f: {type: metered, meter: nope}
plans:
  one:
    billing_interval: month
    fees: [{name: Platform, amount: 9.99, every: month}]
    prices:
      - {meter: m, model: graduated, tiers: [{up_to: 10, unit: "1"}, {up_to: 5, unit: "1"}, {up_to: null, unit: "1"}]}
    entitlements: {}
    surprise: 1
"""


async def test_a_catalog_is_validated_without_any_store(tmp_path: Path) -> None:
    """A good catalog is named; of a bad one every problem is told with its line, on standard error alone."""
    bad = tmp_path / "bad.yaml"
    bad.write_text(BAD_CATALOG, encoding="utf-8")
    validate = ("catalog", "validate", "--json")
    good, refused = await asyncio.gather(terminal.run(*validate, str(SAMPLE)), terminal.run(*validate, str(bad)))
    assert (good.exit_code, good.err) == (0, "")
    assert good.json == {"product": "neural-language-engine", "plans": ["developer", "scale"]}
    assert (refused.exit_code, refused.out) == (2, "")
    for problem in (
        "line 6: features.f.meter: 'nope' is not a meter",
        'line 10: plans.one.fees[0].amount: is an unquoted decimal; expected it in quotes, write amount: "9.99"',
        "line 12: plans.one.prices[0].tiers[1].up_to: 5 overlaps the tier before it",
        "line 14: plans.one.surprise: is an unknown key",
    ):
        assert problem in refused.err
