"""Wallets: how prepaid money comes in, what uses take from it, and what can be paid out of it."""

from dataclasses import dataclass
from decimal import Decimal, localcontext

from billing_core.errors import InvalidValueError
from billing_core.money import EXACT, Currency, Money, Quotient, RoundingPoint, positive, rounded


@dataclass(frozen=True, slots=True)
class TopUp:
    """Credits that were bought: the amount on the invoice, and the credits that exactly this amount buys."""

    amount: Money
    rate: Decimal

    @property
    def credits(self) -> Quotient:
        """Amount ÷ rate, not carried out: the balance is kept in money."""
        return Quotient(self.amount.amount, self.rate)


def top_up(paid_credits: Decimal, rate: Decimal, currency: Currency) -> TopUp:
    """Buy credits at `rate` money each: what is paid is rounded here, where it enters the wallet, and only here."""
    with localcontext(EXACT):
        exact = Quotient(positive("paid_credits", paid_credits) * positive("rate", rate))
    amount = rounded(exact, currency, RoundingPoint.TOP_UP)
    if amount.amount == 0:
        raise InvalidValueError("paid_credits", paid_credits, "cost nothing that can be paid", "at least a minor unit")
    return TopUp(amount, rate)


def debit(charged_before: Quotient, charged_after: Quotient, currency: Currency) -> Money:
    """Take for one use what it adds to the charge of its period, both rounded down to micro-units.

    So the debits of a period add up to its charge whatever the uses were, and no use pays for a part of a micro-unit.
    """
    before = rounded(charged_before, currency, RoundingPoint.WALLET_USE)
    after = rounded(charged_after, currency, RoundingPoint.WALLET_USE)
    if after < before:
        raise InvalidValueError(
            "charged_after", after.amount, "is less than before the use", f"at least {before.text()}"
        )
    return after - before


def payable(balance: Money) -> Money:
    """Say what can leave the wallet, to an invoice or back: whole minor units, and never more than there is."""
    return rounded(Quotient(balance.amount), balance.currency, RoundingPoint.PAY_OUT)
