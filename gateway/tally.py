"""What the limits of a claim say to its caller: where each stands, which refuses it, and how long to wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, assert_never

from gateway.counters.consume import COUNTED, PEEKED, REFUSED, REPLAYED
from gateway.counters.order import MAX, Gcra, Member, Pool, Quota, Rolled, Seats, Sliding
from gateway.decision import Decision, Held, LimitKind, LimitState, Reason, unstored

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.counters.consume import Answer
    from gateway.counters.order import Hold, Limit, Span, State

DECIDED: Final = frozenset((COUNTED, REPLAYED, PEEKED, REFUSED))
"""What the counters say of a claim that makes a decision."""

_COUNTED: Final = frozenset((COUNTED, REPLAYED))
"""The claim itself is in what they say is used."""

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


class Against(NamedTuple):
    """The limits of a claim, what each is called, and until when these are its limits."""

    limits: tuple[Limit, ...]
    labels: tuple[tuple[Label, ...], ...]
    """Of a pool, one for each member."""
    upgrade_plans: tuple[str, ...]
    until_ms: int
    meter: str | None = None
    hold: Hold | None = None


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


def decide_counted(against: Against, answer: Answer, quantity: int, plan: str, version: int) -> Decision:
    """Answer from what the counters said of every limit.

    A claim that is refused is told the limit that refused it first; an allowed one the first of all. It may be allowed
    when every limit has room that has none now.
    """
    admitted = answer.kind != REFUSED
    asked = 0 if answer.kind in _COUNTED else quantity
    told = [
        told_of(limit, labels, state, asked, answer.now_ms)
        for limit, labels, state in zip(against.limits, against.labels, answer.states, strict=True)
    ]
    main = told[answer.decided]
    retry_after_ms = None
    reason = Reason.OK
    if not admitted:
        reason = main.reason if main.reason is not Reason.OK else REASONS[against.labels[answer.decided][0].kind]
        waits = [one.retry_after_ms for one in told if one.reason is not Reason.OK]
        retry_after_ms = None if None in waits else max((wait for wait in waits if wait is not None), default=None)
    states = tuple(state for one in told for state in one.states)
    return Decision(
        allowed=admitted,
        reason=reason,
        decision_id=answer.event_id.decode() or unstored(reason, version),
        plan=plan,
        limit=main.limit,
        used=main.used,
        remaining=main.remaining,
        resets_at_ms=main.resets_at_ms,
        retry_after_ms=retry_after_ms,
        overage=main.overage if _goes_beyond(against.limits[answer.decided], main) else None,
        replayed=answer.kind == REPLAYED,
        upgrade_plans=() if admitted else against.upgrade_plans,
        limits=states if len(states) > 1 else (),
        held=_held(against, answer) if admitted else None,
    )


def _held(against: Against, answer: Answer) -> Held | None:
    if against.hold is None or answer.kind not in _COUNTED:
        return None
    ttl_ms = against.hold.ttl_ms
    return Held(ttl_ms, answer.now_ms + ttl_ms if answer.kind == COUNTED else 0)


def _goes_beyond(limit: Limit, told: Told) -> bool:
    """Tell whether use may go on above what a limit gives."""
    if isinstance(limit, Pool):
        return limit.beyond != 0
    return isinstance(limit, Quota) and told.limit is not None and limit.ceiling != told.limit


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
        case Seats(_, _, _, _, ceiling):
            used, _ = _two(state)
            return _single(labels[0], ceiling, used, quantity, None, None)
        case _:
            assert_never(limit)


def _single(
    label: Label, ceiling: int | None, used: int, quantity: int, resets_at_ms: int | None, wait_ms: int | None
) -> Told:
    reason, retry_after_ms = Reason.OK, None
    bound = MAX if ceiling is None else ceiling
    if quantity > bound:
        reason = Reason.REQUEST_EXCEEDS_LIMIT
    elif used + quantity > bound:
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
