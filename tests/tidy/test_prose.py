"""Proof that what is too long, silent or misnamed is reported."""

from __future__ import annotations

import pytest

from tests.tidy import prose
from tests.tidy.source import Source

BANNED = {"tenant": "customer", "rate_card": "plan"}


def sample(text: str, path: str = "gateway/sample.py") -> list[Source]:
    """Make one file of Python."""
    return [Source(path, text)]


def test_a_file_of_two_ideas_is_reported() -> None:
    """301 lines are one too many."""
    assert prose.long_files({"a.py": "\n" * 300, "b.lua": "\n" * 301}) == ["b.lua: 301 lines, above 300"]


def test_a_function_longer_than_a_screen_is_reported() -> None:
    """61 lines are one too many, also inside a class and with async."""
    function = "async def long():\n" + "    x = 1\n" * 60
    inside = "class C:\n" + "".join(f"    {line}\n" for line in function.splitlines())
    for text in (function, inside):
        assert len(prose.long_functions(sample(text))) == 1
        assert prose.long_functions(sample(text.removesuffix("x = 1\n").rstrip())) == []


@pytest.mark.parametrize("text", ["", "import os", '"""Two lines for\none sentence."""', '"""No end"""', "x = 'Hm.'"])
def test_a_silent_module_is_reported(text: str) -> None:
    """A docstring's first sentence ends on its first line."""
    assert len(prose.silent_modules(sample(text))) == 1


def test_a_module_that_speaks_passes() -> None:
    """One sentence, and more below it."""
    assert prose.silent_modules(sample('"""What is decided here.\n\nAnd why.\n"""')) == []


@pytest.mark.parametrize(
    "text",
    [
        "def test_x(): assert True",
        "class TestX:\n    async def test_x(self): assert True",
        'def test_x():\n    """One.\n\n    Two."""',
    ],
)
def test_a_silent_test_is_reported(text: str) -> None:
    """Every test promises something in one paragraph."""
    assert len(prose.silent_tests(sample(text))) == 1


def test_a_test_that_speaks_passes() -> None:
    """Its docstring is a paragraph; what is no test needs none here."""
    assert prose.silent_tests(sample('def test_x():\n    """Holds."""\ndef x(): ...')) == []


@pytest.mark.parametrize("page", ["", '"""Owns keys."""', '"""It does not own keys."""', '"""Known, and not owned."""'])
def test_a_page_without_an_owner_is_reported(page: str) -> None:
    """A package says what it owns and what it does not own."""
    assert len(prose.pages_without_owner(sample(page, "gateway/counters/__init__.py"))) == 1


def test_a_page_with_an_owner_passes() -> None:
    """In any wording and over lines; a module needs no such page."""
    told = sample('"""Keys.\n\nIt owns keys. It does\nnot own meaning.\n"""', "gateway/counters/__init__.py")
    assert prose.pages_without_owner(told + sample('"""Alone."""')) == []


@pytest.mark.parametrize(
    "text",
    ["class KeyManager: ...", "def helper(): ...", "class C:\n    async def _handler(self): ...", "class BaseKey: ..."],
)
def test_a_name_without_a_task_is_reported(text: str) -> None:
    """Classes, functions and methods, whatever their spelling."""
    assert len(prose.banned_names(sample(text))) == 1


def test_a_module_without_a_task_is_reported() -> None:
    """The file's own name counts too."""
    assert len(prose.banned_names(sample("", "gateway/utils.py"))) == 1


def test_names_with_a_task_pass() -> None:
    """Words that only contain a banned one, and names that are not ours, are free."""
    text = "def database(): ...\nclass Implied: ...\nloop.set_exception_handler(x)"
    assert prose.banned_names(sample(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "tenant = 1",
        "def f(tenant_id): ...",
        "class TenantKey: ...",
        "def list_tenants(): ...",
        "f(tenant=1)",
        "x.tenant",
        "RATE_CARD = 1",
        "class RateCard: ...",
    ],
)
def test_a_second_word_for_an_idea_is_reported(text: str) -> None:
    """Names that are bound, asked for or handed over, in any spelling and in the plural."""
    assert len(prose.banned_words(sample(text), BANNED)) == 1


def test_words_of_the_glossary_pass() -> None:
    """Parts of words, words apart and text between quotes are free."""
    text = "lieutenant = 1\nrate = card = 2\nx = 'tenant'"
    assert prose.banned_words(sample(text), BANNED) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [("a.sql", "SELECT tenant_id FROM x;"), ("a.proto", "message RateCard {}"), ("a.lua", "local tenants = 1")],
)
def test_a_second_word_outside_python_is_reported(path: str, text: str) -> None:
    """One vocabulary from proto to SQL; comments are prose."""
    assert len(prose.banned_words_elsewhere({path: text}, BANNED)) == 1
    assert prose.banned_words_elsewhere({path: f"-- {text}\n// {text}"}, BANNED) == []
