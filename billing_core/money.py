"""Money is exact: what counts as a number, which currencies exist, and the only place where an amount is rounded."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, localcontext
from enum import Enum
from typing import assert_never

from billing_core.errors import CurrencyMismatchError, InvalidValueError

DIGITS_MAX = 100
"""Digits of any number taken in; the product of eight such numbers still fits the exact context with room for sums."""

UNIT_DECIMALS_MAX = 12

EXACT = Context(prec=10 * DIGITS_MAX, traps=[Inexact, InvalidOperation, DivisionByZero])
"""Arithmetic that raises where it would round. The usual context keeps 28 digits and says nothing."""

_PLAIN_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")

# ISO 4217, active codes with a minor unit; those not named here have two digits.
_MINOR_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF "
    "CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF "
    "IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN "
    "MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS "
    "SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW "
    "ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
MINOR_DIGITS_OF_CODE = {code: digits for digits, codes in _MINOR_DIGITS.items() for code in codes.split()}


@dataclass(frozen=True, slots=True)
class Currency:
    """An active ISO 4217 currency by its code."""

    code: str

    def __post_init__(self) -> None:
        if type(self.code) is not str or self.code not in MINOR_DIGITS_OF_CODE:
            raise InvalidValueError(
                "currency", self.code, "is not a currency", "an active ISO 4217 code in capitals, such as USD"
            )

    @property
    def minor_digits(self) -> int:
        """Decimals of the smallest unit that can be paid: 2 for USD, 0 for JPY, 3 for KWD."""
        return MINOR_DIGITS_OF_CODE[self.code]


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount of one currency. It has no truth value, and no two currencies ever meet in it."""

    amount: Decimal
    currency: Currency

    def __post_init__(self) -> None:
        number = exact_decimal("amount", self.amount)
        if number is not self.amount:
            object.__setattr__(self, "amount", number)
        if type(self.currency) is not Currency:
            raise InvalidValueError("currency", self.currency, "is not a currency", "a Currency")

    def __add__(self, other: "Money") -> "Money":
        return Money(EXACT.add(self.amount, self._amount_of(other)), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(EXACT.subtract(self.amount, self._amount_of(other)), self.currency)

    def __neg__(self) -> "Money":
        return Money(self.amount.copy_negate(), self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.amount < self._amount_of(other)

    def __le__(self, other: "Money") -> bool:
        return self.amount <= self._amount_of(other)

    def __bool__(self) -> bool:
        # `if amount:` reads like "is there one", and is false for a free line.
        raise TypeError("money has no truth value; compare it with an amount")

    def text(self) -> str:
        """Write the bare amount with at least the currency's minor digits: `13.40`, in JPY `13`."""
        decimals = max(_decimals(self.amount), self.currency.minor_digits)
        return f"{self.amount:.{decimals}f}"

    def _amount_of(self, other: object) -> Decimal:
        if type(other) is not Money:
            raise InvalidValueError("money", other, "is not money", "Money of the same currency")
        if other.currency != self.currency:
            raise CurrencyMismatchError(self.currency.code, other.currency.code)
        return other.amount


def total(amounts: Iterable[Money], currency: Currency) -> Money:
    """Add up exactly; no amounts make zero in that currency."""
    none = Money(Decimal(0), currency)
    with localcontext(EXACT):
        return Money(sum((none._amount_of(amount) for amount in amounts), start=none.amount), currency)  # noqa: SLF001


@dataclass(frozen=True, slots=True)
class Quotient:
    """An exact amount whose division is not carried out yet: money is divided once, where it is rounded."""

    dividend: Decimal
    divisor: Decimal = Decimal(1)

    def __add__(self, other: "Quotient") -> "Quotient":
        if self.divisor == other.divisor:
            return Quotient(EXACT.add(self.dividend, other.dividend), self.divisor)
        with localcontext(EXACT):
            dividend = self.dividend * other.divisor + other.dividend * self.divisor
            return Quotient(dividend, self.divisor * other.divisor)

    def __sub__(self, other: "Quotient") -> "Quotient":
        return self + Quotient(other.dividend.copy_negate(), other.divisor)


class RoundingPoint(Enum):
    """Where an amount is rounded; the point decides to how many digits."""

    LINE = "line"


def rounded(exact: Quotient, currency: Currency, point: RoundingPoint) -> Money:
    """Carry out the division and round once, half away from zero, to the digits of that point."""
    match point:
        case RoundingPoint.LINE:
            digits = currency.minor_digits
        case _:
            assert_never(point)
    units, rest = EXACT.divmod(EXACT.scaleb(exact.dividend, digits), exact.divisor)
    if EXACT.add(rest, rest).copy_abs() >= exact.divisor:
        units = EXACT.add(units, Decimal(1).copy_sign(exact.dividend))
    return Money(EXACT.scaleb(units, -digits), currency)


def exact_decimal(field: str, value: object) -> Decimal:
    """Take a whole number, a Decimal or plain decimal text as the Decimal it says, and refuse everything else."""
    # By type and not by isinstance: True is an instance of int, and is no number here.
    if type(value) is int and value.bit_length() <= 4 * DIGITS_MAX:
        number = Decimal(value)
    elif type(value) is Decimal and value.is_finite():
        number = value
    elif type(value) is str and _PLAIN_DECIMAL.fullmatch(value):
        number = Decimal(value)
    else:
        rule = "a whole number, a Decimal or plain decimal text such as 0.002"
        raise InvalidValueError(field, value, "is not an exact number", rule)
    if max(number.adjusted() + 1, 1) + _decimals(number) > DIGITS_MAX:
        raise InvalidValueError(field, value, "is too long", f"at most {DIGITS_MAX} digits")
    return number or number.copy_abs()  # no minus zero


def price_amount(field: str, value: object) -> Decimal:
    """Take a unit price, a flat amount or a fee: at least zero, with at most twelve decimals."""
    number = not_negative(field, value)
    if _decimals(number) > UNIT_DECIMALS_MAX:
        raise InvalidValueError(field, value, "has too many decimals", f"at most {UNIT_DECIMALS_MAX} decimals")
    return number


def not_negative(field: str, value: object) -> Decimal:
    """Take a quantity: exact, at least zero."""
    number = exact_decimal(field, value)
    if number < 0:
        raise InvalidValueError(field, value, "is negative", "at least 0")
    return number


def positive(field: str, value: object) -> Decimal:
    """Take a size or a divisor: exact, above zero."""
    number = exact_decimal(field, value)
    if number <= 0:
        raise InvalidValueError(field, value, "is not positive", "a number above 0")
    return number


def percentage(field: str, value: object) -> Decimal:
    """Take a percentage of at least zero: 2.9 is 2.9 %."""
    return price_amount(field, value)


def plain_text(number: Decimal) -> str:
    """Write a number without exponent and without closing zeros: `22`, `0.5`, `1000`."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _decimals(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)  # finite
    return max(-exponent, 0)
