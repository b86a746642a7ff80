"""How many calls a second are too many: the highest rate at which calls still end as fast as they fall due.

A rate is kept up with when, at the end of a stretch, all but one in a hundred of its calls have ended: then nothing
queues that grows. What is found is that of the whole chain, load and Redis included, which share a core here.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

from benchmarks.blocks import connected
from benchmarks.load import LoadError, OverloadError

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.blocks import Subject

ENDED_MIN: Final = 0.99
TRIES: Final = 2
"""A machine that is shared stalls now and then: one stretch that goes well is enough."""

STEPS: Final = 6
SPAN: Final = 8.0
"""From an eighth of the rate at which it surely queues: six halvings tell it to 3 %."""


RECOVER_S: Final = 1.0
"""Behind a breakdown: what is still being counted then would be missing in the next stretch."""


def saturation_hz(
    at: Callable[[float], Subject], too_many_hz: float, seconds: float, after: Callable[[], None]
) -> float:
    """Search below a rate that is too high; `at` gives the subject at a rate."""
    high, low = too_many_hz, too_many_hz / SPAN
    if not _kept_up(at(low), seconds, after):
        raise LoadError(f"{low:,.0f} calls a second, an eighth of what a closed loop does, are not kept up with")
    for _ in range(STEPS):
        middle = math.sqrt(low * high)
        if _kept_up(at(middle), seconds, after):
            low = middle
        else:
            high = middle
    return low


def _kept_up(subject: Subject, seconds: float, after: Callable[[], None]) -> bool:
    return any(_ended_in_time(subject, seconds, after) >= ENDED_MIN for _ in range(TRIES))


def _ended_in_time(subject: Subject, seconds: float, after: Callable[[], None]) -> float:
    """Tell which part of a stretch's calls had ended at its end; 0 when the load itself breaks down."""
    try:
        with connected(subject) as load:
            return load.put(seconds, lambda: None).in_time
    except OverloadError:
        time.sleep(RECOVER_S)
        return 0.0
    finally:
        after()
