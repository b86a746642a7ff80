"""Every published example is a case, or a statement of why it is none."""

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).parent / "cases"
FILES = {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(CASES.glob("*.toml"))}
NOT_TAKEN: list[dict[str, str]] = FILES["not_taken"]["not_taken"]

KINDS = ("case", "document", "call", "measured")
PUBLISHED = 117
SYSTEMS = 14
DIFFERING_MAX = 11


def tables() -> list[dict[str, Any]]:
    """Collect every case of every file."""
    return [table for file in FILES.values() for kind in KINDS for table in file.get(kind, [])]


def test_every_example_stands_in_one_place() -> None:
    """An example is in one case or in not_taken.toml, and neither has one that nobody listed."""
    listed = FILES["examples"]["published"] + FILES["examples"]["further"]
    placed = [name for table in tables() for name in table.get("examples", [])]
    placed += [entry["id"] for entry in NOT_TAKEN]
    assert Counter(placed) == Counter(listed)
    assert max(Counter(listed).values()) == 1


def test_all_of_the_published_examples_are_listed() -> None:
    """There are as many as were published, of fourteen systems."""
    published = FILES["examples"]["published"]
    assert len(published) == PUBLISHED
    assert len({name.partition("-")[0] for name in published}) == SYSTEMS


def test_a_case_with_examples_says_where_they_come_from() -> None:
    """Who finds an example here can find it there; a table of quantities has an amount for each."""
    for table in tables():
        if "examples" in table:
            system = {FILES["examples"]["systems"][name.partition("-")[0]] for name in table["examples"]}
            assert len(system) == 1, table["says"]
            assert table["source"].startswith(*system), table["says"]
            assert len(table["examples"]) <= len(table.get("amounts", table["examples"])), table["says"]


@pytest.mark.parametrize("entry", NOT_TAKEN, ids=lambda entry: entry["id"])
def test_what_is_not_taken_says_why(entry: dict[str, str]) -> None:
    """A statement that is not about rating says why, another convention also what is taken and how to write theirs."""
    further = {"not rating": set(), "convention differs": {"taken", "written"}}[entry["kind"]]
    assert set(entry) == {"id", "source", "kind", "why"} | further
    assert all(entry.values())


def test_few_conventions_differ() -> None:
    """Of all that was published, fewer than twelve cost something else here."""
    assert sum(entry["kind"] == "convention differs" for entry in NOT_TAKEN) <= DIFFERING_MAX
