"""The stream of usage events: what one entry says, and how the office reads and trims it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import msgspec

from gateway.counters import keys
from gateway.errors import StoreCorruptError
from gateway.windows import COMPUTED_MS

if TYPE_CHECKING:
    from gateway.counters.connection import Connection

SCHEMA: Final = 2
"""Of the packed part; a flusher that meets a newer one stops that bucket instead of guessing. 1 told no counter."""

LOOK_BACK_MS: Final = 10_000
"""Entries younger than this are never trimmed: a claim asked again is looked for among them."""

USE, RESERVE, END, LATE = range(4)
"""The kinds of events in a stream: used; held; a reservation's end, by what was really used; used after its end."""

NUMBER_MAX: Final = 2**53 - 1

_Identifier = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.@-]{1,64}\Z")]
_Value = Annotated[str, msgspec.Meta(pattern=r"^[\x20-\x2b\x2d-\x7e]{1,64}\Z")]
_Dimensions = Annotated[dict[_Identifier, _Value], msgspec.Meta(min_length=1, max_length=16)]
_Counter = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.@-]{1,64}[:+/~!#][\x20-\x2b\x2d-\x7e]{0,255}\Z")]
_Quantity = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
_EVENT_ID: Final = re.compile(rb"[a-z0-9.-]{1,64}")
_MS: Final = re.compile(rb"[0-9]{1,14}")
_MOVE: Final = re.compile(r"([\x20-\x2b\x2d-\x7e]+?) (0|[1-9][0-9]{0,15}) (0|-?[1-9][0-9]{0,15})(?:;|\Z)")
_COUNTER: Final = re.compile(r"[A-Za-z0-9_.@-]{1,64}[:+/~!#][\x20-\x2b\x2d-\x7e]{0,255}")
_SEPARATORS: Final = ":+/~!#"
_WINDOW: Final = re.compile(r"[:/]([a-z_]+)")
_LENGTHS_MS: Final = {window.value: length_ms for window, length_ms in COMPUTED_MS.items()}


class PackedClaim(msgspec.Struct, array_like=True, frozen=True):
    """What is constant in a claim, as a JSON array: prepared once by the gateway, stored as one field."""

    schema: int
    customer: _Identifier
    feature: _Identifier
    meter: _Identifier | None
    """None for a slot that is held of a feature that nothing is measured of."""
    quantity: _Quantity
    """What is billed: 0 while it is only held."""
    version: _Count
    """Of the entitlement document the claim was decided with."""
    counter: _Counter | None = None
    """The limit's name; None in the first schema."""
    window_start_ms: _Quantity = 0
    """0 when it follows from the moment, by the length of the counter's window."""
    dimensions: _Dimensions | None = None
    subject: _Identifier | None = None
    kind: Annotated[int, msgspec.Meta(ge=0, le=3)] = 0


class Move(NamedTuple):
    """What a counter took in one window, or gave back."""

    counter: str
    window_start: int
    amount: int


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(PackedClaim)


class StreamId(NamedTuple):
    """Where an entry stands in its stream; orders as the stream does."""

    ms: int
    sequence: int

    @classmethod
    def parse(cls, text: str) -> StreamId:
        """Read `1764000000000-0`."""
        ms, _, sequence = text.partition("-")
        return cls(int(ms), int(sequence or 0))

    def __str__(self) -> str:
        return f"{self.ms}-{self.sequence}"


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """One counted use, as the stream holds it."""

    stream_id: StreamId
    id: str
    """The gateway and its number, or the digest of the client's idempotency key: written once, whatever happens."""
    at_ms: int
    """When it was decided, by Redis's clock; rating uses it."""
    claim: PackedClaim
    moves: tuple[Move, ...] | None = None
    """What each counter took; None in the first schema, which did not tell."""


@dataclass(frozen=True, slots=True)
class UnreadableEntry:
    """An entry that is no usage event: kept aside with its reason, never skipped in silence."""

    stream_id: StreamId
    fields: dict[str, str]
    why: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look at a bucket found; the line was read before the entries, on the same connection."""

    line: str | None
    entries: list[UsageEvent | UnreadableEntry]


def pack_claim(
    customer: str,
    feature: str,
    meter: str | None,
    quantity: int,
    version: int,
    counter: str,
    window_start_ms: int = 0,
    *,
    dimensions: dict[str, str] | None = None,
    subject: str | None = None,
    kind: int = 0,
) -> bytes:
    """Write the constant part of an event; 0 says that the window's start follows from the moment."""
    claim = PackedClaim(SCHEMA, customer, feature, meter, quantity, version, counter, window_start_ms)
    if dimensions or subject or kind:
        claim = msgspec.structs.replace(claim, dimensions=dimensions or None, subject=subject, kind=kind)
    return _encoder.encode(claim)


async def read(connection: Connection, bucket: int, after: StreamId, count: int) -> Reading:
    """Read up to `count` entries behind `after`."""
    held, rows = await asyncio.gather(
        connection.call("HGET", keys.head(bucket), "line"),
        connection.call("XRANGE", keys.usage(bucket), f"({after}", "+", "COUNT", count),
    )
    assert isinstance(rows, list)
    assert held is None or isinstance(held, bytes)
    return Reading(held.decode() if held is not None else None, [_entry(row[0], row[1]) for row in rows])


async def trim(connection: Connection, bucket: int, watermark: StreamId, now_ms: int) -> None:
    """Drop what Postgres has up to `watermark`, but nothing younger than LOOK_BACK_MS.

    Called only on the connection that read the bucket: on another, the same ids may name other entries.
    """
    first_kept = min(StreamId(watermark.ms, watermark.sequence + 1), StreamId(now_ms - LOOK_BACK_MS, 0))
    await connection.call("XTRIM", keys.usage(bucket), "MINID", "=", str(first_kept))


async def find(connection: Connection, bucket: int, event_id: bytes, since_ms: int) -> int | None:
    """Tell when an event was decided that was written since then; None when it is not in the stream.

    It is not looked for before LOOK_BACK_MS ago, where trimming begins.
    """
    page, until = 500, "+"
    while True:
        rows = await connection.call("XREVRANGE", keys.usage(bucket), until, since_ms, "COUNT", page)
        assert isinstance(rows, list)
        for _, flat in rows:
            fields = dict(zip(flat[::2], flat[1::2], strict=True))
            if fields.get(b"id") == event_id:
                return int(fields[b"at"])
        if len(rows) < page:
            return None
        until = f"({rows[-1][0].decode()}"


async def last_id(connection: Connection, bucket: int) -> StreamId:
    """Tell the last id ever given in a bucket's stream; 0-0 when there is no stream."""
    if not await connection.call("EXISTS", keys.usage(bucket)):
        return StreamId(0, 0)
    reply = await connection.call("XINFO", "STREAM", keys.usage(bucket))
    assert isinstance(reply, dict)
    return StreamId.parse(reply[b"last-generated-id"].decode())


def _entry(identity: bytes, flat: list[bytes]) -> UsageEvent | UnreadableEntry:
    """Read one entry; what is newer than this code stops the bucket, what is broken is kept aside."""
    stream_id = StreamId.parse(identity.decode())
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    try:
        claim = _decoder.decode(fields[b"claim"])
        event_id, at = fields[b"id"], fields[b"at"]
        if claim.schema in (1, SCHEMA) and _EVENT_ID.fullmatch(event_id) and _MS.fullmatch(at):
            moves = _moves(claim, int(at), fields.get(b"moves"))
            return UsageEvent(stream_id, event_id.decode(), int(at), claim, moves)
        why = f"schema {claim.schema}, id {event_id!r}, at {at!r}"
    except KeyError as error:
        why = f"no field {error}"
    except (msgspec.DecodeError, UnicodeDecodeError, _BrokenError) as error:
        why = str(error)
    _stop_when_newer(fields.get(b"claim", b""))
    return UnreadableEntry(stream_id, {_shown(name): _shown(value) for name, value in fields.items()}, why)


class _BrokenError(Exception):
    """What a claim says of itself does not go together."""


def _moves(claim: PackedClaim, at_ms: int, told: bytes | None) -> tuple[Move, ...] | None:
    """Tell what each counter took: what the entry says, else all of the quantity on the claim's own counter."""
    if (claim.kind == RESERVE and claim.quantity) or (claim.kind == USE and not claim.quantity):
        raise _BrokenError(f"kind {claim.kind} with quantity {claim.quantity}")
    if claim.schema == 1:
        if claim.meter is None or told is not None:
            raise _BrokenError(f"schema 1 with meter {claim.meter}, moves {told!r:.100}")
        return None
    if claim.counter is None:
        raise _BrokenError("no counter")
    if told is not None:
        return tuple(_started(claim, move, at_ms) for move in read_moves(told.decode()))
    given = Move(claim.counter, claim.window_start_ms, claim.quantity)
    return (_started(claim, given, at_ms),) if claim.quantity else ()


def read_moves(text: str) -> list[Move]:
    """Read `counter start amount;…`: the last two words are numbers, whatever a dimension's value in the first says."""
    moves, at = [], 0
    while at < len(text):
        found = _MOVE.match(text, at)
        if found is None or not _COUNTER.fullmatch(found[1]) or max(int(found[2]), abs(int(found[3]))) > NUMBER_MAX:
            raise _BrokenError(f"moves {text[at : at + 100]!r}; expected `counter start amount;…`")
        moves.append(Move(found[1], int(found[2]), int(found[3])))
        at = found.end()
    return moves


def _started(claim: PackedClaim, move: Move, at_ms: int) -> Move:
    """Say when the window of a move began, where that follows from the moment."""
    if not move.counter.startswith(claim.feature) or move.counter[len(claim.feature)] not in _SEPARATORS:
        raise _BrokenError(f"counter {move.counter} of feature {claim.feature}")
    if move.window_start:
        return move
    window = _WINDOW.search(move.counter, len(claim.feature))
    length_ms = _LENGTHS_MS.get(window[1]) if window else None
    if length_ms is None:
        raise _BrokenError(f"no start for the window of {move.counter}")
    return move._replace(window_start=at_ms - at_ms % length_ms)


def _stop_when_newer(packed: bytes) -> None:
    try:
        schema = msgspec.json.decode(packed, type=list[msgspec.Raw])[0]
        newer = int(msgspec.json.decode(schema, type=int)) > SCHEMA
    except (msgspec.DecodeError, IndexError):
        return
    if newer:
        raise StoreCorruptError(
            f"a usage event of schema {bytes(schema)!r}; this flusher reads up to {SCHEMA}: upgrade it"
        )


def _shown(value: bytes) -> str:
    """Keep bytes as text that Postgres takes: nothing in it but printable ASCII."""
    return value[:500].decode("ascii", "backslashreplace").encode("unicode_escape").decode()
