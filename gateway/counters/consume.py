"""What is sent to consume.lua and what comes back: the only place that knows the order of its arguments.

An order is packed once; a call of the script is then a joining of bytes, in which only the numbers are new.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Final

import msgspec

from gateway.counters.connection import pack, word
from gateway.counters.footing import BUCKETS, script
from gateway.counters.order import states_of
from gateway.errors import StoreCorruptError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.counters.footing import Footing
    from gateway.counters.order import Order, State

SCRIPT: Final = script("consume.lua")
SHA: Final = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
LOAD: Final = pack("SCRIPT", "LOAD", SCRIPT)

CLAIMS_MAX: Final = 64
"""More in one call would keep Redis from everybody else for longer than half a millisecond."""

PEEK: Final = 0
"""The number of a claim that asks and counts nothing."""

COUNTED: Final = b"C"
REFUSED: Final = b"R"
PEEKED: Final = b"P"
REPLAYED: Final = b"A"
KEY_REUSED: Final = b"K"
SEEN: Final = b"S"
STALE: Final = b"V"
WRONG_WINDOW: Final = b"W"
TOO_MUCH_HELD: Final = b"H"
FENCED: Final = b"FENCED"
UNREGISTERED: Final = b"UNREGISTERED"
UNAVAILABLE: Final = b"UNAVAILABLE"
"""Said by us: the counters could not be asked, or what they did will not be known in time."""

_ANSWERS: Final = frozenset((COUNTED, REFUSED, PEEKED, REPLAYED, KEY_REUSED, SEEN, STALE, WRONG_WINDOW, TOO_MUCH_HELD))
_TWO: Final = struct.Struct(">QcBBQQ")  # now_ms, kind, decided, how many numbers, and the first two of them
_HEAD_BYTES: Final = struct.calcsize(">QcBB")
_PLAIN_COUNT: Final = 2
_TWO_BYTES: Final = _TWO.size
_WORDS: Final = 5
_PLACES: Final = 3
_ATOMIC: Final = word(b"atomic")


class Answer(msgspec.Struct, gc=False):
    """What consume.lua said of one claim; times in ms of Redis's clock."""

    kind: bytes
    now_ms: int = 0
    decided: int = 0
    """Which limit refuses, from 0."""
    states: tuple[State, ...] = ()
    """How each limit stands, with what was counted."""
    stream_id: bytes = b""
    """Of the event that was written now."""
    event_id: bytes = b""
    """Of the event that was counted, now or before."""


def command(footing: Footing, order: Order, number: int) -> bytes:
    """Pack a call of the script for one claim."""
    said = b"%d" % number
    more = order.more_keys
    return b"%b%b%b%b%b%b$%d\r\n%b\r\n" % (
        *(_OPENINGS[more], BUCKETS[order.bucket], order.packed_keys, order.packed_more_keys),
        *(footing.packed, order.packed_words, len(said), said),
    )


def command_of_many(
    footing: Footing, orders: Sequence[Order], numbers: Sequence[int], *, atomic: bool = False
) -> bytes:
    """Pack a call for several claims of one bucket, which are decided in this order; `atomic` counts all or none."""
    assert 0 < len(orders) <= CLAIMS_MAX, f"{len(orders)} claims in a call"
    words = []
    for order, number in zip(orders, numbers, strict=True):
        said = b"%d" % number
        words.append(b"%b$%d\r\n%b\r\n" % (order.packed_words, len(said), said))
    if atomic:
        words.append(_ATOMIC)
    places = [order.packed_keys for order in orders]
    more = [order.packed_more_keys for order in orders if order.more_keys]
    opening = _opening(len(orders), sum(order.more_keys for order in orders), atomic=atomic)
    return b"".join((opening, BUCKETS[orders[0].bucket], *places, *more, footing.packed, *words))


def read(reply: object, order: Order) -> Answer:
    """Take the reply to a call for one claim apart, asserting its shape."""
    return read_many(reply, (order,))[0]


def read_many(reply: object, orders: Sequence[Order]) -> list[Answer]:
    """Take the reply to a call for several claims apart; that to a call that was refused whole is everybody's."""
    if isinstance(reply, bytes):
        if reply in (FENCED, UNREGISTERED):
            return [Answer(reply) for _ in orders]
        answers = _answers(reply, orders)
        if answers is not None:
            return answers
    raise StoreCorruptError(f"consume.lua answered {len(orders)} claims with {reply!r:.200}")


def _answers(reply: bytes, orders: Sequence[Order]) -> list[Answer] | None:
    """Take a reply apart; None when it is none of consume.lua."""
    answers, at, size = [], 0, len(reply)
    for order in orders:
        if size < at + _TWO_BYTES:
            return None
        now_ms, kind, decided, count, used, start_ms = _TWO.unpack_from(reply, at)
        end = at + _HEAD_BYTES + 8 * count
        if kind not in _ANSWERS or decided >= len(order.limits) or size < end:
            return None
        if order.plain and count == _PLAIN_COUNT:
            states: tuple[State, ...] | None = ((used, start_ms),)
        else:
            states = states_of(order.limits, struct.unpack_from(f">{count}Q", reply, at + _HEAD_BYTES))
        if states is None:
            return None
        answers.append(Answer(kind, now_ms, decided, states))
        at = end
    while at < size:
        place, length = reply[at], reply[at + 1 : at + 2]
        if place >= len(answers) or not length or size < at + 2 + length[0]:
            return None
        answers[place].stream_id = reply[at + 2 : at + 2 + length[0]]
        at += 2 + length[0]
    return answers


def _opening(claims: int, more: int, *, atomic: bool = False) -> bytes:
    """Write how a call begins: how long it is, which script, how many keys."""
    places = 3 + _PLACES * claims + more
    words = 3 + places + 2 + _WORDS * claims + atomic
    return b"*%d\r\n%b%b%b" % (words, word(b"EVALSHA"), word(SHA.encode()), word(b"%d" % places))


_OPENINGS: Final = [_opening(1, more) for more in range(18)]
"""By how many keys one claim has besides those that each has: a client's and one for each of sixteen limits."""
