"""What a price may have besides its model, read and written."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import assert_never

from billing_core.money import not_negative, percentage, plain_text, positive, price_amount
from billing_core.prices import Terms
from billing_core.prices.terms import (
    AmountOff,
    ChargeWhen,
    Conversion,
    Discount,
    PercentOff,
    UnitRounding,
    UnitsOff,
)
from gateway.catalog_file.models import Written
from gateway.catalog_file.nodes import Items
from gateway.catalog_file.places import Place

TERMS_KEYS = ("included", "minimum", "maximum", "discount", "convert", "filter", "charge_when")

_DISCOUNTS: Mapping[str, tuple[Callable[[Decimal], Discount], Callable[[str, object], Decimal]]] = {
    "percent": (PercentOff, percentage),
    "amount": (AmountOff, price_amount),
    "units": (UnitsOff, not_negative),
}


def read_terms(place: Place, *, with_discount: bool) -> Terms:
    """Read what stands around a model; where the model has a discount of its own, there is no other."""
    return Terms(
        place["included"].number(not_negative, default=Decimal(0)),
        optional_number(place["minimum"], price_amount),
        optional_number(place["maximum"], price_amount),
        read_discount(place["discount"], tuple(_DISCOUNTS)) if with_discount and place["discount"].exists else None,
        _read_conversion(place["convert"]) if place["convert"].exists else None,
        {name: _values(entry) for name, entry in place["filter"].entries()},
        place["charge_when"].member(tuple(ChargeWhen), default=ChargeWhen.ARREARS),
    )


def optional_number(place: Place, check: Callable[[str, object], Decimal]) -> Decimal | None:
    """Read a number that may be left out."""
    return place.number(check) if place.exists else None


def read_discount(place: Place, kinds: tuple[str, ...]) -> Discount | None:
    """Read a discount of one of these kinds."""

    def discount() -> Discount | None:
        given = [kind for kind in kinds if place[kind].exists]
        if len(given) != 1:
            place.refuse(f"a mapping with one of {', '.join(kinds)}")
            return None
        make, check = _DISCOUNTS[given[0]]
        return make(place[given[0]].number(check))

    return place.build(discount, *kinds)


def write_terms(terms: Terms) -> dict[str, Written]:
    """Write what is not the default."""
    written: dict[str, Written] = {}
    for name in ("included", "minimum", "maximum"):
        number: Decimal | None = getattr(terms, name)
        written |= {name: plain_text(number)} if number or (number is not None and name != "included") else {}
    written |= {"discount": _write_discount(terms.discount)} if terms.discount is not None else {}
    written |= {"convert": _write_conversion(terms.convert)} if terms.convert is not None else {}
    values = {name: values[0] if len(values) == 1 else values for name, values in sorted(terms.filter.items())}
    written |= {"filter": values} if values else {}
    when = terms.charge_when
    return written | ({} if when is ChargeWhen.ARREARS else {"charge_when": when.value})


def _read_conversion(place: Place) -> Conversion | None:
    def conversion() -> Conversion:
        return Conversion(
            optional_number(place["divide"], positive),
            optional_number(place["multiply"], positive),
            place["rounding"].member(tuple(UnitRounding), default=UnitRounding.NONE),
        )

    return place.build(conversion, "divide", "multiply", "rounding")


def _values(place: Place) -> tuple[str, ...]:
    return tuple(item.text() for item in place.items()) if isinstance(place.node, Items) else (place.text(),)


def _write_discount(discount: Discount) -> dict[str, str]:
    match discount:
        case PercentOff(percent=number):
            return {"percent": plain_text(number)}
        case AmountOff(amount=number):
            return {"amount": plain_text(number)}
        case UnitsOff(units=number):
            return {"units": plain_text(number)}
        case _:
            assert_never(discount)


def _write_conversion(conversion: Conversion) -> dict[str, str]:
    written = {
        name: plain_text(number)
        for name, number in (("divide", conversion.divide), ("multiply", conversion.multiply))
        if number is not None
    }
    rounding = conversion.rounding
    return written | ({} if rounding is UnitRounding.NONE else {"rounding": rounding.value})
