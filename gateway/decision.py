"""What a claim is, what a customer is entitled to, and what follows from both: pure, nothing here can wait."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final, assert_never

import msgspec

from gateway.errors import InvalidRequestError, Violation

if TYPE_CHECKING:
    from billing_core.entitlements import Window

QUANTITY_MAX: Final = 2**53 - 1
"""The counters' arithmetic is exact up to here: a Lua number is a double."""

KEY_LENGTH_MAX: Final = 255
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]*")


class Reason(IntEnum):
    """Why a claim is allowed or not; the numbers are those of the public API."""

    OK = 1
    CUSTOMER_UNKNOWN = 2
    NO_SUBSCRIPTION = 4
    FEATURE_UNKNOWN = 5
    FEATURE_NOT_IN_PLAN = 6
    FEATURE_OFF = 7
    QUOTA_EXCEEDED = 8
    RATE_EXCEEDED = 9
    REQUEST_EXCEEDS_LIMIT = 14
    STORE_UNAVAILABLE = 16


class Claim(msgspec.Struct, frozen=True, gc=False):
    """A request to use a quantity of a feature; valid or not at all."""

    customer: str
    feature: str
    quantity: int = 1
    peek: bool = False
    idempotency_key: str = ""

    def __post_init__(self) -> None:
        wrong = [
            *identifier_violations("customer", self.customer),
            *identifier_violations("feature", self.feature),
        ]
        if not 1 <= self.quantity <= QUANTITY_MAX:
            wrong.append(Violation("quantity", f"{self.quantity} is out of range; expected 1 to 2^53-1"))
        if len(self.idempotency_key) > KEY_LENGTH_MAX or not _PRINTABLE.fullmatch(self.idempotency_key):
            expected = f"expected up to {KEY_LENGTH_MAX} printable ASCII characters"
            wrong.append(Violation("idempotency_key", f"is too long or has other characters; {expected}"))
        if wrong:
            raise InvalidRequestError(*wrong)


def identifier_violations(field: str, value: str) -> list[Violation]:
    """Say what is wrong with a customer's, feature's or plan's id; nothing when it is fine."""
    if _IDENTIFIER.fullmatch(value):
        return []
    if not value:
        return [Violation(field, "is empty; expected 1 to 64 characters of [A-Za-z0-9_.@-]")]
    shown = value[:64].encode("ascii", "backslashreplace").decode().replace("\x00", "\\x00")
    return [Violation(field, f"{shown!r} is ill-formed; expected 1 to 64 characters of [A-Za-z0-9_.@-]")]


@dataclass(frozen=True, slots=True)
class Switch:
    """A boolean feature: on or off."""

    on: bool
    upgrade_plans: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """A config feature: its value is handed out as JSON."""

    value: str


@dataclass(frozen=True, slots=True)
class Limit:
    """A metered feature or a rate: a ceiling (none when unlimited) on what is used in a window."""

    meter: str | None
    window: Window
    ceiling: int | None
    overage: bool
    upgrade_plans: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Absent:
    """A feature of the product that the customer's plan does not name."""

    upgrade_plans: tuple[str, ...]


Entitlement = Switch | Setting | Limit | Absent


class Tally(msgspec.Struct, frozen=True, gc=False):
    """What the counters answered: whether they admitted the claim, and where the running window stands."""

    admitted: bool
    used: int
    now_ms: int
    window_end_ms: int
    event_id: bytes = b""
    replayed: bool = False


class Decision(msgspec.Struct, frozen=True, gc=False):
    """Allowed or not, why, and what is left; None where the number does not apply."""

    allowed: bool
    reason: Reason
    decision_id: str
    plan: str = ""
    limit: int | None = None
    used: int | None = None
    remaining: int | None = None
    resets_at_ms: int | None = None
    retry_after_ms: int | None = None
    overage: int | None = None
    value: str = ""
    degraded: bool = False
    replayed: bool = False
    upgrade_plans: tuple[str, ...] = ()


def decide(entitlement: Switch | Setting | Absent, plan: str, version: int) -> Decision:
    """Answer what needs no counter."""
    match entitlement:
        case Switch(on=True):
            return Decision(allowed=True, reason=Reason.OK, decision_id=_unstored(Reason.OK, version), plan=plan)
        case Switch(upgrade_plans=upgrades):
            return refuse(Reason.FEATURE_OFF, plan, version, upgrades)
        case Setting(value=value):
            identity = _unstored(Reason.OK, version)
            return Decision(allowed=True, reason=Reason.OK, decision_id=identity, plan=plan, value=value)
        case Absent(upgrade_plans=upgrades):
            return refuse(Reason.FEATURE_NOT_IN_PLAN, plan, version, upgrades)
        case _:
            assert_never(entitlement)


def decide_counted(limit: Limit, quantity: int, tally: Tally, plan: str, version: int) -> Decision:
    """Answer from what the counters said.

    1. Admitted, counted now or before, or a peek that would be: OK.
    2. More than the whole ceiling: waiting will not help.
    3. More than what is left: it will, once the window ends.
    """
    if tally.admitted:
        reason, retry_after_ms = Reason.OK, None
    elif limit.ceiling is not None and quantity > limit.ceiling:
        reason, retry_after_ms = Reason.REQUEST_EXCEEDS_LIMIT, None
    else:
        reason = Reason.RATE_EXCEEDED if limit.meter is None else Reason.QUOTA_EXCEEDED
        retry_after_ms = max(0, tally.window_end_ms - tally.now_ms)
    ceiling = limit.ceiling
    return Decision(
        allowed=tally.admitted,
        reason=reason,
        decision_id=tally.event_id.decode() or _unstored(reason, version),
        plan=plan,
        limit=ceiling,
        used=tally.used,
        remaining=None if ceiling is None else max(0, ceiling - tally.used),
        resets_at_ms=tally.window_end_ms,
        retry_after_ms=retry_after_ms,
        overage=max(0, tally.used - ceiling) if limit.overage and ceiling is not None else None,
        replayed=tally.replayed,
        upgrade_plans=() if tally.admitted else limit.upgrade_plans,
    )


def refuse(reason: Reason, plan: str = "", version: int = 0, upgrade_plans: tuple[str, ...] = ()) -> Decision:
    """Deny without having asked a counter."""
    identity = _unstored(reason, version)
    return Decision(allowed=False, reason=reason, decision_id=identity, plan=plan, upgrade_plans=upgrade_plans)


def degrade(plan: str = "", version: int = 0) -> Decision:
    """Answer when the counters could not be asked: deny, and say that this was decided by policy."""
    reason = Reason.STORE_UNAVAILABLE
    return Decision(allowed=False, reason=reason, decision_id=_unstored(reason, version), plan=plan, degraded=True)


def _unstored(reason: Reason, version: int) -> str:
    """Name a decision that nothing was written for: it carries its reason and the document's version."""
    return f"{reason.name}.{version}"
