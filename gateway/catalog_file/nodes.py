"""From text to a tree of nodes that know their line and whether they were quoted; no value is interpreted here.

YAML is read as events, before its own rules about numbers, dates and `yes` apply. JSON is checked by the standard
library and cut into the same events. Bounds on size and depth hold before anything is built, and what YAML has beyond
JSON (anchors, aliases, tags, several documents) is refused, so that a small text cannot become a large tree.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import yaml

from billing_core.errors import SHOWN_CHARACTERS_MAX, shown
from gateway.catalog_file.problems import CatalogError, Findings, Problem

BYTES_MAX = 3 * 1024 * 1024
"""A thousand plans with ten features and eight prices each are two to three MiB; a message has room for four."""

NODES_MAX = 500_000
"""Those plans have 300,000 keys and values. Each costs microseconds to read, so that no text of any kind costs more."""

DEPTH_MAX = 32

# libyaml reads a megabyte in a second where the Python reader takes ten; PyYAML may have been built without it.
_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}]|[^][{}",:\s]+')
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


class _Mark(Protocol):
    line: int


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text as it stands in the document, and whether it was quoted there."""

    line: int
    text: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    line: int
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Entries:
    """A mapping."""

    line: int
    entries: dict[str, "Node"]


@dataclass(frozen=True, slots=True)
class Refused:
    """Something whose problem is reported already."""

    line: int


Node = Scalar | Items | Entries | Refused


@dataclass(frozen=True, slots=True)
class _Begin:
    line: int
    kind: Literal["list", "mapping"]


@dataclass(frozen=True, slots=True)
class _End:
    pass


@dataclass(frozen=True, slots=True)
class _Flaw:
    line: int
    message: str


_Event = Scalar | Refused | _Begin | _End | _Flaw


def read_document(text: str, findings: Findings) -> Node:
    """Read YAML or JSON; what can be skipped is reported, what makes the rest unreadable raises CatalogError."""
    text = text.removeprefix("\ufeff")
    if len(text.encode("utf-8", "surrogatepass")) > BYTES_MAX:
        raise CatalogError([Problem(1, "", f"the document is too large; expected at most {BYTES_MAX} bytes")])
    events = _json_events(text) if _is_json(text) else _yaml_events(text)
    first = next(events, None)
    if first is None:
        raise CatalogError([Problem(1, "", "the document is empty; expected a mapping")])
    root = _Tree(events, findings).node(first, None, DEPTH_MAX)
    assert next(events, None) is None, "one document is one tree"
    return root


Trail = tuple["Trail", str | int] | None
"""The way to a node: from where, and by which key or place in a list; the root's is None."""


def path_of(trail: Trail) -> str:
    """Write a way down such as `plans.basic.fees[0]`; a key that could not be printed is shown escaped."""
    steps: list[str] = []
    while trail is not None:
        trail, step = trail
        steps.append(f"[{step}]" if isinstance(step, int) else f".{_printable(step)}")
    return "".join(reversed(steps)).removeprefix(".")


def _printable(key: str) -> str:
    return key if key.isascii() and key.isprintable() and len(key) <= SHOWN_CHARACTERS_MAX else shown(key)


