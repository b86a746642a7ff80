"""Prices and fees, read alike in a plan and in a rating document."""

from collections.abc import Callable, Collection
from decimal import Decimal

from billing_core.catalog import Fee, MeterPrice
from billing_core.money import not_negative, percentage, positive, price_amount
from billing_core.names import one_of
from billing_core.periods import Interval
from billing_core.prices import (
    Capacity,
    CapacityTier,
    Cell,
    Dynamic,
    Graduated,
    GraduatedPercentage,
    Matrix,
    Package,
    Percentage,
    PercentTier,
    PerUnit,
    Prepaid,
    Price,
    Stair,
    Stairstep,
    Tier,
    Volume,
    VolumePercentage,
)
from billing_core.prices.by_quantity import QuantityPrice
from billing_core.prices.percentage import FREE_EVENTS_MAX
from billing_core.prices.terms import ChargeWhen, PercentOff
from gateway.catalog_file.nodes import Entries
from gateway.catalog_file.places import Place, T, kept
from gateway.catalog_file.terms import TERMS_KEYS, optional_number, read_discount, read_terms

ZERO = Decimal(0)

_KEYS_BY_QUANTITY = {
    PerUnit.model: ("unit", "per"),
    Package.model: ("size", "amount", "free"),
    Graduated.model: ("tiers", "per", "flat_at_zero"),
    Volume.model: ("tiers", "per", "flat_at_zero"),
    Stairstep.model: ("tiers", "flat_at_zero"),
    GraduatedPercentage.model: ("tiers", "flat_at_zero"),
    VolumePercentage.model: ("tiers", "flat_at_zero"),
}
_KEYS_OF_MODEL = _KEYS_BY_QUANTITY | {
    Percentage.model: ("rate", "fixed", "free_events", "free_amount", "min_per_event", "max_per_event"),
    Matrix.model: ("dimensions", "cells", "default"),
    Dynamic.model: ("index", "markup", "floor", "cap"),
    Prepaid.model: ("block", "blocks", "amount", "discount", "overage"),
    Capacity.model: ("tiers",),
}


def read_prices(place: Place, meters: Collection[str] | None) -> tuple[MeterPrice, ...]:
    """Read a list of prices; where meters are given, each price must name one of them."""
    return kept(_read_price(item, meters) for item in place.items())


def read_fees(place: Place, intervals: Collection[Interval]) -> tuple[Fee, ...]:
    """Read a list of fees, each for every one of these intervals or once."""
    return kept(_read_fee(item, intervals) for item in place.items())


def meters_mentioned(place: Place) -> set[str]:
    """Collect the meters of a list of prices, of those too that could not be read."""
    found = {meter for item in place.items() if (meter := item["meter"].glimpse()) is not None}
    for item in place.items():
        if item["model"].glimpse() == Capacity.model:
            found |= {meter for tier in item["tiers"].items() for meter, _ in tier["limits"].entries()}
    return found


def _read_price(place: Place, meters: Collection[str] | None) -> MeterPrice | None:
    model = _read_model(place, _KEYS_OF_MODEL)
    if model is None:
        return None
    has_meter = model != Capacity.model
    place.has_only(*(("meter",) if has_meter else ()), "model", *_KEYS_OF_MODEL[model], *TERMS_KEYS)
    price = place.make(lambda: _price(place, model, meters))
    terms = place.make(lambda: read_terms(place, with_discount=model != Prepaid.model))
    gaps_before = place.findings.gaps
    meter = _read_meter(place["meter"], meters) if has_meter else None
    if price is None or terms is None or place.findings.gaps > gaps_before:
        return None
    return place.make(lambda: MeterPrice(meter, price, terms))


def _read_model(place: Place, models: Collection[str]) -> str | None:
    if not place.is_mapping():
        return None
    model = place["model"].name_among(models, "price model")
    return model if model in models else None  # which keys another may have, nobody knows


def _read_meter(place: Place, meters: Collection[str] | None) -> str:
    return place.name() if meters is None else place.name_among(meters, "meter")


def _price(place: Place, model: str, meters: Collection[str] | None) -> Price:
    match model:
        case Percentage.model:
            return Percentage(
                place["rate"].number(percentage),
                place["fixed"].number(price_amount, default=ZERO),
                _events(place["free_events"]),
                place["free_amount"].number(not_negative, default=ZERO),
                optional_number(place["min_per_event"], price_amount),
                optional_number(place["max_per_event"], price_amount),
            )
        case Matrix.model:
            dimensions = _listed(place["dimensions"], lambda item: item.text(), "a list of dimensions")
            cells = _listed(place["cells"], _read_cell, "a list of cells")
            return Matrix(dimensions, cells, optional_number(place["default"], price_amount))
        case Dynamic.model:
            return Dynamic(
                place["index"].name() if place["index"].exists else None,
                place["markup"].number(not_negative, default=Decimal(1)),
                optional_number(place["floor"], price_amount),
                optional_number(place["cap"], price_amount),
            )
        case Prepaid.model:
            return _prepaid(place)
        case Capacity.model:
            return Capacity(_listed(place["tiers"], lambda item: _read_capacity_tier(item, meters), "a list of tiers"))
        case _:
            return _price_by_quantity(place, model)


