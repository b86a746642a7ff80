"""What is sent to consume.lua and what comes back: the only place that knows the order of its arguments."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from gateway.counters import keys
from gateway.counters.connection import pack
from gateway.errors import StoreCorruptError

if TYPE_CHECKING:
    from gateway.counters.connection import Argument

SCRIPT: Final = files("gateway.counters").joinpath("consume.lua").read_text(encoding="utf-8")
SHA: Final = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()

PEEK: Final = 0
"""The number of a claim that asks and counts nothing."""


@dataclass(frozen=True, slots=True)
class Key:
    """A client's idempotency key as the script knows it."""

    event_id: str
    fingerprint: str
    remember_ms: int


@dataclass(frozen=True, slots=True)
class Order:
    """One claim as the counters see it: what to count, where, up to which ceiling."""

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


@dataclass(frozen=True, slots=True)
class Answer:
    """What consume.lua said; times in ms of Redis's clock."""

    kind: bytes
    now_ms: int = 0
    used: int = 0
    window_start_ms: int = 0
    event_id: str = ""


def command(order: Order, line: str, gateway: str, number: int, *, whole_script: bool = False) -> bytes:
    """Pack one call of the script; with `whole_script`, for a Redis that has forgotten it."""
    names = [
        keys.head(order.bucket),
        keys.use(order.bucket, order.customer),
        keys.usage(order.bucket),
    ]
    pairs: list[Argument] = []
    if order.ceiling is not None:
        pairs += ("ceiling", order.ceiling)
    if order.event is not None:
        pairs += ("event", order.event)
    if order.key is not None and not order.peek:
        names.append(keys.idempotency(order.bucket, order.customer, order.key.event_id))
        pairs += ("event_id", order.key.event_id)
        pairs += ("fingerprint", order.key.fingerprint, "remember_ms", order.key.remember_ms)
    return pack(
        *(("EVAL", SCRIPT) if whole_script else ("EVALSHA", SHA)),
        len(names),
        *names,
        line,
        gateway,
        number,
        order.quantity,
        order.version,
        order.counter,
        order.window_start_ms,
        order.window_end_ms,
        *pairs,
    )


def read(reply: object) -> Answer:
    """Take the script's reply apart, asserting its shape."""
    match reply:
        case [bytes(kind)]:
            return Answer(kind)
        case [bytes(kind), int(now_ms), int(used), int(window_start_ms)]:
            return Answer(kind, now_ms, used, window_start_ms)
        case [bytes(kind), int(now_ms), int(used), int(window_start_ms), bytes(event_id)]:
            return Answer(kind, now_ms, used, window_start_ms, event_id.decode())
        case _:
            raise StoreCorruptError(f"consume.lua answered {reply!r:.200}")
