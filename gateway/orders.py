"""Against which limits a claim is counted, all of them or none: an entitlement as the counters take it.

What the usage event counts on stands first, rates and what looks at a dimension behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

from billing_core.entitlements import Algorithm, Align, Window
from gateway.counters import keys
from gateway.counters.order import LIFETIME, Gcra, Hold, Member, Pool, Quota, Rolled, Seats, Sliding, Span
from gateway.decision import LimitKind
from gateway.limits import AddOn, Allowance, Grant, Metered, NamedLicences, Rated, Slots
from gateway.tally import Against, Label
from gateway.windows import COMPUTED_MS, FOREVER_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.counters.order import Limit
    from gateway.decision import Claim
    from gateway.entitlements import Subscriber
    from gateway.limits import ByDimension, Rate, Rollover
    from gateway.windows import Calendar, Running, Timeline

Countable: TypeAlias = Metered | Rated | Slots | NamedLicences
"""What takes a counter to decide."""

HOLD_MS_USUAL: Final = 60_000
"""How long a quantity is held when nobody says."""

_US: Final = 1000
_DAY_MS: Final = 86_400_000
_Labelled: TypeAlias = "tuple[Limit, tuple[Label, ...]]"


class Ordering:
    """Turns entitlements into limits, at a moment of a customer's time."""

    def __init__(self, calendar: Calendar, who: Subscriber, claim: Claim, now_ms: int) -> None:
        self._calendar = calendar
        self._bucket = who.customer.bucket
        self._timeline: Timeline = who.timeline
        self._claim = claim
        self._now_ms = now_ms
        self._until_ms = FOREVER_MS

    def against(self, entitlement: Countable) -> Against:
        """List what the claim is counted against; a claim to be held is one where there is something to hold."""
        meter: str | None = None
        hold_ms: int | None = None
        match entitlement:
            case Metered():
                meter, hold_ms = entitlement.meter, HOLD_MS_USUAL
                found = [self._allowed(entitlement), *self._by(entitlement.by), *map(self._rate, entitlement.rates)]
            case Rated(rates=rates):
                found = [self._rate(rate) for rate in rates]
            case Slots(counter=counter, ceiling=ceiling, rates=rates):
                hold_ms = entitlement.ttl_ms
                slots: Limit = Quota(counter, LIFETIME, ceiling)
                found = [(slots, (Label("slots", LimitKind.CONCURRENCY, ceiling),)), *map(self._rate, rates)]
            case NamedLicences():
                found = [self._seats(entitlement)]
            case _:
                assert_never(entitlement)
        limits, labels = zip(*found, strict=True)
        upgrades = entitlement.upgrade_plans
        asked_ms = self._claim.hold_ms
        held = None if asked_ms is None or hold_ms is None else Hold(asked_ms or hold_ms)
        return Against(limits, labels, upgrades, self._until_ms, meter, held)

    def _allowed(self, entitlement: Metered) -> _Labelled:
        """Take the members for one quota where that is all they are, and else for a pool."""
        members, beyond = entitlement.members, entitlement.beyond
        one = members[0]
        if len(members) == 1 and isinstance(one, Allowance) and one.rollover is None:
            ceiling = None if one.size is None or beyond is None else one.size + beyond
            span, _ = self._running(one.window, one.align)
            return Quota(one.counter, span, ceiling), (Label(one.window.value, LimitKind.QUOTA, one.size),)
        ordinal = first_ordinal = 0
        drawn: list[tuple[Member | Rolled, Label]] = []
        base = 0
        for place, member in enumerate(members):
            if isinstance(member, Allowance) and member.rollover is not None:
                _, ordinal = self._running(member.window, member.align)
                first_ordinal = self._calendar.first_ordinal(member.window, member.align, self._timeline)
                drawn += self._rolled(member.rollover, ordinal)
            if place == entitlement.base:
                base = len(drawn)
            drawn.append(self._member(member))
        taken, labels = zip(*drawn, strict=True)
        return Pool(taken, base, ordinal, first_ordinal, beyond), labels

    def _member(self, member: Allowance | AddOn | Grant) -> tuple[Member, Label]:
        match member:
            case Grant(counter=counter, id=name, size=size, start_ms=start_ms, end_ms=end_ms):
                return Member(counter, Span(start_ms, end_ms), size), Label(name, LimitKind.GRANT, size)
            case AddOn(counter=counter, name=name, size=size):
                span, _ = self._running(member.window, member.align)
                return Member(counter, span, size), Label(name, LimitKind.GRANT, size)
            case Allowance(counter=counter, size=size):
                assert size is not None, "an unlimited allowance burns alone"
                span, _ = self._running(member.window, member.align)
                return Member(counter, span, size), Label(member.window.value, LimitKind.QUOTA, size)
            case _:
                assert_never(member)

    def _rolled(self, rollover: Rollover, ordinal: int) -> Iterator[tuple[Rolled, Label]]:
        for counter, of in rollover.slots(ordinal):
            ago = ordinal - of
            yield (
                Rolled(counter, of, rollover.maximum, rollover.minimum),
                Label(f"left {ago} ago", LimitKind.ROLLOVER, None),
            )

    def _by(self, by: ByDimension | None) -> Iterator[_Labelled]:
        if by is None:
            return
        value = dict(self._claim.dimensions).get(by.dimension)
        counter, ceiling = by.limit_of(value)
        span, _ = self._running(by.window, by.align)
        name = f"{by.dimension}={value}" if value in by.ceilings else by.dimension
        yield Quota(counter, span, ceiling), (Label(name, LimitKind.QUOTA, ceiling),)

    def _rate(self, rate: Rate) -> _Labelled:
        span, _ = self._running(rate.window, Align.CALENDAR)
        ceiling, label = rate.ceiling, Label(rate.window.value, LimitKind.RATE, rate.ceiling)
        match rate.algorithm:
            case Algorithm.SLIDING if ceiling is not None:
                return Sliding(rate.counter, _length_ms(rate.window), ceiling), (label,)
            case Algorithm.GCRA if ceiling is not None and rate.burst is not None:
                period_us = _length_ms(rate.window) * _US
                return Gcra(rate.counter, period_us, ceiling, rate.burst), (label._replace(size=rate.burst),)
            case _:
                return Quota(rate.counter, span, ceiling, kept=False), (label,)

    def _seats(self, licences: NamedLicences) -> _Labelled:
        claim, since_ms, active_ms = self._claim, 0, 0
        if isinstance(licences.counted, Window):
            span, _ = self._running(licences.counted, Align.CALENDAR)
            since_ms = span.start_ms
        else:
            active_ms = licences.counted
        key = keys.seat(self._bucket, claim.customer, claim.feature)
        seats = Seats(key, claim.subject, since_ms, active_ms, licences.ceiling)
        return seats, (Label("seats", LimitKind.SEATS, licences.ceiling),)

    def _running(self, window: Window, align: Align) -> tuple[Span, int]:
        """Tell the window that runs; what is prepared holds no longer than it does."""
        running: Running = self._calendar.running(window, align, self._timeline, self._now_ms)
        if running.start_ms:
            self._until_ms = min(self._until_ms, running.end_ms)
        return Span(running.start_ms, running.end_ms), running.ordinal


def _length_ms(window: Window) -> int:
    """Tell how long a rate's window is: a day is the longest, and has its hours whatever the clocks do."""
    return COMPUTED_MS.get(window, _DAY_MS)
