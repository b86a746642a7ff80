"""What Redis holds of a bucket, in the model's own terms; how it is packed is what the scripts' headers say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.counters import keys
from tests.model.holding import Drawn, Held
from tests.model.oracle import Customer, Oracle
from tests.model.situation import BUCKET
from tests.model.stored import Arrival, Count, Move, Slide, Slot, Stored
from tests.model.told import Event

if TYPE_CHECKING:
    from tests.model.wire import Wire

USED_BYTES, START_BYTES = 7, 6
ENDED = 10**15
"""From here on a score in a zset of dues says when an ended reservation is forgotten."""


def counter(name: str, packed: bytes) -> Stored:
    """Read a counter's one field; its name tells of which kind it is."""
    if "!" in name:
        return Arrival(_whole(packed, 0, USED_BYTES, end=True))
    used = _whole(packed, 0, USED_BYTES)
    start = _whole(packed, USED_BYTES, START_BYTES)
    behind = USED_BYTES + START_BYTES
    if "~" in name:
        return Slide(used, start, _whole(packed, behind, USED_BYTES, end=True))
    if ">" in name:
        return Slot(used, start, _whole(packed, behind, USED_BYTES, end=True))
    if len(packed) == behind:
        return Count(used, start)
    return Count(used, start, _whole(packed, behind, START_BYTES, end=True))


def _whole(packed: bytes, start: int, length: int, *, end: bool = False) -> int:
    part = packed[start : start + length]
    assert len(part) == length, f"{packed!r} has no {length} bytes at {start}"
    assert not end or len(packed) == start + length, f"{packed!r} has more than {start + length} bytes"
    return int.from_bytes(part, "big")


def moves(text: bytes) -> tuple[Move, ...]:
    """Read the moves of an event: `counter start amount;…`."""
    rows = (row.split(" ") for row in text.decode().split(";") if row)
    return tuple(Move(name, int(start), int(amount)) for name, start, amount in rows)


def event(flat: list[bytes]) -> Event:
    """Read an entry of the stream."""
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    moved = fields.get(b"moves")
    known = {b"id", b"at", b"claim", b"moves"}
    assert set(fields) <= known, f"fields {set(fields) - known}"
    return Event(fields[b"id"].decode(), int(fields[b"at"]), fields[b"claim"], None if moved is None else moves(moved))


def held(packed: bytes) -> Held:
    """Read an open reservation; after `o`: due, quantity, event and moves, as the header of holds.lua says."""
    assert packed[:1] == b"o", packed
    due_ms, quantity = _whole(packed, 1, 6), _whole(packed, 7, 7)
    length = _whole(packed, 14, 2)
    event, at = packed[16 : 16 + length], 16 + length
    drawn: list[tuple[list[Move], list[int]]] = []
    while at < len(packed):
        flags, name_length = packed[at], packed[at + 1]
        name_end = at + 2 + name_length
        if flags & 1:
            drawn.append(([], []))
        moves, bases = drawn[-1]
        bases += [len(moves)] if flags & 2 else []
        moves.append(
            Move(packed[at + 2 : name_end].decode(), _whole(packed, name_end, 6), _whole(packed, name_end + 6, 7))
        )
        at = name_end + 13
    return Held(due_ms, quantity, tuple(Drawn(tuple(moves), *bases) for moves, bases in drawn), event or None)


def differences(wire: Wire, oracle: Oracle, ids: list[bytes]) -> str:
    """Say where what Redis holds is not what the oracle says; nothing when all is the same.

    `ids` are the stream ids that answers told, in their order. What was compared of the stream is taken out of it.
    """
    for name, customer in oracle.customers.items():
        found = _customer(wire, name)
        for part in ("version", "stored", "holds", "seats"):
            ours, theirs = getattr(customer, part), getattr(found, part)
            if ours != theirs:
                return f"{name}: {part}: {_apart(theirs, ours)}"
        wrong = _lapse(wire, name, customer) or _due(wire, name, customer)
        if wrong:
            return f"{name}: {wrong}"
    head = {"line": oracle.line, **{gateway: str(last) for gateway, last in oracle.last.items()}}
    head |= {"outbox": str(oracle.outbox)} if oracle.outbox else {}
    known = {name: f"{fingerprint} {by}" for name, (fingerprint, by) in oracle.known.items()}
    entries = _entries(wire)
    told = set(ids)
    for what, theirs, ours in (
        ("head", _fields(wire, keys.head(BUCKET)), head),
        ("keys", _known(wire), known),
        ("events", dict(enumerate(event for _, event in entries)), dict(enumerate(oracle.events))),
        ("told ids", [identity for identity, _ in entries if identity in told], ids),
    ):
        if theirs != ours:
            return f"{what}: {_apart(theirs, ours)}"
    return ""


