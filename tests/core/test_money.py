"""Money is exact, knows its currency, and is rounded in one way."""

from decimal import ROUND_DOWN, Context, Decimal, localcontext
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_core.currencies import MINOR_DIGITS_OF_CODE
from billing_core.errors import BillingError, CurrencyMismatchError, InvalidValueError
from billing_core.money import (
    DIGITS_MAX,
    Currency,
    Money,
    Quotient,
    RoundingPoint,
    allocate,
    exact_decimal,
    plain_text,
    price_amount,
    rounded,
    rounded_parts,
    total,
)

USD = Currency("USD")
EUR = Currency("EUR")
amounts = st.decimals(min_value=-(10**40), max_value=10**40, places=6)
weights = st.lists(st.decimals(0, 10**6, places=3), min_size=1, max_size=8).filter(any)
parts = st.lists(st.fractions(-(10**6), 10**6, max_denominator=1000), min_size=1, max_size=8)


@pytest.mark.parametrize("value", ["0.002", "-3", "0", "1000000.000", 7, -7, Decimal("1.50"), 10**DIGITS_MAX - 1])
def test_a_number_is_taken_by_its_type(value: str | int | Decimal) -> None:
    """Whole numbers, decimals and plain decimal text become the decimal they say."""
    assert exact_decimal("amount", value) == Decimal(value)


