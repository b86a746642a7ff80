"""What is counted against which limits, as the counters see it: the kinds of limit, and how a claim is packed for them.

A limit is told to order.lua as a letter, a name and three numbers of eight bytes; a pool is followed by its members.
Where there is no ceiling, the largest number that a counter can have stands for it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple, assert_never

import msgspec

from gateway.counters import keys
from gateway.counters.connection import word

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX: Final = 2**53 - 1
"""No counter passes it: above, a script's number is no longer exact."""

WORTH_US_MAX: Final = 2**52
"""A burst is worth no more than this: 142 years."""


class Span(NamedTuple):
    """From when until before when; with a start of 0 the script computes it, and the end is its length."""

    start_ms: int
    end_ms: int


LIFETIME: Final = Span(1, MAX)


class Quota(NamedTuple):
    """So much in a window; `kept` when its counter is part of the event's moves, as that of a rate is not."""

    counter: str
    span: Span
    ceiling: int | None
    kept: bool = True


class Sliding(NamedTuple):
    """So much in any stretch of this length, at most a day; the window before counts by the share in reach."""

    counter: str
    length_ms: int
    ceiling: int


class Gcra(NamedTuple):
    """So much in a period, evenly; a burst of so much at once."""

    counter: str
    period_us: int
    ceiling: int
    burst: int


class Member(NamedTuple):
    """Of a pool: allowance, add-on or grant; outside its span a grant is passed over, what has windows answers W."""

    counter: str
    span: Span
    size: int


class Rolled(NamedTuple):
    """Of a pool: what was left of the allowance in its window `ordinal`, at least `minimum`, at most `maximum`."""

    counter: str
    ordinal: int
    maximum: int
    minimum: int


class Pool(NamedTuple):
    """Members in the order in which they burn; what none has left goes on the base, up to so much beyond its size."""

    members: tuple[Member | Rolled, ...]
    base: int
    ordinal: int
    """Of the base's window that runs; windows count up by one."""
    first_ordinal: int
    """No window before this one leaves anything."""
    beyond: int | None
    """None: without bound; 0: not at all."""


class Seats(NamedTuple):
    """So many subjects, each counted once while active: since a moment, or, unless 0, within the last `active_ms`."""

    key: str
    subject: str
    since_ms: int
    active_ms: int
    ceiling: int | None


class Hold(NamedTuple):
    """Asks for a reservation: what is counted is held so long, until it is settled."""

    ttl_ms: int


Limit = Quota | Sliding | Gcra | Pool | Seats
Numbers = tuple[int, ...]
State = Numbers | tuple[Numbers, ...]
"""Used and the start of the window; of a GCRA how much of its burst is in use, and in how many ms none is;
of seats how many are active, and 0; of a pool for each member used, start (a slot's ordinal) and size."""

_PLAIN: Final = struct.Struct(">5Q")
_CLAIM: Final = struct.Struct(">2Q")
_HELD: Final = struct.Struct(">3Q")
_THREE: Final = struct.Struct(">3Q")


class Key(msgspec.Struct, frozen=True, gc=False):
    """A client's idempotency key as the script knows it."""

    event_id: str
    fingerprint: str
    remember_ms: int


class Order(msgspec.Struct):
    """One claim as the counters see it: what to count, against which limits, all or none; and all of it packed."""

    bucket: int
    customer: str
    limits: tuple[Limit, ...]
    """1 … 16."""
    quantity: int
    version: int
    event: bytes | None = None
    """The constant part of the usage event; None when the feature has no meter."""
    key: Key | None = None
    peek: bool = False
    hold: Hold | None = None
    counter: str = ""
    """What the event counts on: the first limit's counter, or its base."""
    plain: bool = False
    """One limit, and its state is two numbers as they come."""
    packed_keys: bytes = b""
    packed_more_keys: bytes = b""
    more_keys: int = 0
    packed_words: bytes = b""

    def __post_init__(self) -> None:
        first = self.limits[0]
        self.counter = _counter(first)
        self.plain = len(self.limits) == 1 and isinstance(first, Quota | Sliding | Seats)
        more, known = [], b""
        if self.key is not None and not self.peek:
            more.append(keys.idempotency(self.bucket, self.customer, self.key.event_id))
            known = f"{self.key.event_id} {self.key.fingerprint} {self.key.remember_ms}".encode()
        more += [limit.key for limit in self.limits if isinstance(limit, Seats)]
        self.packed_keys = customer_keys(self.bucket, self.customer)
        self.packed_more_keys, self.more_keys = b"".join(word(key.encode()) for key in more), len(more)
        limits, numbers = self._packed()
        self.packed_words = word(limits) + word(numbers) + word(self.event or b"") + word(known)

    def began_ms(self, states: Sequence[State]) -> int:
        """Tell when the window of the event's counter began, by what the script said of the limits."""
        first, state = self.limits[0], states[0]
        told = state[first.base] if isinstance(first, Pool) else state
        assert isinstance(told, tuple)
        start_ms = told[1]
        assert isinstance(start_ms, int)
        return start_ms

    def _packed(self) -> tuple[bytes, bytes]:
        """Pack limits and numbers; what most claims have, one kept quota, in the shortest way."""
        match self.limits, self.hold:
            case (Quota(counter, span, ceiling, True),), None:
                return counter.encode(), _PLAIN.pack(self.quantity, self.version, *span, _bound(ceiling))
            case _, None:
                numbers = _CLAIM.pack(self.quantity, self.version)
            case _, Hold(ttl_ms):
                numbers = _HELD.pack(self.quantity, self.version, ttl_ms)
        return b"".join(part for limit in self.limits for part in _limit(limit, self.quantity)), numbers


