"""How a case writes amounts of money, and how it reads what they become."""

from typing import Any

from billing_core.money import Currency, Money, Quotient, RoundingPoint, allocate, exact_decimal, rounded

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


CALLS = {"money.rounded": money_rounded, "money.allocate": money_allocate}
