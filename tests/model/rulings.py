"""What each kind of limit says to a quantity: from what is stored and the time, slowly, in whole numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from gateway.counters.order import Gcra, Limit, Pool, Quota, Seats, Sliding
from tests.model.pools import rule_pool
from tests.model.stored import MAX, Arrival, Move, Ruling, Slide, Stored, ceiling_of, is_open, opened, running

if TYPE_CHECKING:
    from collections.abc import Mapping


def rule(limit: Limit, stored: Mapping[str, Stored], seats: Mapping[str, int], quantity: int, now_us: int) -> Ruling:
    """Let a limit rule over a quantity; `seats` are the subjects of its key with when each was last active."""
    match limit:
        case Quota():
            return rule_quota(limit, stored, quantity, now_us // 1000)
        case Sliding():
            return rule_sliding(limit, stored, quantity, now_us // 1000)
        case Gcra():
            return rule_gcra(limit, stored, quantity, now_us)
        case Pool():
            return rule_pool(limit, stored, quantity, now_us // 1000)
        case Seats():
            return rule_seats(limit, seats, now_us // 1000)
        case _:
            assert_never(limit)


def rule_quota(limit: Quota, stored: Mapping[str, Stored], quantity: int, now_ms: int) -> Ruling:
    """So much in a window."""
    start, end = opened(limit.span, now_ms)
    count = running(stored, limit.counter, start)
    after = count.used + quantity
    return Ruling(
        base=limit.counter,
        window_ms=start,
        fits=after <= (MAX if limit.ceiling is None else limit.ceiling),
        outside=not start <= now_ms < end,
        before=(count.used, count.start_ms),
        after=(after, count.start_ms),
        writes={limit.counter: count._replace(used=after)},
        moves=(Move(limit.counter, count.start_ms, quantity),) if limit.kept else (),
        needed_until_ms=end,
    )


def rule_sliding(limit: Sliding, stored: Mapping[str, Stored], quantity: int, now_ms: int) -> Ruling:
    """So much in a length of time that ends now: the window before counts by the share of it that is still in reach."""
    length = limit.length_ms
    start = now_ms - now_ms % length
    found = stored.get(limit.counter)
    if isinstance(found, Slide) and is_open(found, start):
        slide = found
    elif isinstance(found, Slide) and found.start_ms == start - length:
        slide = Slide(0, start, found.used)
    else:
        slide = Slide(0, start, 0)
    used = weighed(slide, length, now_ms)
    return Ruling(
        base=limit.counter,
        window_ms=start,
        fits=used + quantity <= limit.ceiling,
        before=(used, slide.start_ms),
        after=(used + quantity, slide.start_ms),
        writes={limit.counter: slide._replace(used=slide.used + quantity)},
        needed_until_ms=slide.start_ms + 2 * length,
    )


def weighed(slide: Slide, length_ms: int, now_ms: int) -> int:
    """Tell what is used within reach: of the window before the share that is, rounded down."""
    elapsed = max(0, now_ms - slide.start_ms)
    return slide.before * (length_ms - elapsed) // length_ms + slide.used


def rule_gcra(limit: Gcra, stored: Mapping[str, Stored], quantity: int, now_us: int) -> Ruling:
    """One after another at a distance, but so many at once."""
    found = stored.get(limit.counter)
    arrival = max(found.at_us, now_us) if isinstance(found, Arrival) else now_us
    after = arrival + ceiling_of(quantity * limit.period_us, limit.ceiling)

    def shown(at_us: int) -> tuple[int, int]:
        ahead = at_us - now_us
        return ceiling_of(ahead * limit.ceiling, limit.period_us), ceiling_of(ahead, 1000)

    return Ruling(
        base=limit.counter,
        window_ms=0,
        fits=after - now_us <= ceiling_of(limit.burst * limit.period_us, limit.ceiling),
        before=shown(arrival),
        after=shown(after),
        writes={limit.counter: Arrival(after)},
        needed_until_ms=ceiling_of(after, 1000),
    )


def rule_seats(limit: Seats, seats: Mapping[str, int], now_ms: int) -> Ruling:
    """So many subjects, each counted once while it is active."""
    since = now_ms - limit.active_ms if limit.active_ms else limit.since_ms
    active = {subject for subject, last_ms in seats.items() if last_ms >= since}
    after = active | {limit.subject}
    return Ruling(
        base=limit.key,
        window_ms=0,
        fits=limit.subject in active or limit.ceiling is None or len(after) <= limit.ceiling,
        before=(len(active), 0),
        after=(len(after), 0),
        subject=(limit.key, limit.subject, max(now_ms, since), since),
    )
