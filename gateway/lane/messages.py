"""Answers of EntitlementService as bytes, written by hand: a fifth of the time that building a message takes."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from gateway.decision import Decision

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.rpc.status_pb2 import Status


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


def decision_bytes(decision: Decision) -> bytes:  # noqa: C901 - one field after the other, as they are numbered
    """Write a CheckEntitlementResponse, in the order of the fields' numbers, as protobuf does."""
    written = b"\x08\x01\x10" if decision.allowed else b"\x10"
    written += _SHORT[decision.reason]
    if decision.limit is not None:
        written += b"\x18" + _known(decision.limit)
    if decision.used is not None:
        written += b"\x20" + varint(decision.used)
    if decision.remaining is not None:
        written += b"\x28" + varint(decision.remaining)
    if decision.resets_at_ms is not None:
        written += b"\x30" + _known(decision.resets_at_ms)
    if decision.retry_after_ms is not None:
        written += b"\x38" + varint(decision.retry_after_ms)
    if decision.value:
        written += _text(b"\x42", decision.value)
    if decision.overage is not None:
        written += b"\x48" + varint(decision.overage)
    if decision.degraded:
        written += b"\x50\x01"
    if decision.replayed:
        written += b"\x58\x01"
    if decision.decision_id:
        written += _text(b"\x62", decision.decision_id)
    if decision.plan:
        written += _plan(b"\x6a", decision.plan)
    for plan in decision.upgrade_plans:
        written += _plan(b"\x72", plan)
    return written


_plan = lru_cache(1024)(_text)
_known = lru_cache(1024)(varint)
"""What a thousand answers in a row have in common: their plans, their limits, and when their windows end."""


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


def batch_bytes(answers: Iterable[Decision | Status]) -> bytes:
    """Write a BatchCheckEntitlementsResponse: a status stands by its place, beside an empty decision."""
    decisions, failures = bytearray(), bytearray()
    for place, answer in enumerate(answers):
        if isinstance(answer, Decision):
            one = decision_bytes(answer)
            decisions += b"\x0a" + varint(len(one)) + one
        else:
            decisions += b"\x0a\x00"
            told = answer.SerializeToString()
            entry = b"\x08" + varint(place) + b"\x12" + varint(len(told)) + told
            failures += b"\x12" + varint(len(entry)) + entry
    return bytes(decisions + failures)
