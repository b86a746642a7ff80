"""What of a use is given back: once, never more than was used, in the window and from the counters that took it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from gateway.counters.keys import tag
from gateway.decision import QUANTITY_MAX, identifier_violations
from gateway.errors import (
    AlreadyExistsError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    NotFoundError,
    PreconditionError,
    Violation,
)
from gateway.records import events, outbox, terms, usage
from gateway.records.usage import Kind, Move

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.records.database import Connection
    from gateway.records.events import RefundRow
    from gateway.records.usage import EventRow

REASON_CHARACTERS_MAX: Final = 255
REQUEST_ID_CHARACTERS_MAX: Final = 255

_EVENT_ID: Final = re.compile(r"[a-z0-9.-]{1,64}")
_ASCII: Final = re.compile(r"[\x20-\x7e]*")
_PARTS: Final = ("", ".end", ".late")
"""A reservation's events: what was held, what was used at its end, what came after that."""


@dataclass(frozen=True, slots=True)
class Refunded:
    """What was given back; `replayed` when that was done before."""

    event_id: str
    quantity: int
    reason: str
    refunded_at: datetime
    replayed: bool = False


async def refund(
    connection: Connection, customer: str, decision_id: str, quantity: int | None, reason: str, request_id: str = ""
) -> Refunded:
    """Give back a quantity of one use, all of it when none is named; a repeat gets the first answer.

    The event is credited at its own moment, so at its own price; its counters hear of it through the outbox, where
    their window is still open. Raises InvalidRequestError, NotFoundError for a use that is not written down,
    PreconditionError where nothing was used (yet), AlreadyExistsError when something else of it was refunded before,
    IdempotencyKeyReusedError.
    """
    _check(customer, decision_id, quantity, reason, request_id)
    root = re.sub(r"\.(end|late)\Z", "", decision_id)
    fingerprint = hashlib.sha256(f"{root}\0{quantity or 'all'}".encode()).hexdigest()[:16]
    held = await events.hold(connection, [root + part for part in _PARTS])
    if request_id and (before := await events.refund_of_request(connection, customer, request_id)) is not None:
        if before.fingerprint != fingerprint:
            raise IdempotencyKeyReusedError
        return _told(before, replayed=True)
    if not held or held[0].customer != customer:
        raise NotFoundError(f"use {decision_id} of customer {customer}; a use is written down within a second")
    if (before := await events.refund_of(connection, root)) is not None:
        if before.fingerprint != fingerprint and before.quantity != quantity:
            raise AlreadyExistsError(f"of {decision_id}, {before.quantity} were refunded; a use is refunded once")
        return _told(before, replayed=True)
    billed = _billed(held, decision_id)
    used = sum(event.quantity for event in billed)
    returned = used if quantity is None else quantity
    if returned > used:
        raise InvalidRequestError(Violation("quantity", f"{returned} is more than the {used} that were used"))
    row = replace(billed[-1], event_id=root)
    written = await events.add_refund(connection, row, returned, reason, request_id or None, fingerprint)
    if written is None:
        raise IdempotencyKeyReusedError  # the same request id, for another event, at the same time
    await _write(connection, row, held, returned)
    return _told(written)


def given_back(moves: Sequence[Move], feature: str, quantity: int) -> list[Move]:
    """Say which counters give back how much, as negative moves.

    1. What was held in the end is what counts: a reservation's later moves correct its first. 2. Slots are given back
    by the end of what held them. 3. Counters of a dimension's value count beside the limit: each gives back all.
    4. The others share the quantity: who took last gives back first.
    """
    net: dict[tuple[str, int], int] = {}
    for move in moves:
        place = move.counter, move.window_start
        net[place] = net.get(place, 0) + move.amount
    left: dict[str, int] = {}
    returned = []
    for (counter, start), amount in reversed(net.items()):
        name = counter[len(feature) :]
        if name.startswith("#"):
            continue
        group = counter if name.count(":") > 1 and name.startswith(":") else feature
        taken = min(amount, left.setdefault(group, quantity))
        if taken > 0:
            left[group] -= taken
            returned.append(Move(counter, start, -taken))
    return returned


async def _write(connection: Connection, row: EventRow, held: Sequence[EventRow], quantity: int) -> None:
    """Write the negative event, and what its counters must hear; a use of the first schema told no counters."""
    owner = await terms.read(connection, row.customer)
    moves = given_back([move for event in held for move in event.moves or ()], row.feature, quantity)
    event = replace(
        row,
        event_id=f"{row.event_id}.refund",
        quantity=-quantity,
        kind=Kind.REFUND,
        moves=tuple(moves),
        document_version=owner.document_version,
    )
    await usage.write(connection, tag(owner.bucket), [event])
    if moves:
        told = [(move.counter, move.window_start, 0, move.amount) for move in moves]
        place = tag(owner.bucket), row.customer, owner.document_version
        await outbox.add(connection, *place, event.event_id, told)


def _billed(held: Sequence[EventRow], decision_id: str) -> list[EventRow]:
    billed = [event for event in held if event.quantity > 0]
    if billed:
        return billed
    open_yet = not any(event.kind is Kind.END for event in held)
    what = "is still held; commit or release it" if open_yet else "was released: nothing of it was used"
    raise PreconditionError(f"{decision_id} {what}")


def _check(customer: str, decision_id: str, quantity: int | None, reason: str, request_id: str) -> None:
    wrong = identifier_violations("customer", customer)
    if not _EVENT_ID.fullmatch(decision_id):
        wrong.append(Violation("decision_id", "is not the id of an allowed, counted decision"))
    if quantity is not None and not 1 <= quantity <= QUANTITY_MAX:
        wrong.append(Violation("quantity", f"{quantity} is out of range; expected 1 to 2^53-1"))
    if len(reason) > REASON_CHARACTERS_MAX or not reason.isprintable():
        expected = f"expected up to {REASON_CHARACTERS_MAX} printable characters"
        wrong.append(Violation("reason", f"is too long or has other characters; {expected}"))
    if len(request_id) > REQUEST_ID_CHARACTERS_MAX or not _ASCII.fullmatch(request_id):
        expected = f"expected up to {REQUEST_ID_CHARACTERS_MAX} printable ASCII characters"
        wrong.append(Violation("request_id", f"is too long or has other characters; {expected}"))
    if wrong:
        raise InvalidRequestError(*wrong)


def _told(row: RefundRow, *, replayed: bool = False) -> Refunded:
    return Refunded(row.event_id, row.quantity, row.reason, row.refunded_at, replayed)
