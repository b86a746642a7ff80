"""What is wrong with a document: every problem, by line and path."""

from collections.abc import Iterable
from dataclasses import dataclass

from billing_core.errors import BillingError

PROBLEMS_MAX = 100
"""Reading stops here, so that a hostile document costs no more than a bad one."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing to mend: `line 12: plans.developer.prices[0].unit: <what is wrong>; expected <rule>`."""

    line: int
    path: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (f"line {self.line}", self.path, self.message) if part)


class CatalogError(BillingError):
    """A document that people wrote cannot be taken; nothing of it was."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Findings:
    """The problems found so far, and how often a value had to be made up to go on looking for more."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.gaps = 0

    def report(self, line: int, path: str, message: str) -> None:
        """Note one more problem; so many make the document not worth reading on."""
        self.problems.append(Problem(line, path, message))
        if len(self.problems) == PROBLEMS_MAX:
            rest = Problem(line, "", f"reading stopped after {PROBLEMS_MAX} problems; expected fewer")
            raise CatalogError([*self.problems, rest])
