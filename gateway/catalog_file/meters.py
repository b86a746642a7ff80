"""Meters as they are written, in a catalog and in a rating document alike."""

from collections.abc import Mapping

from billing_core.aggregation import (
    Aggregation,
    Average,
    Count,
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
from billing_core.catalog import Meter
from billing_core.money import plain_text, positive
from billing_core.names import one_of
from billing_core.periods import Interval
from gateway.catalog_file.models import Written
from gateway.catalog_file.nodes import Entries
from gateway.catalog_file.places import Place

_PLAIN: Mapping[str, Aggregation] = {
    plain.name: plain for plain in (Sum(), Count(), Average(), Max(), Min(), Latest(), WeightedSum(), ProratedSum())
}
_KEYS_OF_NAME = dict.fromkeys(_PLAIN, ()) | {
    UniqueCount.name: ("by",),
    Percentile.name: ("percent",),
    WindowedMax.name: ("window", "by"),
}


def read_meter(name: str, place: Place) -> Meter | None:
    """Read a meter."""

    def meter() -> Meter:
        return Meter(name, place["unit"].text(default="units"), _read_aggregation(place["aggregation"]))

    return place.build(meter, "unit", "aggregation")


def write_meter(meter: Meter) -> dict[str, Written]:
    """Write a meter; an aggregation without parameters is its bare name."""
    return {"unit": meter.unit, "aggregation": _write_aggregation(meter.aggregation)}


def _read_aggregation(place: Place) -> Aggregation:
    stated = place["name"] if isinstance(place.node, Entries) else place
    name = stated.glimpse()
    if not place.exists:
        return Sum()
    if name not in _KEYS_OF_NAME:
        stated.refuse(one_of(_KEYS_OF_NAME), stated.suggestion(name or "", _KEYS_OF_NAME))
    elif stated is place and name not in _PLAIN:
        keys = ", ".join(_KEYS_OF_NAME[name])
        place.refuse(f"a mapping of its name and {keys}, such as {{name: {name}, …}}")
    elif stated is place or place.has_only("name", *_KEYS_OF_NAME[name]):
        return _PLAIN.get(name) or place.make(lambda: _with_parameters(name, place)) or Sum()
    return Sum()


def _with_parameters(name: str, place: Place) -> Aggregation:
    match name:
        case UniqueCount.name:
            return UniqueCount(place["by"].name())
        case Percentile.name:
            return Percentile(place["percent"].number(positive))
        case WindowedMax.name:
            by = place["by"].name() if place["by"].exists else None
            return WindowedMax(place["window"].member(tuple(Interval)), by)
        case _:
            raise AssertionError(name)  # what has keys has a case


def _write_aggregation(aggregation: Aggregation) -> Written:
    written: dict[str, Written] = {"name": aggregation.name}
    match aggregation:
        case UniqueCount(by=by):
            return written | {"by": by}
        case Percentile(percent=percent):
            return written | {"percent": plain_text(percent)}
        case WindowedMax(window=window, by=by):
            return written | {"window": window.value} | ({} if by is None else {"by": by})
        case _:
            return aggregation.name
