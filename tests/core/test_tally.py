"""What the limits of a claim say to its caller: every kind of limit, and the laws between its numbers."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.counters.consume import COUNTED, REFUSED, REPLAYED, Answer
from gateway.counters.order import LIFETIME, MAX, Gcra, Member, Pool, Quota, Rolled, Seats, Sliding, Span
from gateway.decision import QUANTITY_MAX, Decision, LimitKind, LimitState, Reason
from gateway.tally import Against, Label, decide_counted

SPAN = Span(1000, 2000)


def quota(size: int | None, *, beyond: int | None = 0, kind: LimitKind = LimitKind.QUOTA) -> Against:
    """Make one limit in a window that ends at 2,000 ms."""
    ceiling = None if size is None or beyond is None else size + beyond
    limit = Quota("calls:month", SPAN, ceiling)
    return Against((limit,), ((Label("month", kind, size),),), ("scale",), MAX, "calls")


QUOTA, RATE = quota(100), quota(100, kind=LimitKind.RATE)
FREE, OVER, CAPPED = quota(None), quota(100, beyond=None), quota(100, beyond=20)

counts = st.integers(0, QUANTITY_MAX)


def answer(used: int, *, admitted: bool, now_ms: int = 1500) -> Answer:
    """Make what the counters say of one limit, half a second before its window ends."""
    kind, event_id = (COUNTED, b"gw-1") if admitted else (REFUSED, b"")
    return Answer(kind, now_ms, 0, ((used, 1000),), event_id=event_id)


@pytest.mark.parametrize(
    ("limit", "quantity", "used", "admitted", "expected"),
    [
        (QUOTA, 1, 1, True, (Reason.OK, 100, 99, None, None)),
        (QUOTA, 1, 100, True, (Reason.OK, 100, 0, None, None)),
        (QUOTA, 1, 100, False, (Reason.QUOTA_EXCEEDED, 100, 0, 500, None)),
        (QUOTA, 100, 1, False, (Reason.QUOTA_EXCEEDED, 100, 99, 500, None)),
        (QUOTA, 101, 0, False, (Reason.REQUEST_EXCEEDS_LIMIT, 100, 100, None, None)),
        (QUOTA, 1, 120, False, (Reason.QUOTA_EXCEEDED, 100, 0, 500, None)),  # the plan was changed to a smaller one
        (RATE, 1, 100, False, (Reason.RATE_EXCEEDED, 100, 0, 500, None)),
        (RATE, 101, 0, False, (Reason.REQUEST_EXCEEDS_LIMIT, 100, 100, None, None)),
        (FREE, 5, 10**9, True, (Reason.OK, None, None, None, None)),
        (FREE, 5, QUANTITY_MAX, False, (Reason.QUOTA_EXCEEDED, None, None, 500, None)),
        (OVER, 5, 100, True, (Reason.OK, 100, 0, None, 0)),
        (OVER, 500, 507, True, (Reason.OK, 100, 0, None, 407)),
        (CAPPED, 5, 115, True, (Reason.OK, 100, 0, None, 15)),
        (CAPPED, 6, 115, False, (Reason.QUOTA_EXCEEDED, 100, 0, 500, 15)),
        (CAPPED, 121, 0, False, (Reason.REQUEST_EXCEEDS_LIMIT, 100, 100, None, 0)),
    ],
)
def test_what_the_counters_said(
    limit: Against, quantity: int, used: int, admitted: bool, expected: tuple[Reason, int | None, ...]
) -> None:
    """Reason, limit, what is left, how long to wait and what lies above, for each kind of limit."""
    decision = decide_counted(limit, answer(used, admitted=admitted), quantity, "basic", 7)
    told = (decision.reason, decision.limit, decision.remaining, decision.retry_after_ms, decision.overage)
    assert told == expected
    assert (decision.allowed, decision.used, decision.resets_at_ms) == (admitted, used, 2000)
    assert decision.decision_id == ("gw-1" if admitted else f"{decision.reason.name}.7")
    assert decision.upgrade_plans == (() if admitted else ("scale",))
    assert decision.limits == ()


@example(size=100, beyond=0, quantity=1, used=100, now_ms=2**53 - 1)
@given(
    size=st.none() | counts,
    beyond=st.none() | st.integers(0, 1000),
    quantity=st.integers(1, QUANTITY_MAX),
    used=counts,
    now_ms=counts,
)
def test_the_numbers_of_a_decision_agree(
    size: int | None, beyond: int | None, quantity: int, used: int, now_ms: int
) -> None:
    """Never less than nothing is left or to be waited for; what is left and what lies above add up to the limit."""
    limit = quota(size, beyond=beyond)
    ceiling = limit.limits[0].ceiling
    admitted = used + quantity <= (MAX if ceiling is None else ceiling)
    said = answer(used + quantity if admitted else used, admitted=admitted, now_ms=now_ms)
    decision = decide_counted(limit, said, quantity, "basic", 7)
    assert decision.allowed == (decision.reason is Reason.OK) == admitted
    assert (decision.remaining is None) == (decision.limit is None) == (size is None)
    assert decision.remaining is None or decision.remaining == max(0, decision.limit - decision.used) >= 0
    if decision.overage is not None:
        assert decision.overage >= 0
        assert decision.limit - decision.remaining + decision.overage == decision.used
    assert decision.retry_after_ms is None or (decision.retry_after_ms >= 0 and not admitted)
    assert (decision.retry_after_ms is not None) == (decision.reason is Reason.QUOTA_EXCEEDED)


def test_a_replay_says_so_under_its_first_id() -> None:
    """What was counted before is allowed as it was, with the totals of now."""
    said = Answer(REPLAYED, 1500, 0, ((90, 1000),), event_id=b"gw-1")
    decision = decide_counted(QUOTA, said, 1, "basic", 7)
    assert (decision.replayed, decision.decision_id, decision.used, decision.remaining) == (True, "gw-1", 90, 10)


POOL = Against(
    (
        Pool(
            (
                Rolled("f:month>0", 4, 50, 0),
                Member("f:month", SPAN, 100),
                Member("f+top", Span(1, MAX), 30),
            ),
            *(1, 5, 0, 0),
        ),
        Quota("f/minute", Span(0, 60_000), 10, kept=False),
    ),
    (
        (
            Label("left 1 ago", LimitKind.ROLLOVER, None),
            Label("month", LimitKind.QUOTA, 100),
            Label("top", LimitKind.GRANT, 30),
        ),
        (Label("minute", LimitKind.RATE, 10),),
    ),
    ("scale",),
    MAX,
    "f",
)


def test_a_pool_says_what_each_member_has_left() -> None:
    """Each has its line, rates behind them; the whole is their sum and begins anew with the plan's window."""
    said = Answer(COUNTED, 1500, 0, (((20, 4, 20), (90, 1000, 100), (0, 1, 30)), (3, 0)), event_id=b"gw-1")
    decision = decide_counted(POOL, said, 10, "basic", 7)
    assert (decision.limit, decision.used, decision.remaining, decision.resets_at_ms) == (150, 110, 40, 2000)
    assert decision.limits == (
        LimitState("left 1 ago", LimitKind.ROLLOVER, 20, 20, 0),
        LimitState("month", LimitKind.QUOTA, 100, 90, 10, 2000),
        LimitState("top", LimitKind.GRANT, 30, 0, 30),
        LimitState("minute", LimitKind.RATE, 10, 3, 7, 60_000),
    )


