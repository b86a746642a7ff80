"""What a claim is, what a customer is entitled to, and what follows from both: pure, nothing here can wait."""

from __future__ import annotations

import hashlib
import re
from enum import IntEnum
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

import msgspec
from msgspec.structs import replace

from gateway.errors import InvalidRequestError, Violation
from gateway.limits import Absent, Licences, Setting, Suspended, Switch, TrialOver

if TYPE_CHECKING:
    from collections.abc import Sequence

QUANTITY_MAX: Final = 2**53 - 1
"""The counters' arithmetic is exact up to here: a Lua number is a double."""

KEY_LENGTH_MAX: Final = 255
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]*")

HOLD_MS_MIN: Final = 1_000
HOLD_MS_MAX: Final = 86_400_000
"""A day."""

DIMENSIONS_MAX: Final = 16
_DIMENSION_VALUE: Final = re.compile(r"[\x20-\x2b\x2d-\x7e]{1,64}")


class Reason(IntEnum):
    """Why a claim is allowed or not; the numbers are those of the public API."""

    OK = 1
    CUSTOMER_UNKNOWN = 2
    CUSTOMER_SUSPENDED = 3
    NO_SUBSCRIPTION = 4
    FEATURE_UNKNOWN = 5
    FEATURE_NOT_IN_PLAN = 6
    FEATURE_OFF = 7
    QUOTA_EXCEEDED = 8
    RATE_EXCEEDED = 9
    CONCURRENCY_EXCEEDED = 10
    SEATS_EXCEEDED = 11
    REQUEST_EXCEEDS_LIMIT = 14
    TRIAL_OVER = 15
    STORE_UNAVAILABLE = 16


class LimitKind(IntEnum):
    """What a limit holds down; the numbers are those of the public API."""

    QUOTA = 1
    GRANT = 2
    ROLLOVER = 3
    RATE = 4
    CONCURRENCY = 5
    SEATS = 6


class LimitState(msgspec.Struct, frozen=True, gc=False):
    """Where one limit of a feature stands; None where a number does not apply."""

    name: str
    kind: LimitKind
    limit: int | None = None
    used: int | None = None
    remaining: int | None = None
    resets_at_ms: int | None = None
    retry_after_ms: int | None = None
    reason: Reason = Reason.OK


class Held(msgspec.Struct, frozen=True, gc=False):
    """What a decision holds, under its own id, until it is committed or released."""

    ttl_ms: int
    expires_at_ms: int
    """0 when it was held before: nobody looked."""


class Claim(msgspec.Struct, frozen=True, gc=False):
    """A request to use a quantity of a feature; valid or not at all."""

    customer: str
    feature: str
    quantity: int = 1
    peek: bool = False
    idempotency_key: str = ""
    dimensions: tuple[tuple[str, str], ...] = ()
    """What the use is of, by name."""
    subject: str = ""
    """Who of the customer uses a named licence; empty where nobody is named."""
    hold_ms: int | None = None
    """For how long it is held instead of used: 0 for as long as the feature says; None when it is used for good."""

    def __post_init__(self) -> None:
        wrong = [
            *identifier_violations("customer", self.customer),
            *identifier_violations("feature", self.feature),
            *dimension_violations(self.dimensions),
        ]
        if self.subject:
            wrong += identifier_violations("subject", self.subject)
        if not 1 <= self.quantity <= QUANTITY_MAX:
            wrong.append(Violation("quantity", f"{self.quantity} is out of range; expected 1 to 2^53-1"))
        if len(self.idempotency_key) > KEY_LENGTH_MAX or not _PRINTABLE.fullmatch(self.idempotency_key):
            expected = f"expected up to {KEY_LENGTH_MAX} printable ASCII characters"
            wrong.append(Violation("idempotency_key", f"is too long or has other characters; {expected}"))
        if self.hold_ms and not HOLD_MS_MIN <= self.hold_ms <= HOLD_MS_MAX:
            wrong.append(
                Violation("ttl_ms", f"{self.hold_ms} is out of range; expected {HOLD_MS_MIN} to {HOLD_MS_MAX}")
            )
        if wrong:
            raise InvalidRequestError(*wrong)