class _Tree:
    def __init__(self, events: Iterator[_Event], findings: Findings) -> None:
        self._events = events
        self._findings = findings
        self._nodes_left = NODES_MAX

    def node(self, event: _Event, trail: Trail, depth_left: int) -> Node:
        while isinstance(event, _Flaw):
            self._report(event.line, trail, event.message)
            event = next(self._events)
        assert not isinstance(event, _End), "an end is taken where its beginning was"
        if not self._nodes_left:
            message = f"the document has too many keys and values; expected at most {NODES_MAX}"
            raise CatalogError([*self._findings.problems, Problem(event.line, "", message)])
        self._nodes_left -= 1
        match event:
            case Scalar() if _NOT_STORABLE.search(event.text):
                self._report(event.line, trail, "holds a NUL or half a character; expected Unicode text")
                return Refused(event.line)
            case Scalar() | Refused():
                return event
            case _Begin() if not depth_left:
                message = f"is nested too deep; expected at most {DEPTH_MAX} levels"
                raise CatalogError([*self._findings.problems, Problem(event.line, path_of(trail), message)])
            case _Begin(kind="list"):
                return Items(event.line, tuple(self._items(trail, depth_left - 1)))
            case _Begin():
                return Entries(event.line, self._entries(trail, depth_left - 1))

    def _items(self, trail: Trail, depth_left: int) -> Iterator[Node]:
        count = 0
        while not isinstance(event := next(self._events), _End):
            yield self.node(event, (trail, count), depth_left)
            count += 1

    def _entries(self, trail: Trail, depth_left: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := next(self._events), _End):
            key = self.node(event, trail, depth_left)
            if not isinstance(key, Scalar):
                if not isinstance(key, Refused):
                    self._report(key.line, trail, "has a key that is not a text; expected texts as keys")
                self.node(next(self._events), trail, depth_left)
                continue
            below = (trail, key.text)
            value = self.node(next(self._events), below, depth_left)
            if key.text in entries:
                self._report(key.line, below, f"is given twice; expected once, as on line {lines[key.text]}")
            entries.setdefault(key.text, value)
            lines.setdefault(key.text, key.line)
        return entries

    def _report(self, line: int, trail: Trail, message: str) -> None:
        self._findings.report(line, path_of(trail), message)


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return False  # what is no JSON, or too deep for it, is told by the YAML reader with its line
    return True


def _json_events(text: str) -> Iterator[_Event]:
    line, position = 1, 0
    for match in _JSON_TOKEN.finditer(text):
        line += text.count("\n", position, match.start())
        position = match.start()
        match match[0]:
            case "{":
                yield _Begin(line, "mapping")
            case "[":
                yield _Begin(line, "list")
            case "}" | "]":
                yield _End()
            case word:
                quoted = word.startswith('"')
                bare = word[1:-1] if quoted else word
                yield Scalar(line, json.loads(word) if "\\" in word else bare, quoted)


def _yaml_events(text: str) -> Iterator[_Event]:
    documents = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            # Nearly all of a document are bare scalars: they take the short way.
            if type(event) is yaml.ScalarEvent and not event.anchor and not event.tag:
                yield Scalar(_line(event.start_mark), event.value, bool(event.style))
                continue
            documents += isinstance(event, yaml.DocumentStartEvent)
            if documents > 1:
                message = "a second document begins; expected one"
                raise CatalogError([Problem(_line(event.start_mark), "", message)])
            yield from _events_of(event)
    except yaml.MarkedYAMLError as error:
        message = f"{error.problem or error.context}; expected YAML or JSON"
        raise CatalogError([Problem(_line(error.problem_mark or error.context_mark), "", message)]) from error
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        raise CatalogError([Problem(1, "", "holds a character that YAML does not allow; expected text")]) from error


def _events_of(event: yaml.Event) -> Iterator[_Event]:
    line = _line(event.start_mark)
    # An alias is the one node that means another; all others may carry an anchor or a tag.
    if isinstance(event, yaml.AliasEvent):
        yield _Flaw(line, "is an alias; expected the value written out")
        yield Refused(line)
    elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
        if event.anchor:
            yield _Flaw(line, "has an anchor; expected none, for aliases are not taken")
        if event.tag:
            yield _Flaw(line, f"has the tag {shown(event.tag)}; expected none")
        if isinstance(event, yaml.ScalarEvent):
            yield Scalar(line, event.value, quoted=bool(event.style))
        else:
            yield _Begin(line, "mapping" if isinstance(event, yaml.MappingStartEvent) else "list")
    elif isinstance(event, yaml.CollectionEndEvent):
        yield _End()


def _line(mark: _Mark | None) -> int:
    return mark.line + 1 if mark else 1
