"""What billing refuses: one tree, whose messages name the field, the value and what was expected."""

from decimal import Decimal
from enum import Enum

SHOWN_CHARACTERS_MAX = 64
SHOWN_BITS_MAX = 256


class BillingError(ValueError):
    """Whatever billing refuses, for the caller who treats all of it alike."""


class InvalidValueError(BillingError):
    """A value that breaks a rule of validity: `<field>: <what is wrong>; expected <rule>`."""

    def __init__(self, field: str, value: object, problem: str, expected: str) -> None:
        self.field = field
        self.value = value
        self.problem = f"{shown(value)} {problem}"
        self.expected = expected
        super().__init__(f"{field}: {self.problem}; expected {expected}")


class CurrencyMismatchError(BillingError):
    """Two amounts of different currencies met in one sum or comparison."""

    def __init__(self, left: str, right: str) -> None:
        self.left = left
        self.right = right
        super().__init__(f"currency: {left} met {right}; expected one currency")


def shown(value: object) -> str:
    """Say a value as an error may echo it: short, printable ASCII, and never costly to write."""
    match value:
        case None:
            text = "null"
        case int() if value.bit_length() > SHOWN_BITS_MAX:
            text = f"a whole number of {value.bit_length()} bits"
        case int() | Decimal():
            text = str(value)
        case str():
            text = ascii(value)
        case Enum():
            text = ascii(value.value)
        case _:
            text = f"a value of type {type(value).__name__}"
    return text if len(text) <= SHOWN_CHARACTERS_MAX else f"{text[: SHOWN_CHARACTERS_MAX - 1]}…"
