"""What is sent to consume.lua and what comes back: the only place that knows the order of its arguments.

An order is packed once; a call of the script is then a joining of bytes, in which only the numbers are new.
"""

from __future__ import annotations

import hashlib
import struct
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import msgspec

from gateway.counters import keys
from gateway.counters.connection import pack, word
from gateway.errors import StoreCorruptError
from gateway.journal import constant

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPT: Final = files("gateway.counters").joinpath("consume.lua").read_text(encoding="utf-8")
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
FENCED: Final = b"FENCED"
UNREGISTERED: Final = b"UNREGISTERED"
UNAVAILABLE: Final = b"UNAVAILABLE"
"""Said by us: the counters could not be asked, or what they did will not be known in time."""

_ANSWERS: Final = frozenset((COUNTED, REFUSED, PEEKED, REPLAYED, KEY_REUSED, SEEN, STALE, WRONG_WINDOW))
_UNLIMITED: Final = struct.Struct(">4Q")
_LIMITED: Final = struct.Struct(">5Q")
_RECORD: Final = struct.Struct(">QcQQ")
_RECORD_BYTES: Final = _RECORD.size
_WORDS: Final = 5


class Key(msgspec.Struct, frozen=True, gc=False):
    """A client's idempotency key as the script knows it."""

    event_id: str
    fingerprint: str
    remember_ms: int


class Answer(msgspec.Struct, gc=False):
    """What consume.lua said of one claim; times in ms of Redis's clock."""

    kind: bytes
    now_ms: int = 0
    used: int = 0
    window_start_ms: int = 0
    event_id: bytes = b""
    """Of the event that was counted, now or before."""


class Order(msgspec.Struct):
    """One claim as the counters see it: what to count, where, up to which ceiling; and all of it packed."""

    bucket: int
    customer: str
    counter: str
    window_start_ms: int
    """0 when the script computes the window, whose length then stands in window_end_ms."""
    window_end_ms: int
    quantity: int
    version: int
    ceiling: int | None = None
    event: bytes | None = None
    """The constant part of the usage event; None when the feature has no meter."""
    key: Key | None = None
    peek: bool = False
    packed_use: bytes = b""
    packed_key: bytes = b""
    packed_words: bytes = b""
    packed_entry: bytes = b""
    """What is constant in its entry in the journal; empty without an event."""

    def __post_init__(self) -> None:
        numbers = self.quantity, self.version, self.window_start_ms, self.window_end_ms
        packed = _UNLIMITED.pack(*numbers) if self.ceiling is None else _LIMITED.pack(*numbers, self.ceiling)
        self.packed_key = known = b""
        if self.key is not None and not self.peek:
            self.packed_key = word(keys.idempotency(self.bucket, self.customer, self.key.event_id).encode())
            known = f"{self.key.event_id} {self.key.fingerprint} {self.key.remember_ms}".encode()
        self.packed_use = word(keys.use(self.bucket, self.customer).encode())
        if self.event is not None:
            self.packed_entry = constant(self.counter, self.event)
        self.packed_words = word(self.counter.encode()) + word(packed) + word(self.event or b"") + word(known)


class Footing(msgspec.Struct, frozen=True):
    """On what a bucket is counted: its line, and the name under which this gateway is registered there."""

    line: str
    gateway: str
    packed: bytes = b""
    packed_line: bytes = b""
    packed_gateway: bytes = b""

    @classmethod
    def of(cls, line: str, gateway: str) -> Footing:
        """Pack both as the script is told them."""
        packed_line, packed_gateway = line.encode(), gateway.encode()
        return cls(line, gateway, word(packed_line) + word(packed_gateway), packed_line, packed_gateway)


def command(footing: Footing, order: Order, number: int) -> bytes:
    """Pack a call of the script for one claim."""
    said = b"%d" % number
    opening = _KEYED if order.packed_key else _PLAIN
    return b"%b%b%b%b%b%b$%d\r\n%b\r\n" % (
        *(opening, _BUCKETS[order.bucket], order.packed_use, order.packed_key),
        *(footing.packed, order.packed_words, len(said), said),
    )


def command_of_many(footing: Footing, orders: Sequence[Order], numbers: Sequence[int]) -> bytes:
    """Pack a call for several claims of one bucket, which are decided in this order."""
    assert 0 < len(orders) <= CLAIMS_MAX, f"{len(orders)} claims in a call"
    known = [order.packed_key for order in orders if order.packed_key]
    used = [order.packed_use for order in orders]
    said = [b"%d" % number for number in numbers]
    words = [
        b"%b$%d\r\n%b\r\n" % (order.packed_words, len(text), text) for order, text in zip(orders, said, strict=True)
    ]
    opening = _opening(len(orders), len(known))
    return b"".join((opening, _BUCKETS[orders[0].bucket], *used, *known, footing.packed, *words))


def read(reply: object) -> Answer:
    """Take the reply to a call for one claim apart, asserting its shape."""
    if isinstance(reply, bytes):
        if len(reply) == _RECORD_BYTES:
            now_ms, kind, used, window_start_ms = _RECORD.unpack(reply)
            if kind in _ANSWERS:
                return Answer(kind, now_ms, used, window_start_ms)
        elif reply in (FENCED, UNREGISTERED):
            return Answer(reply)
    raise StoreCorruptError(f"consume.lua answered {reply!r:.200}")


def read_many(reply: object, count: int) -> list[Answer]:
    """Take the reply to a call for several claims apart; that to a call that was refused whole is everybody's."""
    if isinstance(reply, bytes):
        if len(reply) == _RECORD_BYTES * count:
            records = _RECORD.iter_unpack(reply)
            found = [Answer(kind, now_ms, used, start_ms) for now_ms, kind, used, start_ms in records]
            if _ANSWERS.issuperset([answer.kind for answer in found]):
                return found
        elif reply in (FENCED, UNREGISTERED):
            return [Answer(reply)] * count
    raise StoreCorruptError(f"consume.lua answered {count} claims with {reply!r:.200}")


def _opening(claims: int, known: int) -> bytes:
    """Write how a call begins: how long it is, which script, how many keys."""
    places = 2 + claims + known
    words = 3 + places + 2 + _WORDS * claims
    return b"*%d\r\n%b%b%b" % (words, word(b"EVALSHA"), word(SHA.encode()), word(b"%d" % places))


_PLAIN: Final = _opening(1, 0)
_KEYED: Final = _opening(1, 1)
_BUCKETS: Final = [
    word(keys.head(bucket).encode()) + word(keys.usage(bucket).encode()) for bucket in range(keys.BUCKETS)
]