def _apart(found: object, expected: object) -> str:
    """Show what only one of two has."""
    if isinstance(found, dict) and isinstance(expected, dict):
        names = [name for name in {**found, **expected} if found.get(name) != expected.get(name)]
        return "; ".join(f"{name} is {found.get(name)}, expected {expected.get(name)}" for name in names[:5])
    return f"{found}, expected {expected}"


def _customer(wire: Wire, name: str) -> Customer:
    found = Customer()
    for key, packed in _packed(wire, keys.use(BUCKET, name)).items():
        if key == ".v":
            found.version = int(packed)
        elif key != ".d":
            found.stored[key] = counter(key, packed)
    for identity, packed in _packed(wire, keys.hold(BUCKET, name)).items():
        if packed[:1] == b"o":
            found.holds[identity] = held(packed)
    prefix = keys.seat(BUCKET, name, "")
    for key in _names(wire, f"{prefix}*"):
        rows = wire.call("ZRANGE", key, 0, -1, "WITHSCORES")
        assert isinstance(rows, list)
        found.seats[key] = {row.decode(): int(score) for row, score in zip(rows[::2], rows[1::2], strict=True)}
    return found


def _lapse(wire: Wire, name: str, customer: Customer) -> str:
    """Say whether Redis would forget counters that still matter."""
    at_ms = wire.call("PEXPIRETIME", keys.use(BUCKET, name))
    assert isinstance(at_ms, int)
    lasts = at_ms == -1 or not customer.stored or at_ms >= customer.needed_until_ms
    return "" if lasts else f"expires at {at_ms}, expected no sooner than {customer.needed_until_ms}"


def _due(wire: Wire, name: str, customer: Customer) -> str:
    """Say whether something that is due would not be found: by a script in the counters, by the keeper in the zsets."""
    rows = wire.call("ZRANGE", keys.dues(BUCKET, name), "-inf", "(" + str(ENDED), "BYSCORE", "WITHSCORES")
    assert isinstance(rows, list)
    found = {row.decode(): int(score) for row, score in zip(rows[::2], rows[1::2], strict=True)}
    dues = {identity: held.due_ms for identity, held in customer.holds.items()}
    if found != dues:
        return f"dues: {_apart(found, dues)}"
    if not dues:
        return ""
    earliest = min(dues.values())
    noted, looked = wire.call("HGET", keys.use(BUCKET, name), ".d"), wire.call("ZSCORE", keys.due(BUCKET), name)
    if noted is None or int(noted) != earliest:  # type: ignore[call-overload]
        return f".d is {noted!r}, expected {earliest}"
    if looked is None or int(looked) > earliest:  # type: ignore[call-overload]
        return f"due is {looked!r}, expected {earliest} or sooner"
    return ""


def _names(wire: Wire, pattern: str) -> list[str]:
    found = wire.call("KEYS", pattern)
    assert isinstance(found, list)
    return [name.decode() for name in found]


def _packed(wire: Wire, key: str) -> dict[str, bytes]:
    flat = wire.call("HGETALL", key)
    assert isinstance(flat, list)
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}


def _fields(wire: Wire, key: str) -> dict[str, str]:
    return {name: value.decode() for name, value in _packed(wire, key).items()}


def _known(wire: Wire) -> dict[tuple[str, str], str]:
    found = {}
    for key in _names(wire, "*:idem:*"):
        _, _, name, digest = key.split(":")
        value = wire.call("GET", key)
        assert isinstance(value, bytes)
        found[name, digest] = value.decode()
    return found


def _entries(wire: Wire) -> list[tuple[bytes, Event]]:
    rows = wire.call("XRANGE", keys.usage(BUCKET), "-", "+")
    assert isinstance(rows, list)
    wire.call("XTRIM", keys.usage(BUCKET), "MAXLEN", 0)
    return [(identity, event(flat)) for identity, flat in rows]
