"""Invoice lines: what a line says before anything is taken off it."""

from dataclasses import dataclass
from decimal import Decimal

from billing_core.errors import InvalidValueError
from billing_core.money import Money, check_payable, not_negative
from billing_core.names import check_name, check_text
from billing_core.tax import TaxRate


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One row with its rounded amount, which is negative where something is credited; a fee has no meter."""

    description: str
    amount: Money
    quantity: Decimal = Decimal(1)
    meter: str | None = None
    plan: str | None = None
    rates: tuple[TaxRate, ...] = ()

    def __post_init__(self) -> None:
        check_text("description", self.description)
        check_payable("amount", self.amount)
        object.__setattr__(self, "quantity", not_negative("quantity", self.quantity))
        for name in ("meter", "plan"):
            if getattr(self, name) is not None:
                check_name(name, getattr(self, name))
        object.__setattr__(self, "rates", tuple(self.rates))
        for index, rate in enumerate(self.rates):
            if type(rate) is not TaxRate:
                raise InvalidValueError(f"rates[{index}]", rate, "is not a tax rate", "a TaxRate")
            if rate in self.rates[:index]:
                raise InvalidValueError(f"rates[{index}]", rate.name, "is there already", "each rate once")