@pytest.mark.parametrize(
    "value",
    [
        *(True, False, None, 0.5, 1e3, 2 + 0j, b"1", [1], Fraction(1, 2)),
        *("NaN", "Infinity", "-inf", "1e3", "1E3", "0x10", " 7", "7 ", "7\n", "1_000", "1,5", "+5", ".5", "5.", "007"),
        *("", "-", "--1", "١٢", "\uff11", "1.2.3", Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity")),
        *("1" * (DIGITS_MAX + 1), 10**DIGITS_MAX, Decimal("1E+1000000"), Decimal("1E-1000000"), 10**5000),
    ],
    ids=lambda value: repr(value)[:24] if not isinstance(value, int) or isinstance(value, bool) else "large",
)
def test_what_is_no_exact_number_is_refused(value: object) -> None:
    """Everything else is an error of ours that names the field, quickly and in few words."""
    with pytest.raises(InvalidValueError, match=r"^amount: .*; expected ") as caught:
        exact_decimal("amount", value)
    assert caught.value.field == "amount"
    assert len(str(caught.value)) < 200


def test_minus_zero_is_zero() -> None:
    """No invoice ever says -0."""
    assert str(exact_decimal("amount", "-0")) == "0"
    assert Money(Decimal("-0.00"), USD).text() == "0.00"
    assert rounded(Quotient(Decimal("-0.001")), USD, RoundingPoint.LINE).text() == "0.00"


def test_a_unit_price_has_twelve_decimals_and_no_minus() -> None:
    """Twelve decimals pass, thirteen do not, and neither does anything below zero."""
    assert price_amount("unit", "0.000000000001") == Decimal("1E-12")
    with pytest.raises(InvalidValueError, match=r"unit: .* has too many decimals; expected at most 12 decimals"):
        price_amount("unit", "0.0000000000001")
    with pytest.raises(InvalidValueError, match=r"unit: '-0\.1' is negative; expected at least 0"):
        price_amount("unit", "-0.1")


def test_currencies_know_their_smallest_unit() -> None:
    """Two digits is the rule; yen, won, dinars and the Chilean unit of account are not."""
    digits = {code: Currency(code).minor_digits for code in ("USD", "EUR", "JPY", "KRW", "KWD", "BHD", "CLF", "MGA")}
    assert digits == {"USD": 2, "EUR": 2, "JPY": 0, "KRW": 0, "KWD": 3, "BHD": 3, "CLF": 4, "MGA": 2}
    assert len(MINOR_DIGITS_OF_CODE) > 160


@pytest.mark.parametrize("code", ["usd", "US", "XXX", "DEM", "", None, 840])
def test_what_is_no_currency_is_refused(code: object) -> None:
    """Small letters, codes out of use and numbers are no currency."""
    with pytest.raises(InvalidValueError, match=r"^currency: .* is not a currency; expected an active ISO 4217 code"):
        Currency(code)


def test_currencies_never_meet() -> None:
    """Adding, subtracting and comparing need one currency; equality is just false."""
    for meet in (Money.__add__, Money.__sub__, Money.__lt__, Money.__le__):
        with pytest.raises(CurrencyMismatchError, match="USD met EUR"):
            meet(Money(1, USD), Money(1, EUR))
    assert Money(1, USD) != Money(1, EUR)
    with pytest.raises(CurrencyMismatchError):
        total([Money(1, EUR)], USD)


def test_money_meets_money_only() -> None:
    """A bare number has no currency."""
    with pytest.raises(BillingError, match="expected Money of the same currency"):
        Money(1, USD) + 1


def test_money_has_no_truth_value() -> None:
    """`if amount:` would take a free line for a missing one."""
    with pytest.raises(TypeError, match="no truth value"):
        bool(Money(0, USD))


@given(amounts, amounts)
def test_sums_are_exact_whatever_the_context_says(left: Decimal, right: Decimal) -> None:
    """Neither the usual 28 digits nor a stranger's rounding reach money."""
    with localcontext(Context(prec=3, rounding=ROUND_DOWN)):
        money = Money(left, USD) + Money(right, USD)
        back = money - Money(right, USD)
        together = total((Money(left, USD), Money(right, USD)), USD)
    assert Fraction(money.amount) == Fraction(left) + Fraction(right)
    assert back == Money(left, USD)
    assert together == money
    assert Money(0, USD) - money == -money


@given(amounts, amounts)
def test_comparisons_are_those_of_the_amounts(left: Decimal, right: Decimal) -> None:
    """Money is ordered as its amounts are."""
    assert (Money(left, USD) < Money(right, USD)) == (left < right)
    assert (Money(left, USD) <= Money(right, USD)) == (left <= right)
    assert (Money(left, USD) > Money(right, USD)) == (left > right)
    assert (Money(left, USD) >= Money(right, USD)) == (left >= right)


@given(amounts, st.integers(1, 10**6), st.sampled_from(["USD", "JPY", "KWD", "CLF"]))
def test_rounding_is_half_away_from_zero(dividend: Decimal, divisor: int, code: str) -> None:
    """No multiple of the smallest unit is nearer, and of two as near the one farther from zero is taken."""
    currency = Currency(code)
    unit = Fraction(1, 10**currency.minor_digits)
    exact = Fraction(dividend) / divisor
    amount = Fraction(rounded(Quotient(dividend, Decimal(divisor)), currency, RoundingPoint.LINE).amount)
    assert amount / unit == int(amount / unit)
    assert abs(amount - exact) <= unit / 2
    if abs(amount - exact) == unit / 2:
        assert abs(amount) > abs(exact)


@pytest.mark.parametrize(
    ("point", "amount"),
    [
        (RoundingPoint.LINE, "2.68"),
        (RoundingPoint.TAX, "2.68"),
        (RoundingPoint.TOP_UP, "2.68"),
        (RoundingPoint.DEDUCTION, "2.67"),
        (RoundingPoint.PAY_OUT, "2.67"),
        (RoundingPoint.WALLET_USE, "2.675000"),
    ],
)
def test_the_point_decides_how_an_amount_is_rounded(point: RoundingPoint, amount: str) -> None:
    """What is charged is rounded to the nearest; what is taken off or paid out, and what a use costs, down."""
    for sign in (1, -1):
        exact = Quotient(sign * Decimal("2.6750009"))
        assert rounded(exact, USD, point) == Money(sign * Decimal(amount), USD)


def test_a_use_of_a_wallet_has_micro_units_in_every_currency() -> None:
    """Six decimals, also where the smallest unit that can be paid has none or four."""
    exact = Quotient(Decimal(2), Decimal(3))
    texts = [rounded(exact, Currency(code), RoundingPoint.WALLET_USE).text() for code in ("USD", "JPY", "CLF")]
    assert texts == ["0.666666"] * 3


@given(st.fractions())
def test_a_fraction_is_a_quotient(exact: Fraction) -> None:
    """Both ways, without loss."""
    assert Quotient.of(exact).fraction == exact


@given(parts, st.sampled_from(["USD", "JPY"]), st.sampled_from(RoundingPoint))
def test_rounded_parts_add_up_to_the_rounded_sum(exact: list[Fraction], code: str, point: RoundingPoint) -> None:
    """Each part is less than a unit from what it is exactly, and together they are what is rounded once."""
    currency = Currency(code)
    split = rounded_parts(exact, currency, point)
    assert total(split, currency) == rounded(Quotient.of(sum(exact, Fraction(0))), currency, point)
    unit = Fraction(1, 10 ** point.digits(currency))
    assert all(abs(Fraction(part.amount) - value) <= unit for part, value in zip(split, exact, strict=True))


@given(st.integers(-(10**9), 10**9), weights, st.sampled_from(["USD", "JPY", "KWD"]))
def test_allocate_conserves(units: int, shares: list[Decimal], code: str) -> None:
    """The parts add up, a weight of zero gets nothing, and more weight never gets less."""
    currency = Currency(code)
    money = Money(Decimal(units).scaleb(-currency.minor_digits), currency)
    split = allocate(money, shares)
    assert total(split, currency) == money
    assert allocate(-money, shares) == tuple(-part for part in split)
    ranked = sorted(zip(shares, (abs(part.amount) for part in split), strict=True))
    assert all(less[1] <= more[1] for less, more in pairwise(ranked) if less[0] < more[0])
    assert all(part.amount == 0 for part, share in zip(split, shares, strict=True) if share == 0)


@pytest.mark.parametrize(
    ("money", "shares", "message"),
    [
        (Money(1, USD), [], "weights: 0 weights have no sum to share by; expected at least one above 0"),
        (Money(1, USD), [0, 0], "weights: 2 weights have no sum to share by"),
        (Money(1, USD), [1, -1], r"weights\[1\]: -1 is negative; expected at least 0"),
        (Money(1, USD), [0.5], r"weights\[0\]: a value of type float is not an exact number"),
        (Money(1, USD), [Fraction(-1, 2)], r"weights\[0\]: a value of type Fraction is not an exact number"),
        (Money("0.005", USD), [1], "money: 0.005 has parts of a minor unit; expected at most 2 decimals in USD"),
    ],
)
def test_what_cannot_be_allocated_is_refused(money: Money, shares: list[Decimal], message: str) -> None:
    """Without a weight there is nobody to give it to, and half a cent has no whole parts."""
    with pytest.raises(InvalidValueError, match=f"^{message}"):
        allocate(money, shares)


@pytest.mark.parametrize(
    ("dividend", "divisor", "code", "amount"),
    [
        ("0.005", 1, "USD", "0.01"),
        ("-0.005", 1, "USD", "-0.01"),
        ("0.0049999", 1, "USD", "0.00"),
        ("1", 200, "EUR", "0.01"),
        ("2.5", 1, "JPY", "3"),
        ("0.0005", 1, "KWD", "0.001"),
        ("5", 30, "USD", "0.17"),
    ],
)
def test_a_half_is_rounded_up(dividend: str, divisor: int, code: str, amount: str) -> None:
    """Half of the smallest unit, however it was divided, is one; owed back, it is one owed back."""
    exact = Quotient(Decimal(dividend), Decimal(divisor))
    assert rounded(exact, Currency(code), RoundingPoint.LINE) == Money(Decimal(amount), Currency(code))


@given(amounts, amounts, st.integers(1, 10**6), st.integers(1, 10**6))
def test_quotients_add_up_exactly(left: Decimal, right: Decimal, over: int, under: int) -> None:
    """Two quotients are added and subtracted as the fractions they are, alike in their divisor or not."""
    for divisor in (over, under):
        one, other = Quotient(left, Decimal(over)), Quotient(right, Decimal(divisor))
        added, taken = one + other, one - other
        assert Fraction(added.dividend) / Fraction(added.divisor) == Fraction(left) / over + Fraction(right) / divisor
        assert Fraction(taken.dividend) / Fraction(taken.divisor) == Fraction(left) / over - Fraction(right) / divisor


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**30, places=9))
def test_plain_text_says_the_number(number: Decimal) -> None:
    """What is written has no exponent and no closing zeros, and reads back as the same number."""
    text = plain_text(number)
    assert exact_decimal("number", text) == number
    assert not ("." in text and text.endswith(("0", ".")))


def test_amounts_are_written_with_their_minor_digits() -> None:
    """At least the digits of the smallest unit, and more where the amount has more."""
    texts = [Money("13.4", USD).text(), Money(13, Currency("JPY")).text(), Money("0.0005", USD).text()]
    assert texts == ["13.40", "13", "0.0005"]
    assert Money(1000, Currency("KWD")).text() == "1000.000"
