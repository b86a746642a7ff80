"""ARCHITECTURE.md as data: its sections, their tables, and the names that stand in backticks."""

from __future__ import annotations

import re
from typing import NamedTuple


class Door(NamedTuple):
    """Who may import a foreign package, and which distribution brings it; None for what is generated here."""

    distribution: str | None
    rooms: frozenset[str]


class Page:
    """A Markdown page whose tables are rules."""

    def __init__(self, text: str) -> None:
        parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)
        self._sections = dict(zip(parts[1::2], parts[2::2], strict=True))

    def rows(self, section: str) -> list[list[str]]:
        """Cut a section's one table into cells, without its head."""
        rows = [line for line in self._section(section).splitlines() if line.startswith("|")]
        assert len(rows) > 2, f"section {section} has no table"
        cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
        assert len({len(row) for row in cells}) == 1, f"the rows of {section} differ in length"
        return cells[2:]

    def first_names(self, section: str) -> list[str]:
        """List what stands in backticks in the first column, in order."""
        found = [name for row in self.rows(section) for name in names(row[0])]
        assert len(set(found)) == len(found), f"a name stands twice in {section}"
        return found

    def floors(self) -> list[list[str]]:
        """List the floors from the top down, each with its rooms."""
        block = re.search(r"^```floors\n(.*?)^```", self._section("Floors"), re.DOTALL | re.MULTILINE)
        assert block, "section Floors has no block ```floors"
        return [[room.strip() for room in line.split("|")] for line in block[1].splitlines()]

    def doors(self) -> dict[str, Door]:
        """Map each import name to its door."""
        doors = {}
        for imported, distribution, rooms in self.rows("Doors"):
            brought_by = names(distribution)
            door = Door(brought_by[0] if brought_by else None, frozenset(names(rooms)))
            doors.update(dict.fromkeys(names(imported), door))
        return doors

    def banned_words(self) -> dict[str, str]:
        """Map each word that no identifier may hold to the one to use: those in backticks, of all not to be used."""
        return {banned: row[0] for row in self.rows("Words") for banned in names(row[2])}

    def _section(self, name: str) -> str:
        assert name in self._sections, f"ARCHITECTURE.md has no section {name}"
        return self._sections[name]


def names(cell: str) -> list[str]:
    """List what stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)
