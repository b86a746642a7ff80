"""One place in a document: what stands there, read as what is wanted, and each problem reported where it is.

A reader that meets a problem reports it and goes on with a made-up value, so that one pass finds all problems. What is
built around such a value is not kept, and errors that only the made-up value may have caused are not reported.
"""

import difflib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import TypeVar

from billing_core.errors import SHOWN_CHARACTERS_MAX, InvalidValueError, shown
from billing_core.money import exact_decimal
from billing_core.names import check_name, one_of
from gateway.catalog_file.nodes import Entries, Items, Node, Refused, Scalar, Trail, path_of
from gateway.catalog_file.problems import Findings

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

SUGGESTED_FROM_MAX = 1000

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")
_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_JSON_WORDS = ("true", "false", "null")
# What YAML reads as something else than text, and JSON not at all: yes, 0x1F, 12:30, 1_000, 2026-01-01, ~, nothing.
_AMBIGUOUS = re.compile(r"~|(y|n|yes|no|on|off|true|false|null)?|[-+.]?[0-9]\S*|[-+]?\.(inf|nan)", re.IGNORECASE)
_STEP = re.compile(r"\[([0-9]+)\]|([^.\[\]]+)")


@dataclass(frozen=True, slots=True)
class Place:
    """The way to a node, the node that stands there if any, and where problems go."""

    trail: Trail
    line: int
    node: Node | None
    findings: Findings

    def __getitem__(self, key: str) -> "Place":
        """Go to the entry of that name, whether it is there or not."""
        match self.node:
            case Entries(entries=entries):
                return self._below(key, entries.get(key))
            case None:
                return self._below(key, None)
            case other:
                return self._below(key, Refused(other.line))  # that it is no mapping is reported where one is built

    @property
    def path(self) -> str:
        """The way, written."""
        return path_of(self.trail)

    @property
    def exists(self) -> bool:
        """Whether anything stands here."""
        return self.node is not None

    def is_mapping(self) -> bool:
        """Whether a mapping stands here; where none does, that is a problem."""
        if not isinstance(self.node, Entries):
            self.refuse("a mapping")
        return isinstance(self.node, Entries)

    def items(self) -> list["Place"]:
        """Go through a list; where it is absent, there are no items."""
        match self.node:
            case None:
                return []
            case Items(items=items):
                return [self._below(index, item) for index, item in enumerate(items)]
            case _:
                self.refuse("a list")
                return []

    def entries(self) -> Iterator[tuple[str, "Place"]]:
        """Go through a mapping whose keys are names; where it is absent, there are no entries."""
        match self.node:
            case None:
                return
            case Entries(entries=entries):
                for key in entries:
                    if self[key].attempt(partial(_checked_name, key)):
                        yield key, self[key]
            case _:
                self.refuse("a mapping")

    def build(self, make: Callable[[], T], *keys: str) -> T | None:
        """Make something of this mapping, which has no other keys than these; None if a value had to be made up."""
        return self.make(make) if self.has_only(*keys) else None

    def has_only(self, *keys: str) -> bool:
        """Whether a mapping stands here; every other key of it than these is a problem."""
        if not isinstance(self.node, Entries):
            self.refuse(f"a mapping with {', '.join(keys)}")
            return False
        for key in self.node.entries:
            if key not in keys:
                self[key].report(f"is an unknown key{self.suggestion(key, keys)}; expected {one_of(keys)}")
        return True

    def make(self, make: Callable[[], T]) -> T | None:
        """Make something of some keys of this mapping; None if a value had to be made up."""
        gaps_before = self.findings.gaps
        try:
            made = make()
        except InvalidValueError as error:
            if self.findings.gaps == gaps_before:
                self._at(error.field).report(f"{error.problem}; expected {error.expected}")
            self.findings.gaps += 1
            return None
        return made if self.findings.gaps == gaps_before else None

    def attempt(self, make: Callable[[], T]) -> T | None:
        """Make something of what was read here; None, and a problem, if the core refuses it."""
        try:
            return make()
        except InvalidValueError as error:
            self.reject(error)
            return None

    def text(self, default: str | None = None) -> str:
        """Read a text; an unquoted number, true, false or null is none."""
        match self.node:
            case None if default is not None:
                return default
            case Scalar(quoted=True, text=text):
                return text
            case Scalar(text=text) if text and text not in _JSON_WORDS and not _JSON_NUMBER.fullmatch(text):
                return text
            case _:
                self.refuse("a text")
                return "text"

    def taken(self, make: Callable[[str], T]) -> T | None:
        """Read a text and make something of it; None if it cannot be made."""
        gaps_before = self.findings.gaps
        text = self.text()
        return None if self.findings.gaps > gaps_before else self.attempt(lambda: make(text))

    def name(self) -> str:
        """Read a name of the document's own choice."""
        return self.taken(_checked_name) or "name"

    def name_among(self, known: Collection[str], kind: str) -> str:
        """Read a name that must be one of those known."""
        gaps_before = self.findings.gaps
        name = self.text()
        if name not in known and self.findings.gaps == gaps_before:
            self.refuse_name(name, known, kind)
        return name

    def refuse_name(self, name: str, known: Collection[str], kind: str) -> None:
        """Report a name that nothing known has, and count what is left out for it."""
        self.findings.gaps += 1
        self.report(f"{shown(name)} is not a {kind}{self.suggestion(name, known)}; expected {one_of(known)}")

    def member(self, allowed: Collection[E], default: E | None = None) -> E:
        """Read one of the words that stand for the members of an enumeration."""
        by_word = {member.value: member for member in allowed}
        match self.node:
            case None if default is not None:
                return default
            case Scalar(text=text) if text in by_word:
                return by_word[text]
            case Scalar(text=text):
                self.refuse(one_of(by_word), self.suggestion(text, by_word))
            case _:
                self.refuse(one_of(by_word))
        return next(iter(allowed))

    def flag(self, *, default: bool | None = None) -> bool:
        """Read true or false, unquoted and in this spelling."""
        match self.node:
            case None if default is not None:
                return default
            case Scalar(quoted=False, text="true" | "false" as word):
                return word == "true"
            case _:
                self.refuse("true or false")
                return False

    def number(
        self,
        check: Callable[[str, object], Decimal] = exact_decimal,
        default: Decimal | None = None,
        expected: str = 'an integer, or a decimal in quotes such as "0.002"',
    ) -> Decimal:
        """Read an integer or a quoted decimal; a decimal without quotes is a problem that shows how to write it."""
        match self.node:
            case None if default is not None:
                return default
            case Scalar(quoted=False, text=text) if _DECIMAL.fullmatch(text):
                key = self.path.rpartition(".")[2]
                self.report(f'is an unquoted decimal; expected it in quotes, write {key}: "{text[:64]}"')
            case Scalar(text=text, quoted=quoted) if quoted or _INTEGER.fullmatch(text):
                pass
            case _:
                self.refuse(expected)
                return Decimal(1)
        try:
            return check("", text)
        except InvalidValueError as error:
            self.reject(error)
            return Decimal(1)

    def whole_number(self, within: range, expected: str) -> int:
        """Read an integer of that range, in quotes or without."""
        gaps_before = self.findings.gaps
        number = self.number(expected=expected)
        if self.findings.gaps == gaps_before and number == number.to_integral_value() and int(number) in within:
            return int(number)
        if self.findings.gaps == gaps_before:
            self.refuse(expected)
        return within[0]

    def glimpse(self) -> str | None:
        """Look at a scalar's text and report nothing."""
        return self.node.text if isinstance(self.node, Scalar) else None

    def is_null(self) -> bool:
        """Whether null stands here, unquoted and in this spelling."""
        return isinstance(self.node, Scalar) and not self.node.quoted and self.node.text == "null"

    def json_text(self) -> str:
        """Write what stands here as canonical JSON, with numbers as they were written."""
        match self.node:
            case Items():
                return f"[{','.join(place.json_text() for place in self.items())}]"
            case Entries(entries=entries):
                pairs = (f"{json.dumps(key, ensure_ascii=False)}:{self[key].json_text()}" for key in sorted(entries))
                return f"{{{','.join(pairs)}}}"
            case Scalar(quoted=False, text=text) if text in _JSON_WORDS or _JSON_NUMBER.fullmatch(text):
                return text
            case Scalar(quoted=quoted, text=text) if quoted or not _AMBIGUOUS.fullmatch(text):
                return json.dumps(text, ensure_ascii=False)
            case _:
                self.refuse("a JSON value; a text that could be read as something else goes in quotes")
                return "null"

    def refuse(self, expected: str, suggestion: str = "") -> None:
        """Report that what stands here is not what was expected, and count the value that is made up for it."""
        self.findings.gaps += 1
        match self.node:
            case None:
                self.report(f"is missing; expected {expected}")
            case Scalar(text=text, quoted=False) if not text:
                self.report(f"is empty; expected {expected}")
            case Scalar(text=text):
                self.report(f"{shown(text)} is not taken here{suggestion}; expected {expected}")
            case Items():
                self.report(f"is a list; expected {expected}")
            case Entries():
                self.report(f"is a mapping; expected {expected}")
            case Refused():
                pass

    def reject(self, error: InvalidValueError) -> None:
        """Report what the core refused, and count the value that is made up for it."""
        self.findings.gaps += 1
        self.report(f"{error.problem}; expected {error.expected}")

    def report(self, message: str) -> None:
        """Note a problem of this place."""
        self.findings.report(self.line, self.path, message)

    def suggestion(self, word: str, known: Collection[str]) -> str:
        """Ask whether a near word was meant, where looking for one is cheap."""
        if len(word) > SHOWN_CHARACTERS_MAX or len(known) > SUGGESTED_FROM_MAX:
            return ""
        near = difflib.get_close_matches(word, (name for name in known if len(name) <= SHOWN_CHARACTERS_MAX), n=1)
        return f', did you mean "{near[0]}"?' if near else ""

    def _below(self, step: str | int, node: Node | None) -> "Place":
        return Place((self.trail, step), self.line if node is None else node.line, node, self.findings)

    def _at(self, field: str) -> "Place":
        """Follow a field such as `tiers[1].up_to`, as the core names it, as far as the document goes."""
        place = self
        for index, key in _STEP.findall(field):
            items = place.items() if index else []
            place = items[int(index)] if index else place[key]
        return place


def kept(things: Iterable[T | None]) -> tuple[T, ...]:
    """Leave out what could not be read."""
    return tuple(thing for thing in things if thing is not None)


def _checked_name(name: str) -> str:
    check_name("name", name)
    return name
