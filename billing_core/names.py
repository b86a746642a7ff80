"""What a name and a text must be, and how an error lists the names there are."""

import re
from collections.abc import Iterable

from billing_core.errors import InvalidValueError

TEXT_CHARACTERS_MAX = 200
NAMES_LISTED_MAX = 20

_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")


def check_name(field: str, value: object) -> None:
    """Refuse what cannot be an id: names become keys, and so are short and ASCII."""
    if type(value) is not str or not _NAME.fullmatch(value):
        raise InvalidValueError(field, value, "is not a name", "1 to 64 of the characters A-Z a-z 0-9 _ . @ -")


def check_text(field: str, value: object) -> None:
    """Refuse what people could not read on one line."""
    if type(value) is not str or not 1 <= len(value) <= TEXT_CHARACTERS_MAX or not value.isprintable():
        rule = f"1 to {TEXT_CHARACTERS_MAX} printable characters on one line"
        raise InvalidValueError(field, value, "is not a text", rule)


def check_type(field: str, value: object, wanted: type) -> None:
    """Refuse a value of another type, also where it only looks alike: True is no number."""
    if type(value) is not wanted:
        raise InvalidValueError(field, value, "has the wrong type", wanted.__name__)


def one_of(names: Iterable[str]) -> str:
    """List what an error would have taken."""
    listed = sorted(names)
    more = ", …" if len(listed) > NAMES_LISTED_MAX else ""
    return f"one of {', '.join(listed[:NAMES_LISTED_MAX])}{more}" if listed else "none, for there are none"
