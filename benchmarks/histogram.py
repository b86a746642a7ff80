"""A histogram whose buckets grow with the value: every percentile within one in a hundred, in constant memory."""

from __future__ import annotations

from typing import Final

STEPS: Final = 128
"""Buckets per doubling: a value is known to 1/128."""

BITS: Final = STEPS.bit_length()
DOUBLINGS_MAX: Final = 40


class Histogram:
    """Counts whole numbers from 0; for us, nanoseconds."""

    def __init__(self) -> None:
        self._counts = [0] * (STEPS * DOUBLINGS_MAX)
        self.count = 0

    def add(self, value: int) -> None:
        """Count one; what is below 0 counts as 0."""
        shift = max(0, value.bit_length() - BITS) if value > 0 else 0
        self._counts[shift * STEPS + (max(value, 0) >> shift)] += 1
        self.count += 1

    def percentile(self, percent: float) -> float:
        """Return the middle of the bucket in which so many percent of the values are reached."""
        assert self.count, "no value was counted"
        wanted, reached = self.count * percent / 100, 0
        for place, count in enumerate(self._counts):
            reached += count
            if count and reached >= wanted:
                return _middle(place)
        raise AssertionError("the counts add up to less than their sum")


def _middle(place: int) -> float:
    """Undo what `add` did: buckets below two STEPS are exact, the others as wide as their shift says."""
    shift = max(0, place // STEPS - 1)
    mantissa = place - shift * STEPS
    return (mantissa << shift) + ((1 << shift) - 1) / 2
