"""Which members a metered feature has for a customer, and in which order they burn."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gateway.documents import Counted, GrantKind
from gateway.limits.kinds import AddOn, Allowance, Grant, Metered
from gateway.windows import COMPUTED_MS, FOREVER_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.documents import Grant as GrantDocument
    from gateway.limits.adding import Added
    from gateway.limits.kinds import Member
    from gateway.windows import Calendar, Timeline


class Pooled(NamedTuple):
    """A metered entitlement, and until when its members and their order are these."""

    entitlement: Metered
    until_ms: int


def allowances(name: str, added: Iterable[Added]) -> list[AddOn]:
    """Give what add-ons allow of a metered feature: each has a counter of its own, by its name."""
    return [
        AddOn(
            counter=f"{name}+{one.name}:{one.given.window.value}",
            name=one.name,
            window=one.given.window,
            align=one.given.align,
            size=min(FOREVER_MS, one.given.ceiling * one.quantity),
            priority=one.given.priority,
        )
        for one in added
        if isinstance(one.given, Counted) and one.given.ceiling is not None
    ]


def live(name: str, grants: Iterable[GrantDocument], now_ms: int) -> tuple[list[Grant], int]:
    """Give the grants that may be burned now, and until when no other one begins."""
    found, until_ms = [], FOREVER_MS
    for one in grants:
        end_ms = FOREVER_MS if one.expires_ms is None else one.expires_ms
        if now_ms < one.effective_ms:
            until_ms = min(until_ms, one.effective_ms)
        elif now_ms < end_ms:
            counter, promotional = f"{name}+{one.grant}", one.kind is GrantKind.PROMOTIONAL
            span = (one.amount, one.effective_ms, end_ms)
            found.append(Grant(counter, one.grant, *span, one.priority, promotional, one.created_ms))
    return found, until_ms


def pooled(plain: Metered, more: Sequence[Member], calendar: Calendar, timeline: Timeline, now_ms: int) -> Pooled:
    """Put members beside the plan's allowance, in burn order: that of `billing_core.credits.in_burn_order`.

    An allowance expires with its window; one of a window shorter than a day does at once. Of an unlimited allowance
    everything is taken, and of the others nothing.
    """
    own = [one for one in plain.members if isinstance(one, Allowance)]
    if any(one.size is None for one in own):
        return Pooled(plain, FOREVER_MS)
    ends = {one: _end_ms(one, calendar, timeline, now_ms) for one in (*own, *more)}
    members = tuple(sorted(ends, key=lambda one: _burn_key(one, ends[one])))
    base = members.index(own[0]) if own else len(members) - 1
    until_ms = min((end_ms for end_ms in ends.values() if end_ms > now_ms), default=FOREVER_MS)
    kept = (plain.rates, plain.by, plain.upgrade_plans)
    return Pooled(Metered(plain.meter, members, base, plain.beyond, *kept), until_ms)


def _end_ms(member: Member, calendar: Calendar, timeline: Timeline, now_ms: int) -> int:
    if isinstance(member, Grant):
        return member.end_ms
    if member.window in COMPUTED_MS:
        return 0
    return calendar.running(member.window, member.align, timeline, now_ms).end_ms


def _burn_key(member: Member, end_ms: int) -> tuple[int, int, bool, int, str]:
    """Order by priority → expiry, none last → promotional first → age, the plan first → id."""
    match member:
        case Allowance():
            rest = (True, 0, "")
        case AddOn(name=name):
            rest = (True, 1, name)
        case Grant():
            rest = (not member.promotional, member.created_ms, member.id)
    return (member.priority, end_ms, *rest)
