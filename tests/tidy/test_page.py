"""The page is read as it is meant, and a page that cannot be read is reported."""

from __future__ import annotations

import pytest

from tests.tidy.page import Door, Page

PAGE = """# A house

## Rooms

| room | what |
|---|---|
| `gateway.rpc` | asks `gateway.checker` |
| `gateway.checker` | decides |

## Floors

```floors
gateway.rpc | gateway.client
gateway.checker
```

## Doors

| import | distribution | rooms |
|---|---|---|
| `yaml` | `PyYAML` | `gateway.catalog_file` |
| `gateway.v1` | ours | `gateway.rpc` `gateway.client` |

## Words

| word | meaning | not |
|---|---|---|
| customer | who pays | `tenant`, `account`, user |
"""


def test_a_page_is_read_table_by_table() -> None:
    """Names come from backticks, in the column and the order in which they stand."""
    page = Page(PAGE)
    assert page.first_names("Rooms") == ["gateway.rpc", "gateway.checker"]
    assert page.floors() == [["gateway.rpc", "gateway.client"], ["gateway.checker"]]
    assert page.doors() == {
        "yaml": Door("PyYAML", frozenset({"gateway.catalog_file"})),
        "gateway.v1": Door(None, frozenset({"gateway.rpc", "gateway.client"})),
    }
    assert page.banned_words() == {"tenant": "customer", "account": "customer"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("# A house\n", "no section Rooms"),
        ("## Rooms\n\nMany.\n", "section Rooms has no table"),
        ("## Rooms\n| room | what |\n|---|---|\n| `a` |\n", "differ in length"),
        ("## Rooms\n| room |\n|---|\n| `a` |\n| `a` |\n", "stands twice"),
    ],
)
def test_a_page_that_cannot_be_read_is_reported(text: str, problem: str) -> None:
    """A missing section or table, a row that is cut off and a name that stands twice fail loudly."""
    with pytest.raises(AssertionError, match=problem):
        Page(text).first_names("Rooms")


def test_floors_stand_in_their_block() -> None:
    """A page without a floors block is not a page without floors."""
    with pytest.raises(AssertionError, match="no block"):
        Page("## Floors\n\ngateway.rpc\n").floors()
