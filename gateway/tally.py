"""What the limits of a claim say to its caller: where each stands, which refuses it, and how long to wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, assert_never

from gateway.counters.order import MAX, Gcra, Member, Pool, Quota, Rolled, Seats, Sliding
from gateway.decision import LimitKind, LimitState, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.counters.order import Limit, Span, State

REASONS: Final = {
    LimitKind.QUOTA: Reason.QUOTA_EXCEEDED,
    LimitKind.GRANT: Reason.QUOTA_EXCEEDED,
    LimitKind.ROLLOVER: Reason.QUOTA_EXCEEDED,
    LimitKind.RATE: Reason.RATE_EXCEEDED,
    LimitKind.CONCURRENCY: Reason.CONCURRENCY_EXCEEDED,
    LimitKind.SEATS: Reason.SEATS_EXCEEDED,
}
"""What a claim is told that a limit of this kind refuses."""


class Label(NamedTuple):
    """What a caller is told of a limit besides its numbers; of a pool, each member has one."""

    name: str
    kind: LimitKind
    size: int | None
    """What it gives; the ceiling may be higher, where use goes on above it, or absent."""


class Told(NamedTuple):
    """How a claim stands with one limit."""

    states: tuple[LimitState, ...]
    """Its own; of a pool those of its members."""
    limit: int | None
    used: int
    remaining: int | None
    resets_at_ms: int | None
    retry_after_ms: int | None
    """How long until a claim that is refused may be allowed; None when waiting does not help, or nobody knows."""
    reason: Reason
    """OK when the limit has room for the claim."""
    overage: int
    """How much of what is used lies above what the limit gives."""


def told_of(limit: Limit, labels: Sequence[Label], state: State, quantity: int, now_ms: int) -> Told:
    """Say how a claim of so much, which was not counted, stands with a limit; of one that was, the quantity is 0."""
    match limit:
        case Pool():
            return _pool(limit, labels, state, quantity, now_ms)
        case Quota(_, span, ceiling, _):
            used, start_ms = _two(state)
            end_ms = _end_ms(span, start_ms)
            return _single(labels[0], ceiling, used, quantity, end_ms, _until(end_ms, now_ms))
        case Sliding(_, length_ms, ceiling):
            used, start_ms = _two(state)
            # What the window before counted for goes away evenly; this is when enough of it would have gone.
            wait_ms = -(-(used + quantity - ceiling) * length_ms // used) if used else 0
            return _single(labels[0], ceiling, used, quantity, start_ms + length_ms, wait_ms)
        case Gcra(_, period_us, ceiling, burst):
            used, until_free_ms = _two(state)
            wait_us = (used + quantity - burst) * period_us // ceiling if ceiling else 0
            return _single(labels[0], burst, used, quantity, now_ms + until_free_ms, -(-wait_us // 1000))
        case Seats(_, _, since_ms, _, ceiling):
            used, _ = _two(state)
            return _single(labels[0], ceiling, used, quantity, None if since_ms else None, None)
        case _:
            assert_never(limit)


def _single(
    label: Label, ceiling: int | None, used: int, quantity: int, resets_at_ms: int | None, wait_ms: int | None
) -> Told:
    reason, retry_after_ms = Reason.OK, None
    if ceiling is not None and quantity > ceiling:
        reason = Reason.REQUEST_EXCEEDS_LIMIT
    elif ceiling is not None and used + quantity > ceiling:
        reason, retry_after_ms = REASONS[label.kind], wait_ms
    size = label.size
    remaining = None if size is None else max(0, size - used)
    over = 0 if size is None else max(0, used - size)
    state = LimitState(label.name, label.kind, size, used, remaining, resets_at_ms, retry_after_ms, reason)
    return Told((state,), size, used, remaining, resets_at_ms, retry_after_ms, reason, over)


def _pool(pool: Pool, labels: Sequence[Label], state: State, quantity: int, now_ms: int) -> Told:
    """Add up the members that may be used now; what is above the base's size is the pool's overage."""
    used = size = remaining = over = 0
    states: list[LimitState] = []
    ends: list[int] = []
    for member, label, (taken, start_ms, gives), is_base in _members(pool, labels, state):
        end_ms = None if isinstance(member, Rolled) else _end_ms(member.span, start_ms)
        left = max(0, gives - taken)
        used, size, remaining = used + taken, size + gives, remaining + left
        over += max(0, taken - gives) if is_base else 0
        if end_ms is not None and label.kind is LimitKind.QUOTA:
            ends.append(end_ms)
        states.append(LimitState(label.name, label.kind, gives, taken, left, end_ms))
    room = MAX if pool.beyond is None else remaining + max(0, pool.beyond - over)
    resets_at_ms = min(ends, default=None)
    reason, retry_after_ms = Reason.OK, None
    if quantity > room:
        reason, retry_after_ms = Reason.QUOTA_EXCEEDED, _until(resets_at_ms, now_ms)
        if quantity > size + (pool.beyond or 0):
            reason, retry_after_ms = Reason.REQUEST_EXCEEDS_LIMIT, None
    return Told(tuple(states), size, used, remaining, resets_at_ms, retry_after_ms, reason, over)


def _members(
    pool: Pool, labels: Sequence[Label], state: State
) -> Iterator[tuple[Member | Rolled, Label, tuple[int, int, int], bool]]:
    for place, (member, label, numbers) in enumerate(zip(pool.members, labels, state, strict=True)):
        assert isinstance(numbers, tuple)
        taken, start_ms, gives = numbers
        yield member, label, (taken, start_ms, gives), place == pool.base


def _two(state: State) -> tuple[int, int]:
    first, second = state
    assert isinstance(first, int)
    assert isinstance(second, int)
    return first, second


def _end_ms(span: Span, start_ms: int) -> int | None:
    """Tell when a window ends; None when it never does."""
    end_ms = span.end_ms if span.start_ms else start_ms + span.end_ms
    return None if end_ms >= MAX else end_ms


def _until(end_ms: int | None, now_ms: int) -> int | None:
    return None if end_ms is None else max(0, end_ms - now_ms)
