"""Money is exact: what counts as a number, and the only place where an amount is rounded."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, localcontext
from enum import Enum
from fractions import Fraction
from typing import assert_never

from billing_core.currencies import MINOR_DIGITS_OF_CODE
from billing_core.errors import CurrencyMismatchError, InvalidValueError

DIGITS_MAX = 100
"""Digits of any number taken in; the product of eight such numbers still fits the exact context with room for sums."""

UNIT_DECIMALS_MAX = 12

EXACT = Context(prec=10 * DIGITS_MAX, traps=[Inexact, InvalidOperation, DivisionByZero])
"""Arithmetic that raises where it would round. The usual context keeps 28 digits and says nothing."""

_ROUNDING = Context(prec=10**6, traps=[Inexact, InvalidOperation, DivisionByZero])
"""As exact, and wider: what is left of a line after many coupons is a fraction of as many divisors."""

MICRO_DIGITS = 6
"""Decimals of what a single use costs a wallet, in every currency."""

_PLAIN_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")


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


_SET_AMOUNT, _SET_CURRENCY = (vars(Money)[name].__set__ for name in ("amount", "currency"))


def money_of_line(amount: Decimal, currency: Currency) -> Money:
    """Take what was rounded to a line of this currency: it is money already, and a fifth of the time without checks."""
    money = object.__new__(Money)
    _SET_AMOUNT(money, amount)
    _SET_CURRENCY(money, currency)
    return money


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

    @classmethod
    def of(cls, exact: Fraction) -> "Quotient":
        """Take a fraction as it is."""
        return cls(Decimal(exact.numerator), Decimal(exact.denominator))

    @property
    def fraction(self) -> Fraction:
        """The same amount as a fraction, where sums and comparisons need one."""
        return Fraction(Fraction(self.dividend), Fraction(self.divisor))


class RoundingPoint(Enum):
    """Where an amount is rounded; the point decides to how many digits, and which way."""

    LINE = "line"
    TAX = "tax"
    TOP_UP = "top_up"
    DEDUCTION = "deduction"
    PAY_OUT = "pay_out"
    WALLET_USE = "wallet_use"

    def digits(self, currency: Currency) -> int:
        """Return the decimals that are left: a single use of a wallet has micro-units, all else can be paid."""
        return MICRO_DIGITS if self is RoundingPoint.WALLET_USE else currency.minor_digits

    @property
    def rounds_down(self) -> bool:
        """Whether the rest is dropped; else half a unit is rounded away from zero, as Kill Bill and Lago do."""
        # 1. what is charged; 2. nothing takes off or pays out more than there is, and a use costs full micro-units only
        match self:
            case RoundingPoint.LINE | RoundingPoint.TAX | RoundingPoint.TOP_UP:
                return False
            case RoundingPoint.DEDUCTION | RoundingPoint.PAY_OUT | RoundingPoint.WALLET_USE:
                return True
            case _:
                assert_never(self)


def rounded(exact: Quotient, currency: Currency, point: RoundingPoint) -> Money:
    """Carry out the division and round once, as that point says."""
    digits = point.digits(currency)
    units, rest = _ROUNDING.divmod(_ROUNDING.scaleb(exact.dividend, digits), exact.divisor)
    if _ROUNDING.add(rest, rest).copy_abs() >= exact.divisor and not point.rounds_down:
        units = _ROUNDING.add(units, Decimal(1).copy_sign(exact.dividend))
    return Money(_ROUNDING.scaleb(units, -digits), currency)


def line_rounding(currency: Currency) -> Callable[[Decimal], Decimal]:
    """Do what `rounded` does on a line, for many amounts of one currency that are exact, divided and at least zero."""
    minor_unit = Decimal(1).scaleb(-RoundingPoint.LINE.digits(currency))
    quantize = Context(prec=DIGITS_MAX, rounding=ROUND_HALF_UP, traps=[InvalidOperation]).quantize

    def rounded_on_line(exact: Decimal) -> Decimal:
        try:
            return quantize(exact, minor_unit)
        except InvalidOperation:  # it is longer than the precision, and so than money may be
            return rounded(Quotient(exact), currency, RoundingPoint.LINE).amount

    return rounded_on_line


def rounded_parts(parts: Sequence[Fraction], currency: Currency, point: RoundingPoint) -> tuple[Money, ...]:
    """Round the sum of the parts once, and each part so that they still add up to it.

    Every part keeps its full units. The units that are missing then go, one each, to the parts that lost most, and
    among equals to the earlier one.
    """
    exact = sum(parts, start=Fraction(0))
    whole = rounded(Quotient.of(exact), currency, point)
    digits = point.digits(currency)
    with localcontext(_ROUNDING):
        scale = Fraction(10**digits if exact >= 0 else -(10**digits))
        scaled = [part * scale for part in parts]
        units = [part // 1 for part in scaled]
        missing = int(abs(whole.amount).scaleb(digits)) - sum(units)
        assert 0 <= missing <= len(parts)
        by_loss = sorted(range(len(parts)), key=lambda index: units[index] - scaled[index])
        for index in by_loss[:missing]:
            units[index] += 1
        sign = 1 if exact >= 0 else -1
        return tuple(Money(Decimal(sign * unit).scaleb(-digits), currency) for unit in units)


def allocate(money: Money, weights: Iterable[Decimal | Fraction]) -> tuple[Money, ...]:
    """Split an amount by weights into parts of whole minor units; no unit is lost, and none is made.

    The tie rule is that of `rounded_parts`. An amount that is no whole number of minor units has no such parts.
    """
    checked = [_weight(f"weights[{index}]", weight) for index, weight in enumerate(weights)]
    whole = sum(checked, start=Fraction(0))
    if whole == 0:
        raise InvalidValueError("weights", len(checked), "weights have no sum to share by", "at least one above 0")
    check_payable("money", money)
    share = Fraction(Fraction(money.amount), whole)
    return rounded_parts([weight * share for weight in checked], money.currency, RoundingPoint.LINE)


def check_payable(field: str, money: object) -> None:
    """Refuse what is no money, and an amount that cannot be paid: one with parts of a minor unit."""
    if type(money) is not Money:
        raise InvalidValueError(field, money, "is not money", "Money")
    if _decimals(money.amount.normalize(EXACT)) > money.currency.minor_digits:
        rule = f"at most {money.currency.minor_digits} decimals in {money.currency.code}"
        raise InvalidValueError(field, money.amount, "has parts of a minor unit", rule)


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


def _weight(field: str, value: object) -> Fraction:
    # Fractions are no input, but what is left of a line by exact shares is one.
    if isinstance(value, Fraction) and value >= 0:
        return value
    return Fraction(not_negative(field, value))


def _decimals(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)  # finite
    return max(-exponent, 0)
