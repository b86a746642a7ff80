"""Catalogs and their usage at random, each from a seed: every model, all terms, and now and then a value that is none.

Cheaper than hypothesis by two orders of magnitude, so that a million of them are a matter of minutes. What slips in is
what a caller could hand over by mistake: a float, a negative price, a moment without a zone.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from billing_core.aggregation import (
    Aggregation,
    Average,
    Count,
    Falling,
    Latest,
    Max,
    Min,
    Percentile,
    ProratedSum,
    Sum,
    UniqueCount,
    WeightedSum,
    WindowedMax,
)
from billing_core.catalog import BILLING_INTERVALS, Catalog, Fee, Meter, Plan
from billing_core.entitlements import Limit, MeteredFeature, Overage, Window
from billing_core.licences import SeatFee, Seats
from billing_core.money import Currency
from billing_core.periods import Interval, Period
from billing_core.prices.measured import Index
from billing_core.proration import ProrationBasis
from billing_core.rating import Billed, RatingRequest, Usage
from tests.core.random_prices import DIMENSIONS, Dice, meter_prices

SLIPPERY_SHARE = 0.25
"""How many of the requests may hold a value that is none; most of those have one."""

METERS = ("calls", "storage", "tokens")
CURRENCIES = tuple(map(Currency, ("USD", "EUR", "JPY", "KWD", "CLF")))
ZONES = (UTC, UTC, *map(ZoneInfo, ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")))
STARTS = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC), datetime(2024, 2, 10, 22, 30, tzinfo=UTC))
LENGTHS = (timedelta(days=31), timedelta(days=28), timedelta(days=1), timedelta(days=366), timedelta(hours=1))
AGGREGATIONS: tuple[Callable[[Dice], Aggregation], ...] = (
    lambda _: Sum(),
    lambda _: Count(),
    lambda _: Average(),
    lambda _: Max(),
    lambda _: Min(),
    lambda _: Latest(),
    lambda _: WeightedSum(),
    lambda _: ProratedSum(),
    lambda _: UniqueCount("model"),
    lambda dice: Percentile(dice.number(100, 1, above=1)),
    lambda dice: WindowedMax(dice.one_of((Interval.HOUR, Interval.DAY, Interval.MONTH)), dice.one_of((None, "region"))),
)


class Sold(NamedTuple):
    """A valid catalog, and a request to rate the usage of its one plan."""

    catalog: Catalog
    request: RatingRequest


def sold(seed: int) -> Sold:
    """Make the catalog and the request of a seed; what is not valid in them is refused while they are made."""
    random = Random(seed)  # noqa: S311 - a seed that can be named again, and no secret
    dice = Dice(random, slippery=random.random() < SLIPPERY_SHARE)
    meters = {name: _meter(dice, name) for name in METERS[: dice.whole(1, 3)]}
    features = {"use": MeteredFeature("use", dice.one_of(tuple(meters)))} if dice.sometimes(0.1) else {}
    plan = _plan(dice, meters, features)
    catalog = Catalog("shop", dice.one_of(CURRENCIES), meters, features, {plan.name: plan})
    return Sold(catalog, _request(dice, catalog))


def _meter(dice: Dice, name: str) -> Meter:
    # Most meters add up; the models that look at single uses, and counters, need one that does.
    make = dice.one_of(AGGREGATIONS) if dice.sometimes(0.4) else AGGREGATIONS[0]
    return Meter(name, dice.name("units"), make(dice))


def _plan(dice: Dice, meters: Mapping[str, Meter], features: Mapping[str, MeteredFeature]) -> Plan:
    interval = dice.one_of(BILLING_INTERVALS)
    every = (interval, interval, None, *dice.slip((Interval.HOUR,)))
    fees = [Fee(dice.name("Base"), dice.number(1000, 2), dice.one_of(every)) for _ in range(dice.whole(0, 2))]
    proration = dice.one_of((*ProrationBasis, None))
    limit = Limit(dice.whole(0, 1000), Window.DAY, Overage.ALLOW)
    entitlements = dict.fromkeys((*features, *dice.slip(("fly",))), limit)
    return Plan("plan", "Plan", interval, fees, meter_prices(dice, meters), entitlements, proration)


def _request(dice: Dice, catalog: Catalog) -> RatingRequest:
    plan = catalog.plans["plan"]
    start = dice.one_of(STARTS)
    period = Period(start, start + dice.one_of(LENGTHS))
    # The prices are those of the plan, and usage of a meter without one is left out by whoever asks.
    priced = sorted({meter for price in plan.prices for meter in price.meters})
    uses = dice.whole(0, 5) if priced else 0
    usage = [_usage(dice, catalog.meters[dice.one_of(priced)], period) for _ in range(uses)]
    days = dice.one_of(((0,), (0, 1), (-5, 3, 9)))
    index = Index([(start + timedelta(days=day), dice.number(10, 6)) for day in days])
    return RatingRequest(
        catalog.currency,
        period,
        plan.prices,
        plan.fees,
        usage,
        catalog.meters,
        {"spot": index},
        _billed(dice, [price.meter for price in plan.prices if price.meter], catalog.currency),
        dice.sometimes(0.7),
        dice.one_of(ZONES),
        _part(dice, period),
        plan.proration,
        _seats(dice, period),
    )


def _usage(dice: Dice, meter: Meter, period: Period) -> Usage:
    quantity = dice.number(*dice.one_of(((100, 0), (10**6, 3), (10**14, 0))))
    if isinstance(meter.aggregation, Falling) and dice.sometimes(0.3) and type(quantity) is Decimal:
        quantity = -quantity
    dimensions = {name: dice.one_of(values) for name, values in DIMENSIONS.items() if dice.sometimes(0.97)}
    at = None if dice.sometimes(0.02) else dice.moment(period)
    events = 1 if dice.sometimes(0.7) else dice.whole(1, 7)
    return Usage(meter.name, quantity, at, dimensions, events, dice.number(1000, 4))


def _billed(dice: Dice, priced: Sequence[str], currency: Currency) -> dict[str, Billed]:
    billable = [meter for meter in priced if priced.count(meter) == 1 or dice.sometimes(0.02)]
    if not billable or dice.sometimes(0.8):
        return {}
    quantity = Decimal(0) if dice.sometimes(0.5) else dice.number(1000, 1)
    amount = dice.number(1000, currency.minor_digits)
    return {dice.one_of(billable): Billed(quantity, amount, dice.whole(1, 3))}


def _part(dice: Dice, period: Period) -> Period | None:
    if dice.sometimes(0.7):
        return None
    first, last = sorted((dice.random.random(), dice.random.random()))
    length = period.end - period.start
    start, end = (period.start + timedelta(seconds=int(length.total_seconds() * part)) for part in (first, last))
    return Period(start, end + dice.one_of((timedelta(seconds=1), *dice.slip((timedelta(days=400), -length)))))


def _seats(dice: Dice, period: Period) -> list[SeatFee]:
    if dice.sometimes(0.75):
        return []
    levels = [Seats(dice.moment(period), dice.number(50, 0)) for _ in range(dice.whole(0, 3))]
    fee: dict[str, Any] = {"minimum": dice.number(5, 0)} if dice.sometimes(0.5) else {}
    return [SeatFee(dice.name("Seats"), dice.number(100, 2), levels, **fee)]
