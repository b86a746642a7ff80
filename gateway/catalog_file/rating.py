"""The rating document of `tollkeeper rate`: all that one period's statement depends on, without any store."""

from collections.abc import Collection
from datetime import datetime, tzinfo
from decimal import Decimal

from billing_core.aggregation import Falling
from billing_core.catalog import BILLING_INTERVALS
from billing_core.licences import SeatFee, Seats
from billing_core.money import Currency, exact_decimal, not_negative, price_amount
from billing_core.periods import EPOCH, Interval, calendar_period
from billing_core.quantities import EVENTS_MAX
from billing_core.rating import Billed, Index, RatingRequest, Usage
from billing_core.statement import StatementRequest
from gateway.catalog_file.entitlements import present
from gateway.catalog_file.meters import read_meter
from gateway.catalog_file.moments import read_bounds, read_moment, read_proration, read_zone
from gateway.catalog_file.nodes import read_document
from gateway.catalog_file.places import Place, kept
from gateway.catalog_file.prices import meters_mentioned, read_fees, read_prices
from gateway.catalog_file.problems import CatalogError, Findings
from gateway.catalog_file.settling import SETTLING_KEYS, Scene, read_settling
from gateway.catalog_file.terms import optional_number

POINT_PARTS = 2
SEATS_NAME = "Seats"

_KEYS = (
    "currency",
    "period",
    "prices",
    "fees",
    "usage",
    "meters",
    "indexes",
    "billed",
    "final",
    "timezone",
    "active",
    "proration",
    "seats",
    *SETTLING_KEYS,
)


def parse_rating(text: str) -> StatementRequest:
    """Read a rating document from YAML or JSON; CatalogError has every problem of it."""
    findings = Findings()
    root = Place(None, 1, read_document(text, findings), findings)
    request = root.build(lambda: _request(root), *_KEYS)
    if request is None or findings.problems:
        raise CatalogError(findings.problems)
    return request


def _request(root: Place) -> StatementRequest:
    currency = root["currency"].taken(Currency) or Currency("USD")
    zone = read_zone(root["timezone"])
    period = read_bounds(root["period"], zone) or calendar_period(Interval.YEAR, EPOCH)
    prices = read_prices(root["prices"], None)
    fees = read_fees(root["fees"], BILLING_INTERVALS)
    # A price that could not be read keeps its meter, so that usage of it is no second problem.
    priced = meters_mentioned(root["prices"])
    meters = {name: read_meter(name, place) for name, place in root["meters"].entries()}
    falling = {name for name, meter in present(meters).items() if isinstance(meter.aggregation, Falling)}
    usage = kept(_read_usage(item, priced, falling, zone) for item in root["usage"].items())
    indexes = {name: _read_index(place, zone) for name, place in root["indexes"].entries()}
    billed = {name: _read_billed(place) for name, place in root["billed"].entries()}
    final = root["final"].flag(default=True)
    active = read_bounds(root["active"], zone) if root["active"].exists else None
    proration = read_proration(root["proration"])
    seats = kept(_read_seats(item, zone) for item in root["seats"].items())
    own = {place["meter"].glimpse() or "" for place in root["prices"].items()} - {""}
    named = {place["name"].glimpse() or SEATS_NAME for key in ("fees", "seats") for place in root[key].items()}
    settling = read_settling(root, Scene(currency, period, zone, own, named))
    rating = RatingRequest(
        currency,
        period,
        prices,
        fees,
        usage,
        present(meters),
        present(indexes),
        present(billed),
        final,
        zone,
        active,
        proration,
        seats,
    )
    return StatementRequest(rating, *settling)


def _read_usage(place: Place, meters: Collection[str], falling: Collection[str], zone: tzinfo) -> Usage | None:
    def usage() -> Usage:
        return Usage(
            place["meter"].name_among(meters, "meter with a price"),
            place["quantity"].number(exact_decimal if place["meter"].glimpse() in falling else not_negative),
            read_moment(place["at"], zone) if place["at"].exists else None,
            {name: value.text() for name, value in place["dimensions"].entries()},
            _events(place["events"]),
            optional_number(place["amount"], not_negative),
        )

    return place.build(usage, "meter", "quantity", "at", "dimensions", "events", "amount")


def _read_index(place: Place, zone: tzinfo) -> Index | None:
    def point(item: Place) -> tuple[datetime, Decimal] | None:
        parts = item.items()
        if len(parts) != POINT_PARTS:
            item.refuse('a moment and its price, such as ["2026-01-01", "0.12"]')
            return None
        at, price = read_moment(parts[0], zone), parts[1].number(price_amount)
        return None if at is None else (at, price)

    return place.make(lambda: Index(kept(point(item) for item in place.items())))


def _read_seats(place: Place, zone: tzinfo) -> SeatFee | None:
    def level(item: Place) -> Seats | None:
        parts = item.items()
        if len(parts) != POINT_PARTS:
            item.refuse('a moment and the seats from then on, such as ["2026-01-01", 10]')
            return None
        at, seats = read_moment(parts[0], zone), parts[1].number(not_negative)
        return None if at is None else Seats(at, seats)

    def fee() -> SeatFee:
        return SeatFee(
            place["name"].text(default=SEATS_NAME),
            place["unit"].number(price_amount),
            kept(level(item) for item in place["levels"].items()),
            place["minimum"].number(not_negative, default=Decimal(0)),
        )

    return place.build(fee, "name", "unit", "levels", "minimum")


def _read_billed(place: Place) -> Billed | None:
    def billed() -> Billed:
        return Billed(
            place["quantity"].number(not_negative), place["amount"].number(exact_decimal), _events(place["events"])
        )

    return place.build(billed, "quantity", "amount", "events")


def _events(place: Place) -> int:
    return place.whole_number(range(1, EVENTS_MAX + 1), f"a whole number from 1 to {EVENTS_MAX}") if place.exists else 1
