"""Proof that a script or a query without its contract is reported."""

from __future__ import annotations

import pytest

from tests.tidy import stores
from tests.tidy.source import Source

SCRIPT = """-- Raises a counter.
--
-- KEYS     1 use    {l17}:use:<customer>
-- ARGV     1 quantity, from 1
-- RETURNS  the counter
-- GUARANTEE  One write.

local time = redis.call('TIME') -- '{l17}:no:key'
redis.call("HSET", KEYS[1], '.v', ARGV[1])
return redis.call('INCRBY', KEYS[1], ARGV[1])
"""
QUERIES = """-- name: totals
-- What was used; by whom.
SELECT 1, ';';

-- name: watermark
-- How far.
SELECT 2
"""


def test_a_script_with_a_contract_passes() -> None:
    """The header's sections in order, and every key from KEYS."""
    assert stores.lua_violations("a.lua", SCRIPT) == []


@pytest.mark.parametrize(
    ("old", "new", "reported"),
    [
        ("-- Raises a counter.\n", "", "first line"),
        ("Raises a counter.", "Raises a", "first line"),
        ("-- KEYS     1 use    {l17}:use:<customer>\n", "", "no section KEYS"),
        ("-- ARGV     1 quantity, from 1\n", "", "no section ARGV"),
        ("-- RETURNS  the counter\n", "", "no section RETURNS"),
        ("-- GUARANTEE  One write.\n", "", "no section GUARANTEE"),
        ("-- RETURNS  the counter\n-- GUARANTEE  One write.", "-- GUARANTEE  x\n-- RETURNS  y", "not in the order"),
        ("KEYS[1], ARGV[1])", "KEYS[2], ARGV[1])", "KEYS[2] is not in the header"),
        ("'.v', ARGV[1]", "'.v', ARGV[7]", "ARGV[7] is not in the header"),
        ("'INCRBY', KEYS[1]", "'INCRBY', '{l17}:use:x'", "does not come from KEYS"),
        ("'INCRBY', KEYS[1]", "'INCRBY', prefix .. ARGV[1]", "does not come from KEYS"),
        ("redis.call('INCRBY', KEYS[1]", "redis.pcall('INCRBY', name", "does not come from KEYS"),
        ("'INCRBY', KEYS[1]", "ARGV[1], KEYS[1]", "the command is no literal"),
    ],
)
def test_a_broken_script_is_reported(old: str, new: str, reported: str) -> None:
    """A missing part of the header, and a key or a command that cannot be seen before the script runs."""
    assert old in SCRIPT
    violations = stores.lua_violations("a.lua", SCRIPT.replace(old, new))
    assert len(violations) == 1
    assert reported in violations[0]


def test_a_script_without_its_caller_is_reported() -> None:
    """The Python of the same stem stands in the same folder."""
    paths = ["gateway/counters/consume.lua", "gateway/records/usage.sql"]
    violations = stores.without_companion(paths, ["gateway/counters/consume.py", "gateway/counters/usage.py"])
    assert violations == ["gateway/records/usage.sql: no gateway/records/usage.py beside it"]


def test_named_queries_pass() -> None:
    """A name, a description and a statement each."""
    assert stores.query_violations("a.sql", QUERIES) == []


@pytest.mark.parametrize(
    ("old", "new", "reported"),
    [
        ("-- name: totals\n", "", "stands before"),
        ("-- name: totals", "-- name: Totals", "snake_case"),
        ("-- name: totals", "-- name: all totals", "snake_case"),
        ("-- name: totals", "-- name: watermark", "named twice"),
        ("-- What was used; by whom.\n", "", "not described"),
        ("SELECT 1, ';';", "-- later", "does not hold one statement"),
        ("SELECT 1, ';';", "SELECT 1; SELECT 2;", "does not hold one statement"),
    ],
)
def test_a_broken_query_is_reported(old: str, new: str, reported: str) -> None:
    """A query that has no name or shares it, says nothing, or does nothing."""
    assert old in QUERIES
    violations = stores.query_violations("a.sql", QUERIES.replace(old, new))
    assert any(reported in violation for violation in violations)


def test_a_file_without_queries_is_reported() -> None:
    """An empty file is no subject."""
    assert stores.query_violations("a.sql", "") == ["a.sql: no query has a name"]


@pytest.mark.parametrize(
    "names",
    [
        ["0001_a.sql", "0003_b.sql"],
        ["0002_a.sql"],
        ["0001_a.sql", "0001_b.sql"],
        ["1_a.sql"],
        ["0001-a.sql"],
        ["0001_a.txt"],
    ],
)
def test_a_gap_in_the_migrations_is_reported(names: list[str]) -> None:
    """Numbers rise by one from 0001, in names of one form."""
    assert stores.migration_violations(dict.fromkeys(names, "-- Brings a table.\n"))


def test_a_silent_migration_is_reported() -> None:
    """A migration begins with what it brings."""
    texts = {"0001_a.sql": "-- Brings a table.\n", "0002_b.sql": "CREATE TABLE t ();"}
    assert stores.migration_violations(texts) == ["0002_b.sql: does not begin with a comment"]


def test_keys_and_channels_are_found() -> None:
    """A function's pattern stands in double backticks; a channel is a constant with a colon."""
    text = 'A: Final = "x:changes"\nB = "x"\ndef head():\n    """``{l17}:head``"""\ndef use():\n    """Use `x:y`."""'
    source = Source("gateway/counters/keys.py", text)
    assert stores.key_patterns(source) == {"head": "{l17}:head"}
    assert stores.channels(source) == ["x:changes"]


def test_fields_of_an_entry_are_found() -> None:
    """What XADD writes, and what is packed in a struct, in order."""
    script = "redis.call('XADD', KEYS[3], '*', 'id', event_id, 'at', now, 'claim', given.event)"
    assert stores.entry_fields(script) == ["id", "at", "claim"]
    assert stores.entry_fields("return 1") == []
    struct = Source("a.py", "class P(Struct):\n    schema: int\n    customer: str\nclass Q:\n    other: int")
    assert stores.struct_fields(struct, "P") == ["schema", "customer"]
