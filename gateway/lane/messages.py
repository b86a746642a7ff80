"""Answers of EntitlementService as bytes, written by hand: a fifth of the time that building a message takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.decision import Decision

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.rpc.status_pb2 import Status


_LAST_OF_ONE_BYTE = 0x7F
_CLAIMS = 0x0A
"""The tag of a batch's claims."""


def varint(number: int) -> bytes:
    """Write a number that is not negative."""
    if number <= _LAST_OF_ONE_BYTE:
        return _ONE_BYTE[number]
    written = bytearray()
    while number > _LAST_OF_ONE_BYTE:
        written.append(number & _LAST_OF_ONE_BYTE | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


_ONE_BYTE = [bytes((number,)) for number in range(_LAST_OF_ONE_BYTE + 1)]


def _text(tag: bytes, text: str) -> bytes:
    encoded = text.encode()
    return tag + varint(len(encoded)) + encoded


def decision_bytes(decision: Decision) -> bytes:
    """Write a CheckEntitlementResponse, field by field in the order of their numbers, as protobuf does."""
    written = b"\x08\x01\x10" if decision.allowed else b"\x10"
    written += _ONE_BYTE[decision.reason]
    written += _counted(decision)
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
        written += _text(b"\x6a", decision.plan)
    for plan in decision.upgrade_plans:
        written += _text(b"\x72", plan)
    return written


def _counted(decision: Decision) -> bytes:
    """Write the numbers that not every decision has; 0 is a number, and None is none."""
    written = b""
    for tag, number in (
        (b"\x18", decision.limit),
        (b"\x20", decision.used),
        (b"\x28", decision.remaining),
        (b"\x30", decision.resets_at_ms),
        (b"\x38", decision.retry_after_ms),
    ):
        if number is not None:
            written += tag + varint(number)
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
