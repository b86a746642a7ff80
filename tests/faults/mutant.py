"""What a mutant is: one text of one file replaced by another, and the tests that ought to notice.

Mutants are data, in `mutants/*.toml`: the `file`, what is wrong then (`says`), the text `old`, the text `new` in its
place, and the `tests` that ought to fail. `file` and `tests` may stand once, above all mutants of a room.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MUTANTS = Path(__file__).parent / "mutants"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One text in a file replaced by another; `nth` says which, where the text occurs more than once."""

    room: str
    file: str
    says: str
    old: str
    new: str
    tests: tuple[str, ...]
    nth: int | None = None

    def applied(self, text: str) -> str:
        """Return the mutated text of the file."""
        pieces = text.split(self.old)
        count = len(pieces) - 1
        if self.old == self.new or not (1 <= self.nth <= count if self.nth else count == 1):
            raise ValueError(f"{self.room}: {self.says}: `old` is {count} times in {self.file}: {self.old!r}")
        nth = self.nth or 1
        return self.old.join(pieces[:nth]) + self.new + self.old.join(pieces[nth:])


def mutants() -> list[Mutant]:
    """Read every mutant, room by room."""
    found = []
    for path in sorted(MUTANTS.glob("*.toml")):
        room = tomllib.loads(path.read_text(encoding="utf-8"))
        shared = {name: room[name] for name in ("file", "tests") if name in room}
        for one in room["mutant"]:
            given = shared | one
            found.append(Mutant(room=path.stem, **(given | {"tests": tuple(given["tests"])})))
    return found
