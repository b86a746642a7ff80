"""Prices and fees, read alike in a plan and in a rating document."""

from collections.abc import Collection
from decimal import Decimal

from billing_core.catalog import Fee, MeterPrice
from billing_core.money import not_negative, positive, price_amount
from billing_core.names import one_of
from billing_core.periods import Interval
from billing_core.prices import Graduated, Package, PerUnit, Price, Tier, Volume
from gateway.catalog_file.places import Place, kept

_KEYS_OF_MODEL = {
    PerUnit.model: ("unit", "per"),
    Package.model: ("size", "amount", "free"),
    Graduated.model: ("tiers", "per", "flat_at_zero"),
    Volume.model: ("tiers", "per", "flat_at_zero"),
}


def read_prices(place: Place, meters: Collection[str] | None) -> tuple[MeterPrice, ...]:
    """Read a list of prices; where meters are given, each price must name one of them."""
    return kept(_read_price(item, meters) for item in place.items())


def read_fees(place: Place, intervals: Collection[Interval]) -> tuple[Fee, ...]:
    """Read a list of fees, each for every one of these intervals or once."""
    return kept(_read_fee(item, intervals) for item in place.items())


def _read_price(place: Place, meters: Collection[str] | None) -> MeterPrice | None:
    if not place.is_mapping():
        return None
    model = place["model"].name_among(_KEYS_OF_MODEL, "price model")
    if model not in _KEYS_OF_MODEL:
        return None  # which keys it may have, nobody knows

    price = place.build(lambda: _price(place, model), "meter", "model", *_KEYS_OF_MODEL[model])
    gaps_before = place.findings.gaps
    meter = place["meter"].name() if meters is None else place["meter"].name_among(meters, "meter")
    return None if price is None or place.findings.gaps > gaps_before else MeterPrice(meter, price)


def _price(place: Place, model: str) -> Price:
    match model:
        case PerUnit.model:
            return PerUnit(place["unit"].number(price_amount), _per(place))
        case Package.model:
            size = place["size"].number(positive)
            amount = place["amount"].number(price_amount)
            return Package(size, amount, place["free"].number(not_negative, default=Decimal(0)))
        case Graduated.model:
            return Graduated(_tiers(place), _per(place), place["flat_at_zero"].flag(default=True))
        case Volume.model:
            return Volume(_tiers(place), _per(place), place["flat_at_zero"].flag(default=True))
        case _:
            raise AssertionError(model)  # what has keys has a case


def _per(place: Place) -> Decimal:
    return place["per"].number(positive, default=Decimal(1))


def _tiers(place: Place) -> tuple[Tier, ...]:
    if not place["tiers"].exists:
        place["tiers"].refuse("a list of tiers, the last with up_to null")
    return kept(_read_tier(item) for item in place["tiers"].items())


def _read_tier(place: Place) -> Tier | None:
    def tier() -> Tier:
        if not place["unit"].exists and not place["flat"].exists:
            place["unit"].refuse("a unit price, a flat amount, or both")
        return Tier(
            None if place["up_to"].is_null() else place["up_to"].number(positive, expected="a number or null"),
            place["unit"].number(price_amount, default=Decimal(0)),
            place["flat"].number(price_amount, default=Decimal(0)),
        )

    return place.build(tier, "up_to", "unit", "flat")


def _read_fee(place: Place, intervals: Collection[Interval]) -> Fee | None:
    def fee() -> Fee:
        every = place["every"].member(intervals) if place["every"].exists else None
        once = place["once"].flag(default=False)
        if once and every:
            place.report("is charged both every interval and once; expected one of the two")
        if not once and not every:
            place["every"].refuse(f"{one_of(interval.value for interval in intervals)}, or once: true instead")
        return Fee(place["name"].text(), place["amount"].number(price_amount), every)

    return place.build(fee, "name", "amount", "every", "once")
