"""Where the driver's choices come from: a seed, for a million steps, or hypothesis, which makes what fails small."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Protocol, TypeVar

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")


class Choosing(Protocol):
    """A source of choices."""

    def pick(self, options: Sequence[T]) -> T:
        """Choose one; the first is the plainest."""

    def whole(self, least: int, most: int) -> int:
        """Choose a whole number; the least is the plainest."""


class Seeded:
    """Chooses at random, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - no secret

    def pick(self, options: Sequence[T]) -> T:
        """Choose one."""
        return options[int(self._random.random() * len(options))]

    def whole(self, least: int, most: int) -> int:
        """Choose a whole number."""
        return least + int(self._random.random() * (most - least + 1))


class Drawn:
    """Lets hypothesis choose, by the `draw` of the step that is taken."""

    def __init__(self) -> None:
        self.draw: Callable[[st.SearchStrategy[int]], int] = _nobody

    def pick(self, options: Sequence[T]) -> T:
        """Choose one."""
        return options[self.draw(st.integers(0, len(options) - 1))]

    def whole(self, least: int, most: int) -> int:
        """Choose a whole number."""
        return self.draw(st.integers(least, most))


def _nobody(_: st.SearchStrategy[int]) -> int:
    raise AssertionError("no step is being taken")
