"""How moments are typed and shown: ISO 8601, in UTC unless they say otherwise."""

from __future__ import annotations

from datetime import UTC, datetime

from billing_core.periods import YEARS
from gateway.errors import InvalidRequestError, Violation

METAVAR = "MOMENT"
HELP = "such as 2026-12-31 or 2026-12-31T18:00+01:00; UTC where it names no zone"


def moment(option: str, text: str | None) -> datetime | None:
    """Read what was typed; nothing for nothing. Raises InvalidRequestError."""
    if text is None:
        return None
    try:
        typed = datetime.fromisoformat(text)
        read = typed.replace(tzinfo=UTC) if typed.tzinfo is None else typed.astimezone(UTC)
        if read.year in YEARS:
            return read
    except (ValueError, OverflowError):
        pass
    raise InvalidRequestError(Violation(option, f"{text[:64]!r} is no moment; expected one {HELP}"))


def shown(at: datetime | None) -> str:
    """Write a moment for people, to the minute; nothing for none."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def told(at: datetime | None) -> str | None:
    """Write a moment for programs."""
    return None if at is None else at.astimezone(UTC).isoformat()
