"""How a case writes commitments and charges, and how it reads what they come to."""

from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

from billing_core.commitments import Commitment, Settlement, Stretch, settle, settle_windows
from billing_core.money import EXACT, Currency, Money, Quotient, RoundingPoint, rounded, total
from billing_core.prices import Graduated, PerUnit, Tier, by_quantity
from billing_core.prices.by_quantity import QuantityPrice
from billing_core.prices.steps import exact_sum
from billing_core.proration import Share

Arguments = dict[str, Any]
USD = Currency("USD")


@dataclass(frozen=True)
class Line:
    """As much of a line as a commitment looks at."""

    meter: str | None
    amount: Money


def line(written: Arguments) -> Line:
    """Read a line."""
    return Line(written.get("meter"), Money(written["amount"], USD))


def settled(given: Arguments) -> tuple[Settlement, ...]:
    """Settle the commitments of a case, all of one stretch of time unless one says otherwise."""
    asked = []
    for written in given["commitments"]:
        fields = {"name": "commitment"} | written
        part = Share(*fields.pop("days", (1, 1)))
        stretch = Stretch(part, Decimal(fields.pop("charged_before", 0)), fields.pop("is_final", True))
        asked.append((Commitment(**fields), stretch))
    return settle(asked, [line(written) for written in given["lines"]], USD)


def settlement(given: Arguments) -> Arguments:
    """Write what was added, and what is due with it."""
    done = settled(given)
    written = {}
    for name in ("overage", "capped", "true_up"):
        amounts = [getattr(one, name) for one in done]
        if any(amount.amount for amount in amounts):
            written[name] = [amount.text() for amount in amounts]
    due = total([line(one).amount for one in given["lines"]] + [one.due for one in done], USD)
    return written | {"due": due.text()}


def split_lines(given: Arguments) -> list[str]:
    """Write the lines as Flexprice does: what is within the commitment, then each line's part beyond it."""
    (done,) = settled(given)
    within = total((part.within for part in done.parts), USD)
    beyond = [part.beyond.amount * done.commitment.overage_factor for part in done.parts]
    return [within.text(), *(f"{amount:.2f}" for amount in beyond)]


def windows(given: Arguments) -> Arguments:
    """Charge windows at a price, with a committed quantity for each."""
    price = price_of(given["price"])
    charges = [charge(price, Decimal(quantity)) for quantity in given["windows"]]
    factor = Decimal(given.get("overage_factor", 1))
    done = settle_windows(charges, charge(price, Decimal(given["committed"])), USD, factor)
    lines = [Quotient.of(one.charged + one.true_up + one.overage) for one in done.windows]
    return {
        "lines": [rounded(exact, USD, RoundingPoint.LINE).text() for exact in lines],
        "total": (done.charged + done.true_up + done.overage).text(),
    }


def price_of(written: Arguments) -> QuantityPrice:
    """Read a price with or without tiers."""
    if "tiers" in written:
        return Graduated([Tier(tier.get("up_to"), tier["unit"]) for tier in written["tiers"]])
    return PerUnit(written["unit"])


CALLS = {
    "commitments.settle": settlement,
    "commitments.Settlement.parts": split_lines,
    "commitments.settle_windows": windows,
}


def charge(price: QuantityPrice, quantity: Decimal) -> Quotient:
    """Price a quantity, exactly."""
    with localcontext(EXACT):
        return exact_sum(by_quantity.charge(price, Quotient(quantity)))
