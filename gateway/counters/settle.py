"""What is sent to settle.lua and what comes back: how reservations end, are kept longer, and are swept."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Final, NamedTuple, assert_never

import msgspec

from gateway.counters import keys
from gateway.counters.connection import pack, word
from gateway.counters.consume import FENCED, UNREGISTERED
from gateway.counters.footing import BUCKETS, script
from gateway.counters.order import customer_keys
from gateway.errors import StoreCorruptError

if TYPE_CHECKING:
    from gateway.counters.connection import Connection
    from gateway.counters.footing import Footing

SCRIPT: Final = script("settle.lua")
SHA: Final = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
LOAD: Final = pack("SCRIPT", "LOAD", SCRIPT)

SWEPT_MAX: Final = 64
"""More in one call would keep Redis from everybody else for too long."""

ENDED: Final = b"E"
LATE: Final = b"L"
EXTENDED: Final = b"X"
ENDED_BEFORE: Final = b"B"
UNKNOWN: Final = b"U"
_ANSWERS: Final = frozenset((ENDED, LATE, EXTENDED, ENDED_BEFORE, UNKNOWN))

COMMITTED: Final = b"c"
RELEASED: Final = b"r"
EXPIRED: Final = b"x"
COMMITTED_LATE: Final = b"l"
OPEN: Final = b"o"
NEVER_SEEN: Final = b"u"
_ENDS: Final = frozenset((COMMITTED, RELEASED, EXPIRED, COMMITTED_LATE, OPEN, NEVER_SEEN))

_HEAD: Final = struct.Struct(">QccQQB")  # now_ms, kind, how, quantity, at_ms, how many counters
_TWO: Final = struct.Struct(">2Q")
_OPENING: Final = b"*15\r\n" + word(b"EVALSHA") + word(SHA.encode()) + word(b"6")


class Commit(NamedTuple):
    """It is over, and so much was really used, 0 … 2^53-1."""

    quantity: int


class Release(NamedTuple):
    """It is over, and nothing was used."""


class Extend(NamedTuple):
    """It is not due before so many ms from now, 1 … a day."""

    ttl_ms: int


class Sweep(NamedTuple):
    """Ends what is due of a customer, up to so many, 1 … SWEPT_MAX."""

    most: int


Action = Commit | Release | Extend


class Held(NamedTuple):
    """A counter that a reservation was held on, as it stands."""

    counter: str
    used: int
    start_ms: int


class Settled(msgspec.Struct, frozen=True, gc=False):
    """What settle.lua said of a reservation; times in ms of Redis's clock."""

    kind: bytes
    now_ms: int = 0
    how: bytes = NEVER_SEEN
    """It has ended, or that it is open."""
    quantity: int = 0
    """What was really used."""
    at_ms: int = 0
    """When it ended; of one that is open when it is due."""
    held: tuple[Held, ...] = ()
    stream_id: bytes = b""
    """Of the event that was written now."""


def command(footing: Footing, bucket: int, customer: str, reservation: str, action: Action, number: int) -> bytes:
    """Pack a call of the script; a call that is sent again keeps its number."""
    return _packed(footing, bucket, customer, action, number, reservation)


def read(reply: object) -> Settled:
    """Take the reply apart, asserting its shape."""
    if isinstance(reply, bytes):
        if reply in (FENCED, UNREGISTERED):
            return Settled(reply)
        found = _settled(reply)
        if found is not None:
            return found
    raise StoreCorruptError(f"settle.lua answered {reply!r:.200}")


def sweep(footing: Footing, bucket: int, customer: str, most: int, number: int) -> bytes:
    """Pack a call that ends what is due of a customer."""
    return _packed(footing, bucket, customer, Sweep(most), number, "")


def read_sweep(reply: object) -> int | None:
    """Tell how many reservations have ended; None when the gateway may not count there."""
    if isinstance(reply, bytes):
        if reply in (FENCED, UNREGISTERED):
            return None
        if len(reply) == _TWO.size:
            ended: int = _TWO.unpack(reply)[1]
            return ended
    raise StoreCorruptError(f"settle.lua answered a sweep with {reply!r:.200}")


async def due(connection: Connection, bucket: int, now_ms: int, count: int) -> list[str]:
    """List customers who hold what is due, or have something to forget; the earliest first."""
    found = await connection.call("ZRANGE", keys.due(bucket), "-inf", now_ms, "BYSCORE", "LIMIT", 0, count)
    assert isinstance(found, list)
    return [name.decode() for name in found]


def _packed(footing: Footing, bucket: int, customer: str, action: Action | Sweep, number: int, named: str) -> bytes:
    match action:
        case Commit(quantity):
            said = (b"commit", quantity)
        case Release():
            said = (b"release", 0)
        case Extend(ttl_ms):
            said = (b"extend", ttl_ms)
        case Sweep(most):
            said = (b"sweep", most)
        case _:
            assert_never(action)
    words = (b"%d" % number, said[0], b"%d" % said[1], named.encode())
    return b"".join((_OPENING, BUCKETS[bucket], customer_keys(bucket, customer), footing.packed, *map(word, words)))


def _settled(reply: bytes) -> Settled | None:
    """Take an answer apart; None when it is none."""
    if len(reply) < _HEAD.size:
        return None
    now_ms, kind, how, quantity, at_ms, count = _HEAD.unpack_from(reply)
    if kind not in _ANSWERS or how not in _ENDS:
        return None
    held, at = [], _HEAD.size
    for _ in range(count):
        named = at + 1 + reply[at] if at < len(reply) else len(reply)
        if len(reply) < named + _TWO.size:
            return None
        held.append(Held(reply[at + 1 : named].decode(), *_TWO.unpack_from(reply, named)))
        at = named + _TWO.size
    return Settled(kind, now_ms, how, quantity, at_ms, tuple(held), reply[at:])
