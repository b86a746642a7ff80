"""The stream of usage events: what one entry says, and how the office reads and trims it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import msgspec

from gateway.counters import keys
from gateway.errors import StoreCorruptError

if TYPE_CHECKING:
    from gateway.counters.connection import Connection

SCHEMA: Final = 1
"""Of the packed part; a flusher that meets a newer one stops that bucket instead of guessing."""

LOOK_BACK_MS: Final = 10_000
"""Entries younger than this are never trimmed: a claim asked again is looked for among them."""

_Identifier = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.@-]{1,64}\Z")]
_Count = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
_EVENT_ID: Final = re.compile(rb"[a-z0-9-]{1,64}")
_MS: Final = re.compile(rb"[0-9]{1,14}")


class PackedClaim(msgspec.Struct, array_like=True, frozen=True):
    """What is constant in a claim, as a JSON array: prepared once by the gateway, stored as one field."""

    schema: int
    customer: _Identifier
    feature: _Identifier
    meter: _Identifier
    quantity: _Count
    version: _Count
    """Of the entitlement document the claim was decided with."""


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


def pack_claim(customer: str, feature: str, meter: str, quantity: int, version: int) -> bytes:
    """Write the constant part of an event."""
    return _encoder.encode(PackedClaim(SCHEMA, customer, feature, meter, quantity, version))


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
        if claim.schema == SCHEMA and _EVENT_ID.fullmatch(event_id) and _MS.fullmatch(at):
            return UsageEvent(stream_id, event_id.decode(), int(at), claim)
        why = f"schema {claim.schema}, id {event_id!r}, at {at!r}"
    except KeyError as error:
        why = f"no field {error}"
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        why = str(error)
    _stop_when_newer(fields.get(b"claim", b""))
    return UnreadableEntry(stream_id, {_shown(name): _shown(value) for name, value in fields.items()}, why)


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
