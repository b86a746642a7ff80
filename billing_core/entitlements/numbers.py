"""Which whole numbers a limit may have."""

from billing_core.errors import InvalidValueError

CEILING_MAX = 2**53 - 1
"""Counters are doubles inside the store's scripts; above this they would lose units."""


def check_ceiling(field: str, value: object, *, unlimited: bool = True) -> None:
    """Refuse what is no ceiling; None is unlimited, where that may be."""
    if value is None and unlimited:
        return
    if type(value) is not int or not 0 <= value <= CEILING_MAX:
        rule = f"a whole number from 0 to {CEILING_MAX}{', or unlimited' if unlimited else ''}"
        raise InvalidValueError(field, value, "is not a ceiling", rule)


def check_whole(field: str, value: object, least: int, most: int, problem: str, what: str = "a whole number") -> None:
    """Refuse what is no whole number between these two."""
    if type(value) is not int or not least <= value <= most:
        raise InvalidValueError(field, value, problem, f"{what} from {least} to {most}")