def dimension_violations(dimensions: Sequence[tuple[str, str]]) -> list[Violation]:
    """Say what is wrong with the names and values of a use's dimensions; nothing when they are fine."""
    wrong: list[Violation] = []
    if len(dimensions) > DIMENSIONS_MAX:
        wrong.append(Violation("dimensions", f"there are {len(dimensions)}; expected up to {DIMENSIONS_MAX}"))
    for name, value in dimensions[:DIMENSIONS_MAX]:
        if ill_named := identifier_violations("dimensions", name):
            wrong += ill_named
        elif not _DIMENSION_VALUE.fullmatch(value):
            expected = "expected 1 to 64 printable ASCII characters without a comma"
            wrong.append(Violation(f"dimensions.{name}", f"is ill-formed; {expected}"))
    return wrong


def keyed_event_id(customer: str, idempotency_key: str) -> str:
    """Name the event of whatever is asked or told under a client's key: it is one, whichever door it comes by."""
    return hashlib.sha256(f"l\0{customer}\0{idempotency_key}".encode()).hexdigest()[:32]


def identifier_violations(field: str, value: str) -> list[Violation]:
    """Say what is wrong with a customer's, feature's or plan's id; nothing when it is fine."""
    if _IDENTIFIER.fullmatch(value):
        return []
    if not value:
        return [Violation(field, "is empty; expected 1 to 64 characters of [A-Za-z0-9_.@-]")]
    shown = value[:64].encode("ascii", "backslashreplace").decode().replace("\x00", "\\x00")
    return [Violation(field, f"{shown!r} is ill-formed; expected 1 to 64 characters of [A-Za-z0-9_.@-]")]


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
    limits: tuple[LimitState, ...] = ()
    """Of a feature with several."""
    held: Held | None = None

    def __bool__(self) -> bool:
        return self.allowed


Uncounted: TypeAlias = Switch | Setting | Licences | Absent | Suspended | TrialOver


def decide(entitlement: Uncounted, plan: str, version: int, quantity: int = 1) -> Decision:
    """Answer what needs no counter."""
    admitted = Decision(allowed=True, reason=Reason.OK, decision_id=unstored(Reason.OK, version), plan=plan)
    match entitlement:
        case Switch(on=on, upgrade_plans=upgrades):
            decision = admitted if on else refuse(Reason.FEATURE_OFF, plan, version, upgrades)
        case Setting(value=value):
            decision = replace(admitted, value=value)
        case Licences(ceiling=ceiling, upgrade_plans=upgrades):
            enough = ceiling is None or quantity <= ceiling
            told = admitted if enough else refuse(Reason.SEATS_EXCEEDED, plan, version, upgrades)
            decision = replace(told, limit=ceiling)
        case Absent(upgrade_plans=upgrades):
            decision = refuse(Reason.FEATURE_NOT_IN_PLAN, plan, version, upgrades)
        case Suspended():
            decision = refuse(Reason.CUSTOMER_SUSPENDED, plan, version)
        case TrialOver():
            decision = refuse(Reason.TRIAL_OVER, plan, version)
        case _:
            assert_never(entitlement)
    return decision


def refuse(reason: Reason, plan: str = "", version: int = 0, upgrade_plans: tuple[str, ...] = ()) -> Decision:
    """Deny without having asked a counter."""
    identity = unstored(reason, version)
    return Decision(allowed=False, reason=reason, decision_id=identity, plan=plan, upgrade_plans=upgrade_plans)


def degrade(plan: str = "", version: int = 0) -> Decision:
    """Answer when the counters could not be asked: deny, and say that this was decided by policy."""
    reason = Reason.STORE_UNAVAILABLE
    return Decision(allowed=False, reason=reason, decision_id=unstored(reason, version), plan=plan, degraded=True)


def unstored(reason: Reason, version: int) -> str:
    """Name a decision that nothing was written for: it carries its reason and the document's version."""
    return f"{reason.name}.{version}"
