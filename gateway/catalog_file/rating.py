"""The rating document of `tollkeeper rate`: prices, fees and usage of one period, without any store."""

import re
from collections.abc import Collection
from datetime import UTC, datetime

from billing_core.catalog import BILLING_INTERVALS
from billing_core.errors import InvalidValueError
from billing_core.money import Currency, not_negative
from billing_core.periods import EPOCH, Interval, Period, calendar_period
from billing_core.rating import RatingRequest, Usage
from gateway.catalog_file.nodes import read_document
from gateway.catalog_file.places import Place, kept
from gateway.catalog_file.prices import read_fees, read_prices
from gateway.catalog_file.problems import CatalogError, Findings

PERIOD_BOUNDS = 2

_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[-+][0-9]{2}:[0-9]{2})?)?"
)


def parse_rating(text: str) -> RatingRequest:
    """Read a rating document from YAML or JSON; CatalogError has every problem of it."""
    findings = Findings()
    root = Place("", 1, read_document(text, findings), findings)
    request = root.build(lambda: _request(root), "currency", "period", "prices", "fees", "usage")
    if request is None or findings.problems:
        raise CatalogError(findings.problems)
    return request


def _request(root: Place) -> RatingRequest:
    currency = root["currency"].taken(Currency) or Currency("USD")
    period = _read_period(root["period"]) or calendar_period(Interval.YEAR, EPOCH)
    prices = read_prices(root["prices"], None)
    fees = read_fees(root["fees"], BILLING_INTERVALS)
    # A price that could not be read keeps its meter, so that usage of it is no second problem.
    meters = {meter for item in root["prices"].items() if (meter := item["meter"].glimpse()) is not None}
    usage = kept(_read_usage(item, meters) for item in root["usage"].items())
    return RatingRequest(currency, period, prices, fees, usage)


def _read_period(place: Place) -> Period | None:
    bounds = place.items()
    if len(bounds) != PERIOD_BOUNDS:
        place.refuse('two dates, the second one excluded, such as ["2026-01-01", "2026-02-01"]')
        return None
    start, end = (bound.taken(_moment) for bound in bounds)
    return place.attempt(lambda: Period(start, end)) if start and end else None


def _read_usage(place: Place, meters: Collection[str]) -> Usage | None:
    def usage() -> Usage:
        return Usage(
            place["meter"].name_among(meters, "meter with a price"),
            place["quantity"].number(not_negative),
            place["at"].taken(_moment) if place["at"].exists else None,
            {name: value.text() for name, value in place["dimensions"].entries()},
        )

    return place.build(usage, "meter", "quantity", "at", "dimensions")


def _moment(text: str) -> datetime:
    """Read an ISO date or time; a date is its midnight, and what names no offset is UTC."""
    rule = "an ISO date or time such as 2026-01-31 or 2026-01-31T12:00:00Z"
    if not _MOMENT.fullmatch(text):
        raise InvalidValueError("at", text, "is not a moment", rule)
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:  # 31 February, or a year that UTC does not reach
        raise InvalidValueError("at", text, "is not in the calendar", rule) from error
