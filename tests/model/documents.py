"""What the model's customers are entitled to, and how that changes: documents at random, made into limits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gateway.counters.order import (
    LIFETIME,
    Gcra,
    Limit,
    Member,
    Pool,
    Quota,
    Rolled,
    Seats,
    Sliding,
    Span,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.model.choosing import Choosing

LENGTHS_MS = {"second": 1_000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000, "month": 30 * 86_400_000}
COMPUTED = ("second", "minute", "hour")
FEATURES = ("calls", "tokens", "requests", "jobs", "seats")
SUBJECTS = ("ann", "bob", "cid", "dan")
MODELS = ("small", "large", "")
MAX = 2**53 - 1
FAR_MS = 2**53 - 1


@dataclass(frozen=True)
class Grant:
    """A top-up, there from one moment to another."""

    identity: str
    size: int
    span: Span


@dataclass(frozen=True)
class Document:
    """One version of what a customer may do, feature by feature: each as a function from the time to limits."""

    version: int
    features: dict[str, Callable[[int, str, str], tuple[Limit, ...]]]
    grants: tuple[Grant, ...] = ()
    holding: frozenset[str] = field(default_factory=frozenset)


def span(window: str, now_ms: int) -> Span:
    """Make the window that holds a moment; short ones are computed by the script."""
    if window == "lifetime":
        return LIFETIME
    length_ms = LENGTHS_MS[window]
    if window in COMPUTED:
        return Span(0, length_ms)
    start_ms = now_ms - now_ms % length_ms
    return Span(start_ms, start_ms + length_ms)


def size(choose: Choosing) -> int:
    """Choose what may be used: a little, nothing, or as much as can be counted."""
    return choose.pick([7, 1, 12, 20, 3, 0, 50, MAX, MAX - 2]) if choose.whole(0, 9) == 0 else choose.whole(0, 20)


def rates(choose: Choosing, feature: str, most: int) -> tuple[Limit, ...]:
    """Choose up to so many rate limits, each on a counter of its own."""
    made: dict[str, Limit] = {}
    for _ in range(choose.whole(0, most)):
        window = choose.pick(["second", "minute", "hour", "day"])
        length_ms, ceiling = LENGTHS_MS[window], choose.whole(1, 12)
        limits: list[Limit] = [
            Quota(f"{feature}/{window}", Span(0, length_ms), ceiling, kept=False),
            Sliding(f"{feature}~{window}", length_ms, ceiling),
            Gcra(f"{feature}!{window}", length_ms * 1000, ceiling, choose.pick([ceiling, 1, 2 * ceiling])),
        ]
        limit = choose.pick(limits)
        made[limit.counter] = limit  # type: ignore[union-attr]
    return tuple(made.values())


def calls(choose: Choosing) -> Callable[[int, str, str], tuple[Limit, ...]]:
    """Choose a quota, beside it perhaps one by model, and rates."""
    window = choose.pick(["day", "minute", "second", "month", "lifetime"])
    ceiling = choose.pick([size(choose), size(choose), None])
    by_model = choose.whole(0, 2) == 0
    ceilings = {model: size(choose) for model in MODELS}
    beside = rates(choose, "calls", 2)

    def limits(now_ms: int, model: str, _: str) -> tuple[Limit, ...]:
        own = Quota(f"calls:{window}", span(window, now_ms), ceiling)
        name = f"calls:{window}:model" + (f"={model}" if model else "")
        of_model = (Quota(name, span(window, now_ms), ceilings[model]),) if by_model else ()
        return (own, *of_model, *beside)

    return limits


def tokens(choose: Choosing, grants: tuple[Grant, ...], born_ms: int) -> Callable[[int, str, str], tuple[Limit, ...]]:
    """Choose an allowance, an add-on, what rolls over, and in which order all burn with the grants."""
    window = choose.pick(["day", "day", "day", "month", "lifetime", "minute"])
    amount, added = size(choose), choose.pick([0, 0, choose.whole(1, 9)])
    slots = choose.pick([0, 1, 2, 3]) if window in ("day", "month") else 0
    maximum, minimum = choose.whole(0, 15), choose.pick([0, 0, 2])
    first = choose.pick([0, born_ms // LENGTHS_MS[window] - choose.whole(0, 2)]) if slots else 0
    beyond = 0 if slots else choose.pick([0, 0, 5, None])
    beside = rates(choose, "tokens", 1)
    order = [choose.whole(0, 99) for _ in range(2 + slots + len(grants))]

    def limits(now_ms: int, _: str, __: str) -> tuple[Limit, ...]:
        own = span(window, now_ms)
        ordinal = own.start_ms // LENGTHS_MS[window] if slots else 0
        members: list[Member | Rolled] = [Member(f"tokens:{window}", own, amount)]
        members += [Member("tokens+pack:day", span("day", now_ms), added)] if added else []
        members += [
            Rolled(f"tokens:{window}>{past % slots}", past, maximum, min(minimum, maximum))
            for past in range(ordinal - slots, ordinal)
        ]
        members += [Member(f"tokens+{grant.identity}", grant.span, grant.size) for grant in grants]
        ranked = tuple(member for _, member in sorted(zip(order, members, strict=False), key=lambda pair: pair[0]))
        if len(members) == 1 and beyond == 0:
            return (Quota(f"tokens:{window}", own, amount), *beside)
        return (Pool(ranked, ranked.index(members[0]), ordinal, first, beyond), *beside)

    return limits


def requests(choose: Choosing) -> Callable[[int, str, str], tuple[Limit, ...]]:
    """Choose rates and nothing else."""
    made = rates(choose, "requests", 3) or (Sliding("requests~minute", 60_000, 5),)
    return lambda _, __, ___: made


def jobs(choose: Choosing) -> Callable[[int, str, str], tuple[Limit, ...]]:
    """Choose how much may run at once, and how often it may be started."""
    made = (Quota("jobs#", LIFETIME, choose.pick([3, 1, 0, None])), *rates(choose, "jobs", 1))
    return lambda _, __, ___: made


def seats(choose: Choosing, key: str) -> Callable[[int, str, str], tuple[Limit, ...]]:
    """Choose how many subjects there may be in a month, or within so many days."""
    ceiling, active_ms = choose.pick([2, 1, 3, 0, None]), 86_400_000 if "acme" in key else 0

    def limits(now_ms: int, _: str, subject: str) -> tuple[Limit, ...]:
        since_ms = 0 if active_ms else now_ms - now_ms % LENGTHS_MS["month"]
        return (Seats(key, subject, since_ms, active_ms, ceiling),)

    return limits


def document(choose: Choosing, seat_key: str, now_ms: int, before: Document | None = None) -> Document:
    """Choose a document; one that comes after another changes a feature of it, or its grants."""
    grants = before.grants if before else ()
    changed = FEATURES if before is None else (choose.pick(FEATURES),)
    if "tokens" in changed:
        grants = granted(choose, grants, now_ms)
    features = dict(before.features) if before else {}
    makers: dict[str, Callable[[], Callable[[int, str, str], tuple[Limit, ...]]]] = {
        "calls": lambda: calls(choose),
        "tokens": lambda: tokens(choose, grants, now_ms),
        "requests": lambda: requests(choose),
        "jobs": lambda: jobs(choose),
        "seats": lambda: seats(choose, seat_key),
    }
    features |= {name: makers[name]() for name in changed}
    return Document(before.version + 1 if before else 1, features, grants)


def granted(choose: Choosing, grants: tuple[Grant, ...], now_ms: int) -> tuple[Grant, ...]:
    """Add a grant, take one away, or change one's size."""
    what = choose.pick(["add", "void", "resize", "keep"]) if grants else choose.pick(["add", "keep"])
    if what == "add":
        begins = max(1, now_ms + choose.pick([0, -5_000, 2_000]))
        ends = choose.pick([FAR_MS, begins + 60_000, begins + 86_400_000 * 3])
        identity = f"g{max((int(grant.identity[1:]) for grant in grants), default=0) + 1}"
        return (*grants[-2:], Grant(identity, size(choose), Span(begins, ends)))
    if what == "void":
        return grants[1:]
    if what == "resize":
        return (replace(grants[0], size=size(choose)), *grants[1:])
    return grants
