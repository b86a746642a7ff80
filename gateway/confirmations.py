"""Until when a document that is held may be believed, read once and then confirmed together with all others.

The law: a document is fresh only when nothing was announced of it, it was read after announcements were last missed,
and less than `fresh_for` has passed since it was read, or since Redis was asked whether all announcements were heard
and they were. So none that was replaced is believed for longer than `fresh_for`, whatever becomes of its announcement.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from operator import itemgetter
from typing import Final

GONE_S: Final = -math.inf
"""When a document was read that was replaced: never. Nothing confirms it."""

_MISSED: Final = itemgetter(0)


class Confirmations:
    """When what is held was last confirmed; documents bring the moment at which each was read, by `read_at`."""

    def __init__(self, *, fresh_for_s: float, usable_for_s: float) -> None:
        """A document is used `fresh_for_s` unconfirmed while Redis answers, `usable_for_s` while it does not."""
        self._fresh_for_s = fresh_for_s
        self._usable_for_s = usable_for_s
        self._missed_s = 0.0
        """What was read earlier is doubted."""
        self._confirmed_s = GONE_S
        """When all was last confirmed, but for what was doubted then."""
        self._fresh_until_s = GONE_S
        self._doubts: list[tuple[float, float]] = []
        """Before which moment what was read became doubted, and when all else had last been confirmed; rising."""

    def fresh(self, read_s: float, now_s: float) -> bool:
        """Tell whether what was read then is still what Redis said lately, while it answers."""
        return read_s >= self._missed_s and (now_s < self._fresh_until_s or now_s - read_s < self._fresh_for_s)

    def usable(self, read_s: float, now_s: float) -> bool:
        """Tell whether what was read then may be used while Redis does not answer."""
        if read_s == GONE_S:
            return False
        confirmed_s = self._confirmed_s
        if read_s < self._missed_s:
            confirmed_s = self._doubts[bisect_right(self._doubts, read_s, key=_MISSED)][1]
        return now_s - max(read_s, confirmed_s) < self._usable_for_s

    def read_at(self, now_s: float) -> float:
        """Return the moment of what is read now: never before the last doubt, however coarse the clock."""
        return max(now_s, self._missed_s)

    def confirm(self, asked_s: float) -> None:
        """Take all that is held and not doubted for read at `asked_s`, when it was asked whether all was heard."""
        self._confirmed_s = asked_s
        self._fresh_until_s = asked_s + self._fresh_for_s

    def doubt(self, now_s: float) -> None:
        """Take nothing read until now for fresh: announcements may have been missed."""
        self._missed_s = math.nextafter(max(now_s, self._missed_s), math.inf)
        if self._doubts and self._doubts[-1][1] == self._confirmed_s:
            self._doubts.pop()  # nothing was confirmed in between: one says the same of both
        self._doubts.append((self._missed_s, self._confirmed_s))
        while len(self._doubts) > 1 and now_s - self._doubts[1][1] >= self._usable_for_s:
            del self._doubts[0]  # what it is about finds the next, which is too old as well
