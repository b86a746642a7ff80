"""The charge equals the one computed by hand, from what was written down."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.cli.show import charges_document
from gateway.client import GatewayError
from tests.conftest import SAMPLE

if TYPE_CHECKING:
    from tests.conftest import Running


async def test_the_charge_equals_the_hand_computed_one(office: Running) -> None:
    """(987,654 − 10,000) × 0.002 ÷ 1,000 + 123,457 × 0.006 ÷ 1,000 + 49.99, each line rounded, is 52.69."""
    await office.client.check("acme", "input_tokens", 987_654)  # 977,654 × 0.000002 = 1.955308 → 1.96
    await office.client.check("acme", "output_tokens", 123_456)
    await office.client.check("acme", "output_tokens", 1)  # 123,457 × 0.000006 = 0.740742 → 0.74
    async with asyncio.timeout(3):
        while (charges := charges_document(await office.client.charges("acme")))["total"] != "52.69":
            await asyncio.sleep(0.02)
    assert [(line["meter"], line["quantity"], line["amount"]) for line in charges["lines"]] == [
        ("input_tokens", "987654", "1.96"),
        ("output_tokens", "123457", "0.74"),
        (None, "1", "49.99"),
    ]


async def test_without_usage_the_fee_remains(office: Running) -> None:
    """A price without usage is a line at zero; the fee is due all the same."""
    charges = charges_document(await office.client.charges("acme"))
    assert [line["amount"] for line in charges["lines"]] == ["0.00", "0.00", "49.99"]
    assert charges["total"] == "49.99"


async def test_denied_and_rate_limited_use_costs_nothing(office: Running) -> None:
    """What was denied is not billed, nor what has no meter."""
    assert not (await office.client.check("acme", "input_tokens", 1_000_001)).allowed
    assert (await office.client.check("acme", "requests", 100)).allowed
    await asyncio.sleep(0.5)
    assert charges_document(await office.client.charges("acme"))["total"] == "49.99"


async def test_a_price_that_sums_cannot_feed_is_refused_when_it_is_applied(office: Running) -> None:
    """A price by region or by single event is told at once that it cannot be billed yet, not at the month's end."""
    price = '{meter: output_tokens, model: per_unit, per: 1000, unit: "0.006"}'
    by_event = '{meter: output_tokens, model: percentage, rate: "2", fixed: "0.30"}'
    by_maximum = SAMPLE.replace(
        "output_tokens: {unit: tokens, aggregation: sum}", "peak: {unit: tokens, aggregation: max}"
    )
    by_maximum = by_maximum.replace("meter: output_tokens, model", "meter: peak, model")
    by_maximum = by_maximum.replace("{type: metered, meter: output_tokens}", "{type: metered, meter: input_tokens}")
    for wrong in (SAMPLE.replace(price, by_event), by_maximum):
        with pytest.raises(GatewayError, match=r"plans\.developer\.prices\[1\]") as refused:
            await office.client.apply_catalog(wrong)
        assert refused.value.misuse


async def test_who_has_no_subscription_has_no_charges(office: Running) -> None:
    """The error says what is missing."""
    await office.client.create_customer("nobody")
    with pytest.raises(GatewayError, match="no subscription"):
        await office.client.charges("nobody")
    with pytest.raises(GatewayError, match="customer create stranger"):
        await office.client.charges("stranger")
