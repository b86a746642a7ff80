"""How a case writes grants, uses and wallets, and how it reads what became of them."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from billing_core.burning import BurnDown, burn_down, given_back, reset
from billing_core.credits import CreditSystem, Grant, Rollover, Use, in_burn_order
from billing_core.money import Currency, Money, Quotient, exact_decimal, plain_text
from billing_core.periods import Interval
from billing_core.wallets import debit, payable, top_up

Arguments = dict[str, Any]

START = datetime(2026, 1, 1, tzinfo=UTC)
USED_AT = datetime(2026, 1, 10, tzinfo=UTC)
END = datetime(2026, 1, 31, tzinfo=UTC)


def grant(written: Arguments) -> Grant:
    """Read a grant as a case writes it."""
    fields = {"effective_at": START, "created_at": START} | written
    if "recurs" in fields:
        fields["recurs"] = Interval(fields["recurs"])
    if "rollover" in fields:
        fields["rollover"] = Rollover(**fields["rollover"])
    return Grant(**fields)


def burned(given: Arguments) -> BurnDown:
    """Burn the uses of a case, in credits where it says what a unit costs."""
    uses = [Use(use.get("at", USED_AT), use["quantity"], use.get("meter")) for use in given["uses"]]
    if "credit_costs" in given:
        system = CreditSystem(given["credit_costs"])
        uses = [system.in_credits(use) for use in uses]
    return burn_down([grant(fields) for fields in given["grants"]], uses, given.get("at", END))


def written(done: BurnDown) -> Arguments:
    """Write balances as a case does."""
    left = {balance.grant.id: plain_text(balance.left) for balance in done.balances}
    return {"left": left, "overage": plain_text(done.overage)}


def burn_order(given: Arguments) -> list[str]:
    """Name the grants in the order in which they burn."""
    default = {"priority": given["default_priority"]}
    return [one.id for one in in_burn_order(grant(default | fields) for fields in given["grants"])]


def reset_after(given: Arguments) -> Arguments:
    """Burn, reset, and say what is left."""
    return written(reset(burned(given), preserve_overage=given.get("preserve_overage", False)))


def give_back(given: Arguments) -> list[list[str]]:
    """Burn, give back a quantity or all that is not `committed`, and say which grants got how much."""
    burns = burned(given).burns
    reserved = sum((burn.quantity for burn in burns), Decimal(0))
    returned = given_back(burns, given["quantity"] if "quantity" in given else reserved - given["committed"])
    return [[burn.grant_id, plain_text(burn.quantity)] for burn in returned]


def wallet_top_up(given: Arguments) -> Arguments:
    """Buy credits."""
    bought = top_up(Decimal(given["paid_credits"]), Decimal(given["rate"]), Currency(given["currency"]))
    return {"amount": bought.amount.text(), "credits": plain_text(decimal_of(bought.credits.fraction))}


def wallet_debits(given: Arguments) -> list[str]:
    """Debit each step of a cumulative charge."""
    charges = [Quotient(exact_decimal("charge", charge)) for charge in given["charges"]]
    currency = Currency(given["currency"])
    return [debit(*step, currency).text() for step in pairwise(charges)]


def wallet_payable(given: Arguments) -> str:
    """Say what can leave a wallet."""
    return payable(Money(given["balance"], Currency(given["currency"]))).text()


def decimal_of(fraction: Fraction) -> Decimal:
    """Write a fraction whose decimals end."""
    return Decimal(fraction.numerator) / Decimal(fraction.denominator)


CALLS = {
    "credits.in_burn_order": burn_order,
    "burning.burn_down": lambda given: written(burned(given)),
    "burning.reset": reset_after,
    "burning.given_back": give_back,
    "wallets.top_up": wallet_top_up,
    "wallets.debit": wallet_debits,
    "wallets.payable": wallet_payable,
}
