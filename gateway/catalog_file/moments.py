"""Dates, times, parts of time and time zones as they are written."""

import re
from datetime import UTC, datetime, tzinfo

from billing_core.errors import InvalidValueError
from billing_core.names import one_of
from billing_core.periods import Period, moment_of_clock
from billing_core.proration import ProrationBasis
from gateway.catalog_file.places import Place
from gateway.windows import zone_named

BOUNDS = 2
NOT_PRORATED = "none"

_PRORATIONS = {basis.value: basis for basis in ProrationBasis} | {NOT_PRORATED: None}
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[-+][0-9]{2}:[0-9]{2})?)?"
)


def read_zone(place: Place) -> tzinfo:
    """Read a time zone by its IANA name; without one it is UTC, also where the system knows no zones."""
    return (place.taken(zone_named) if place.exists else None) or UTC


def read_moment(place: Place, zone: tzinfo) -> datetime | None:
    """Read an ISO date or time; a date is its midnight, and what names no offset is what the zone's clocks show.

    As in `billing_core.periods`, a time that clocks skip is the moment of the move, and one that they show twice the
    first.
    """
    return place.taken(lambda text: _moment(text, zone))


def read_bounds(place: Place, zone: tzinfo) -> Period | None:
    """Read a start, included, and an end, excluded."""
    bounds = place.items()
    if len(bounds) != BOUNDS:
        place.refuse('two dates, the second one excluded, such as ["2026-01-01", "2026-02-01"]')
        return None
    start, end = (read_moment(bound, zone) for bound in bounds)
    return place.attempt(lambda: Period(start, end)) if start and end else None


def read_proration(place: Place) -> ProrationBasis | None:
    """Read in what parts of a period are counted; none is a plan whose parts cost what the whole does."""
    if place.glimpse() in _PRORATIONS:
        return _PRORATIONS[place.glimpse() or ""]
    if place.exists:
        place.refuse(one_of(_PRORATIONS), place.suggestion(place.glimpse() or "", _PRORATIONS))
    return ProrationBasis.SECOND


def write_proration(proration: ProrationBasis | None) -> str:
    """Write it as it is read."""
    return NOT_PRORATED if proration is None else proration.value


def _moment(text: str, zone: tzinfo) -> datetime:
    rule = "an ISO date or time such as 2026-01-31 or 2026-01-31T12:00:00Z"
    if not _MOMENT.fullmatch(text):
        raise InvalidValueError("at", text, "is not a moment", rule)
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment_of_clock(moment, zone)
    except (ValueError, OverflowError) as error:  # 31 February, or a year that UTC does not reach
        raise InvalidValueError("at", text, "is not in the calendar", rule) from error
