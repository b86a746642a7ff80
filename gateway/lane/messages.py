"""Answers of EntitlementService as bytes, written by hand: a fifth of the time that building a message takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.rpc.status_pb2 import Status

from gateway.answers import response_of
from gateway.counters.consume import COUNTED
from gateway.counters.order import MAX, Quota
from gateway.decision import Reason
from gateway.prepared import Counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.decision import Decision
    from gateway.prepared import Counting

    _Around = tuple[bytes, bytes, bytes, int, int]

_CLAIMS: Final = 0x0A
"""The tag of a batch's claims."""

_LAST_OF_ONE_BYTE: Final = 0x7F
_PAIRS: Final = 1 << 14
"""So many numbers fit into two bytes: they are looked up, and longer ones are put together from pairs."""

_SHORT: Final = [bytes((number,)) for number in range(128)] + [
    bytes((number & 0x7F | 0x80, number >> 7)) for number in range(128, _PAIRS)
]
_MORE_FOLLOW: Final = [bytes((number & 0x7F | 0x80, number >> 7 | 0x80)) for number in range(_PAIRS)]


def varint(number: int) -> bytes:
    """Write a number that is not negative."""
    if number < _PAIRS:
        return _SHORT[number]
    written = _MORE_FOLLOW[number & _PAIRS - 1]
    number >>= 14
    while number >= _PAIRS:
        written += _MORE_FOLLOW[number & _PAIRS - 1]
        number >>= 14
    return written + _SHORT[number]


def _text(tag: bytes, text: str) -> bytes:
    encoded = text.encode()
    return tag + varint(len(encoded)) + encoded


def answer_bytes(told: Decision | Counted) -> bytes:
    """Write a CheckEntitlementResponse; what is counted and allowed, of which there are the most, at once."""
    if not isinstance(told, Counted):
        return decision_bytes(told)
    found, answer = told.found, told.answer
    written: _Around | None = found.written or _around(found)
    if answer.kind != COUNTED or written is None:
        return decision_bytes(told.decision())
    before, between, after, ceiling, length_ms = written
    state: Any = answer.states[0]
    used, start_ms = state
    if length_ms:
        between = _resets_at(start_ms + length_ms)
    identity = answer.event_id
    left = varint(ceiling - used if used < ceiling else 0)
    return b"".join((before, varint(used), b"\x28", left, between, _SHORT[len(identity)], identity, after))


def _around(found: Counting) -> _Around | None:
    """Write what all such answers to a claim have in common, as it stands around what they have not.

    Nothing is kept of a claim whose answers say more: of several limits, of overage, of what is held.
    """
    (limit, *more), ((label, *_), *_) = found.order.limits, found.against.labels
    ceiling = label.size
    if more or not isinstance(limit, Quota) or ceiling is None or limit.ceiling != ceiling or found.order.hold:
        return None
    start_ms, end_ms = limit.span
    if end_ms >= MAX:  # it never begins anew
        return None
    before = b"\x08\x01\x10%b\x18%b\x20" % (_SHORT[Reason.OK], varint(ceiling))
    after = _text(b"\x6a", found.plan.name)
    found.written = written = before, _resets_at(end_ms), after, ceiling, 0 if start_ms else end_ms
    return written


def _resets_at(window_end_ms: int) -> bytes:
    """Write when a window ends, and the tag of what follows: the event's id."""
    return b"\x30%b\x62" % varint(window_end_ms)


def decision_bytes(decision: Decision) -> bytes:
    """Write a CheckEntitlementResponse, in the order of the fields' numbers, as protobuf does."""
    if decision.limits:
        return response_of(decision).SerializeToString()
    identity = decision.decision_id.encode()
    written = b"\x08\x01\x10" if decision.allowed else b"\x10"
    written += _SHORT[decision.reason]
    numbers = (
        (b"\x18", decision.limit),
        (b"\x20", decision.used),
        (b"\x28", decision.remaining),
        (b"\x30", decision.resets_at_ms),
        (b"\x38", decision.retry_after_ms),
    )
    written += b"".join(tag + varint(number) for tag, number in numbers if number is not None)
    if decision.value:
        written += _text(b"\x42", decision.value)
    if decision.overage is not None:
        written += b"\x48" + varint(decision.overage)
    if decision.degraded:
        written += b"\x50\x01"
    if decision.replayed:
        written += b"\x58\x01"
    if identity:
        written += b"\x62" + varint(len(identity)) + identity
    if decision.plan:
        written += _text(b"\x6a", decision.plan)
    for plan in decision.upgrade_plans:
        written += _text(b"\x72", plan)
    return written


def claims_in(message: bytes) -> list[bytes]:
    """Cut a batch into the bytes of its claims; none where it has anything else, which protobuf then reads."""
    parts: list[bytes] = []
    at, end = 0, len(message)
    while at < end - 1:
        size = message[at + 1]
        at += 2
        if message[at - 2] != _CLAIMS or size > _LAST_OF_ONE_BYTE or at + size > end:
            return []
        parts.append(message[at : at + size])
        at += size
    return parts if at == end else []


def batch_bytes(answers: Iterable[Decision | Counted | Status]) -> bytes:
    """Write a BatchCheckEntitlementsResponse: a status stands by its place, beside an empty decision."""
    decisions: list[bytes] = []
    failures: list[bytes] = []
    for place, answer in enumerate(answers):
        if isinstance(answer, Status):
            told = answer.SerializeToString()
            entry = b"\x08" + varint(place) + b"\x12" + varint(len(told)) + told
            failures += b"\x12", varint(len(entry)), entry
            decisions += b"\x0a", b"\x00"
        else:
            one = answer_bytes(answer)
            decisions += b"\x0a", varint(len(one)), one
    return b"".join(decisions + failures)