@pytest.mark.parametrize(
    ("quantity", "used_of_top", "rate", "expected"),
    [
        (5, 26, 3, (Reason.QUOTA_EXCEEDED, 500)),
        (5, 26, 6, (Reason.QUOTA_EXCEEDED, 58_500)),  # both refuse: the longer of the two
        (151, 0, 0, (Reason.REQUEST_EXCEEDS_LIMIT, None)),
    ],
)
def test_who_refuses_and_how_long_to_wait(
    quantity: int, used_of_top: int, rate: int, expected: tuple[Reason, int | None]
) -> None:
    """The first that refuses gives the reason; a wait is as long as that of the last that has no room."""
    states = (((20, 4, 20), (100, 1000, 100), (used_of_top, 1, 30)), (rate, 0))
    decision = decide_counted(POOL, Answer(REFUSED, 1500, 0, states), quantity, "basic", 7)
    assert (decision.reason, decision.retry_after_ms) == expected


@pytest.mark.parametrize(
    ("limit", "kind", "state", "expected"),
    [
        (Sliding("f~minute", 60_000, 10), LimitKind.RATE, (10, 0), (Reason.RATE_EXCEEDED, 6_000)),
        (Gcra("f!second", 1_000_000, 10, 5), LimitKind.RATE, (5, 500), (Reason.RATE_EXCEEDED, 100)),
        (Quota("f#", LIFETIME, 10), LimitKind.CONCURRENCY, (10, 1), (Reason.CONCURRENCY_EXCEEDED, None)),
        (Seats("k", "ann", 1000, 0, 3), LimitKind.SEATS, (3, 0), (Reason.SEATS_EXCEEDED, None)),
    ],
)
def test_each_kind_has_its_reason_and_its_wait(
    limit: Sliding | Gcra | Quota | Seats, kind: LimitKind, state: tuple[int, int], expected: tuple[Reason, int | None]
) -> None:
    """A sliding window and a steady flow say when enough has gone; slots and seats come back when somebody leaves."""
    against = Against((limit,), ((Label("x", kind, 10),),), (), MAX)
    decision = decide_counted(against, Answer(REFUSED, 1500, 0, (state,)), 1, "basic", 7)
    assert (decision.reason, decision.retry_after_ms) == expected
    assert decision == Decision(
        *(False, expected[0], f"{expected[0].name}.7", "basic"),
        limit=10,
        used=state[0],
        remaining=max(0, 10 - state[0]),
        resets_at_ms=decision.resets_at_ms,
        retry_after_ms=expected[1],
    )
