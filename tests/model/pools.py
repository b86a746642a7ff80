"""What a pool says: an allowance, add-ons, grants and what was left of earlier windows, drawn on in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gateway.counters.order import Member, Pool, Rolled
from tests.model.stored import MAX, Count, Move, Ruling, Slot, Stored, opened, running

if TYPE_CHECKING:
    from collections.abc import Mapping


class Share(NamedTuple):
    """What a member has: its counter as it stands, its size, and whether it may be drawn on now."""

    counter: str
    count: Count | Slot
    size: int
    within: bool

    @property
    def left(self) -> int:
        """Tell how much may still be drawn."""
        return max(0, self.size - self.count.used) if self.within else 0

    @property
    def start_ms(self) -> int:
        """Tell when its window began; of a slot, which window it is from."""
        return self.count.ordinal if isinstance(self.count, Slot) else self.count.start_ms

    @property
    def shown(self) -> tuple[int, int, int]:
        """Tell used, start and size."""
        return self.count.used, self.start_ms, self.size

    def drawn(self, amount: int) -> Share:
        """Take an amount from it."""
        return self._replace(count=self.count._replace(used=self.count.used + amount))


def rule_pool(limit: Pool, stored: Mapping[str, Stored], quantity: int, now_ms: int) -> Ruling:
    """Draw on the members in their order, then go beyond the base if that may be; or draw nothing."""
    shares = [share(limit, member, stored, now_ms) for member in limit.members]
    amounts, missing = [], quantity
    for each in shares:
        amounts.append(min(each.left, missing))
        missing -= amounts[-1]
    amounts[limit.base] += missing
    after = [each.drawn(amount) for each, amount in zip(shares, amounts, strict=True)]
    base = after[limit.base]
    bound = MAX if limit.beyond is None else min(MAX, base.size + limit.beyond)
    written = [at for at, amount in enumerate(amounts) if amount]
    if rolls_over(limit, stored, now_ms):
        written += [at for at, each in enumerate(after) if isinstance(each.count, Slot) or at == limit.base]
    moving = [at for at, amount in enumerate(amounts) if amount or at == limit.base]
    return Ruling(
        base=base.counter,
        window_ms=opened(allowance_of(limit).span, now_ms)[0],
        fits=missing == 0 or base.count.used <= bound,
        outside=any(
            is_windowed(member) and not each.within for member, each in zip(limit.members, shares, strict=True)
        ),
        before=tuple(each.shown for each in shares),
        after=tuple(each.shown for each in after),
        writes={after[at].counter: after[at].count for at in written},
        moves=tuple(Move(shares[at].counter, shares[at].start_ms, amounts[at]) for at in moving),
        base_at=moving.index(limit.base),
        needed_until_ms=max(needed_until_ms(limit, limit.members[at], now_ms) for at in written),
    )


def needed_until_ms(limit: Pool, member: Member | Rolled, now_ms: int) -> int:
    """Tell until when its counter matters: what a window leaves may be used for as many windows as there are slots."""
    start, end = opened(allowance_of(limit).span, now_ms)
    slots = sum(isinstance(other, Rolled) for other in limit.members)
    if isinstance(member, Rolled) or member == allowance_of(limit):
        return end + slots * (end - start)
    return opened(member.span, now_ms)[1]


def is_windowed(member: Member | Rolled) -> bool:
    """Tell a member whose windows follow each other from a grant, which is there for a time and then gone."""
    return ":" in member.counter and isinstance(member, Member)


def share(limit: Pool, member: Member | Rolled, stored: Mapping[str, Stored], now_ms: int) -> Share:
    """Tell what a member has."""
    if isinstance(member, Rolled):
        slot = slot_of(limit, member, stored)
        return Share(member.counter, slot, slot.size, within=True)
    start, end = opened(member.span, now_ms)
    count = running(stored, member.counter, start)
    if member == allowance_of(limit) and has_slots(limit) and count.start_ms == start:
        count = count._replace(ordinal=limit.ordinal)
    return Share(member.counter, count, member.size, within=start <= now_ms < end)


def slot_of(limit: Pool, member: Rolled, stored: Mapping[str, Stored]) -> Slot:
    """Tell what a past window left.

    1. It was written down when the base rolled over.
    2. The base still stands in that very window: what is left of it.
    3. The base stands in an earlier one, or nowhere: nothing of that window was used.
    4. Else, and for windows before the first that rolls over, it left nothing.
    """
    found = stored.get(member.counter)
    if isinstance(found, Slot) and found.ordinal == member.ordinal:
        return found
    base = allowance_of(limit)
    count = stored.get(base.counter)
    left = 0
    if member.ordinal >= limit.first_ordinal:
        if isinstance(count, Count) and count.ordinal == member.ordinal:
            left = clamped(member, base.size - count.used)
        elif not isinstance(count, Count) or (count.ordinal is not None and count.ordinal < member.ordinal):
            left = clamped(member, base.size)
    return Slot(0, member.ordinal, left)


def clamped(member: Rolled, left: int) -> int:
    """Keep what is left within what may roll over."""
    return min(member.maximum, max(member.minimum, left))


def rolls_over(limit: Pool, stored: Mapping[str, Stored], now_ms: int) -> bool:
    """Tell whether the base stands in an older window than the one that is open, or nowhere."""
    base = allowance_of(limit)
    count = stored.get(base.counter)
    return has_slots(limit) and not (isinstance(count, Count) and count.start_ms >= opened(base.span, now_ms)[0])


def has_slots(limit: Pool) -> bool:
    """Tell whether anything rolls over in it."""
    return any(isinstance(member, Rolled) for member in limit.members)


def allowance_of(limit: Pool) -> Member:
    """Name the member that is the plan's allowance."""
    base = limit.members[limit.base]
    assert isinstance(base, Member)
    return base