def _price_by_quantity(place: Place, model: str) -> QuantityPrice:
    flat_at_zero = place["flat_at_zero"].flag(default=model != Stairstep.model)
    match model:
        case PerUnit.model:
            return PerUnit(place["unit"].number(price_amount), _per(place))
        case Package.model:
            size = place["size"].number(positive)
            amount = place["amount"].number(price_amount)
            return Package(size, amount, place["free"].number(not_negative, default=ZERO))
        case Graduated.model | Volume.model:
            by_unit = Graduated if model == Graduated.model else Volume
            return by_unit(_tiers(place, _tier), _per(place), flat_at_zero)
        case Stairstep.model:
            return Stairstep(_tiers(place, _stair), flat_at_zero)
        case GraduatedPercentage.model | VolumePercentage.model:
            by_percent = GraduatedPercentage if model == GraduatedPercentage.model else VolumePercentage
            return by_percent(_tiers(place, _percent_tier), flat_at_zero)
        case _:
            raise AssertionError(model)  # what has keys has a case


def _prepaid(place: Place) -> Prepaid:
    overage = place["overage"]
    model = _read_model(overage, _KEYS_BY_QUANTITY)
    above = model and overage.build(lambda: _price_by_quantity(overage, model), "model", *_KEYS_BY_QUANTITY[model])
    # The price's own discount is in percent and so may be a bare number; elsewhere a mapping says of what it is.
    discount = place["discount"]
    off = read_discount(discount, ("percent",)) if isinstance(discount.node, Entries) else None
    return Prepaid(
        place["block"].number(positive),
        place["blocks"].number(not_negative),
        place["amount"].number(price_amount),
        above or PerUnit(ZERO),
        off.percent if isinstance(off, PercentOff) else discount.number(percentage, default=ZERO),
    )


def _per(place: Place) -> Decimal:
    return place["per"].number(positive, default=Decimal(1))


def _events(place: Place) -> int:
    return place.whole_number(range(FREE_EVENTS_MAX + 1), "a whole number of events") if place.exists else 0


def _listed(place: Place, read: Callable[[Place], T | None], expected: str) -> tuple[T, ...]:
    if not place.exists:
        place.refuse(expected)
    return kept(read(item) for item in place.items())


def _tiers(place: Place, read: Callable[[Place], T]) -> tuple[T, ...]:
    """Read tiers of one kind; `read` says which by the keys it looks up."""
    keys = _KEYS_OF_TIER[read]
    return _listed(
        place["tiers"],
        lambda item: item.build(lambda: read(item), "up_to", *keys),
        "a list of tiers, the last with up_to null",
    )


def _bound(tier: Place) -> Decimal | None:
    return None if tier["up_to"].is_null() else tier["up_to"].number(positive, expected="a number or null")


def _tier(tier: Place) -> Tier:
    if not tier["unit"].exists and not tier["flat"].exists:
        tier["unit"].refuse("a unit price, a flat amount, or both")
    return Tier(
        _bound(tier),
        tier["unit"].number(price_amount, default=ZERO),
        tier["flat"].number(price_amount, default=ZERO),
        optional_number(tier["size"], positive),
    )


def _percent_tier(tier: Place) -> PercentTier:
    if not tier["rate"].exists and not tier["flat"].exists:
        tier["rate"].refuse("a rate in percent, a flat amount, or both")
    rate = tier["rate"].number(percentage, default=ZERO)
    return PercentTier(_bound(tier), rate, tier["flat"].number(price_amount, default=ZERO))


def _stair(tier: Place) -> Stair:
    return Stair(_bound(tier), tier["amount"].number(price_amount))


_KEYS_OF_TIER: dict[Callable[[Place], object], tuple[str, ...]] = {
    _tier: ("unit", "flat", "size"),
    _percent_tier: ("rate", "flat"),
    _stair: ("amount",),
}


def _read_cell(place: Place) -> Cell | None:
    return place.build(
        lambda: Cell(
            {name: value.text() for name, value in place["match"].entries()}, place["unit"].number(price_amount)
        ),
        "match",
        "unit",
    )


def _read_capacity_tier(place: Place, meters: Collection[str] | None) -> CapacityTier | None:
    def tier() -> CapacityTier:
        limits = {name: entry.number(not_negative) for name, entry in place["limits"].entries()}
        for name in limits:
            if meters is not None and name not in meters:
                place["limits"][name].refuse_name(name, meters, "meter")
        return CapacityTier(limits, place["amount"].number(price_amount))

    return place.build(tier, "limits", "amount")


def _read_fee(place: Place, intervals: Collection[Interval]) -> Fee | None:
    def fee() -> Fee:
        every = place["every"].member(intervals) if place["every"].exists else None
        once = place["once"].flag(default=False)
        if once and every:
            place.report("is charged both every interval and once; expected one of the two")
        if not once and not every:
            place["every"].refuse(f"{one_of(interval.value for interval in intervals)}, or once: true instead")
        return Fee(
            place["name"].text(),
            place["amount"].number(price_amount),
            every,
            place["charge_when"].member(tuple(ChargeWhen), default=ChargeWhen.ARREARS),
            place["prorated"].flag(default=True),
        )

    return place.build(fee, "name", "amount", "every", "once", "charge_when", "prorated")