def customer_keys(bucket: int, customer: str) -> bytes:
    """Pack the keys of a customer that a script is told, in their order."""
    named = (keys.use(bucket, customer), keys.hold(bucket, customer), keys.dues(bucket, customer))
    return b"".join(word(key.encode()) for key in named)


def states_of(limits: Sequence[Limit], numbers: Numbers) -> tuple[State, ...] | None:
    """Tell the state of each limit by the numbers that the script answers; None when they do not fit."""
    if len(numbers) != sum(3 * len(limit.members) if isinstance(limit, Pool) else 2 for limit in limits):
        return None
    found: list[State] = []
    at = 0
    for limit in limits:
        if isinstance(limit, Pool):
            end = at + 3 * len(limit.members)
            found.append(tuple(numbers[place : place + 3] for place in range(at, end, 3)))
        else:
            end = at + 2
            found.append(_burst(limit, numbers[at]) if isinstance(limit, Gcra) else numbers[at:end])
        at = end
    return tuple(found)


def _counter(limit: Limit) -> str:
    match limit:
        case Pool():
            return limit.members[limit.base].counter
        case Seats():
            return limit.key
        case _:
            return limit.counter


def _limit(limit: Limit, quantity: int) -> Iterator[bytes]:
    match limit:
        case Quota(counter, span, ceiling, kept):
            yield _part(b"Q" if kept else b"q", counter, *span, _bound(ceiling))
        case Sliding(counter, length_ms, ceiling):
            yield _part(b"S", counter, length_ms, ceiling, 0)
        case Gcra(counter, period_us, ceiling, burst):
            increment_us = _up(quantity * period_us, ceiling) if ceiling else MAX
            worth_us = _up(burst * period_us, ceiling) if ceiling else 0
            yield _part(b"A", counter, min(MAX, increment_us), min(WORTH_US_MAX, worth_us), 0)
        case Seats(_, subject, since_ms, active_ms, ceiling):
            yield _part(b"N", subject, since_ms, active_ms, _bound(ceiling))
        case Pool(members, base, ordinal, first_ordinal, beyond):
            assert isinstance(members[base], Member), f"{members[base]} as the base of a pool"
            yield _part(b"P", "", ordinal, first_ordinal, _bound(beyond))
            for place, member in enumerate(members):
                yield _member(member, is_base=place == base)
        case _:
            assert_never(limit)


def _member(member: Member | Rolled, *, is_base: bool) -> bytes:
    """Pack a member; what has windows has a colon in its name, and the base is a capital."""
    if isinstance(member, Rolled):
        return _part(b"r", member.counter, member.ordinal, member.maximum, member.minimum)
    letter = b"w" if ":" in member.counter else b"g"
    return _part(letter.upper() if is_base else letter, member.counter, *member.span, member.size)


def _part(letter: bytes, name: str, *numbers: int) -> bytes:
    encoded = name.encode()
    return b"%c%c%b%b" % (letter, len(encoded), encoded, _THREE.pack(*numbers))


def _bound(ceiling: int | None) -> int:
    return MAX if ceiling is None else ceiling


def _burst(limit: Gcra, ahead_us: int) -> Numbers:
    """Tell how much of its burst a GCRA has in use whose theoretical arrival is so far ahead, and when no more is."""
    return _up(ahead_us * limit.ceiling, limit.period_us), _up(ahead_us, 1000)


def _up(value: int, divisor: int) -> int:
    return -(-value // divisor)
