"""The canonical form: one text for equal catalogs.

Decimals are quoted and without closing zeros, names are sorted, and what has its default is left out, so that a text
written before a field existed stays the text of the same plan.
"""

import json
from collections.abc import Mapping, Sequence
from typing import assert_never

from billing_core.catalog import Catalog, Fee, MeterPrice, Plan
from billing_core.entitlements import Entitlement, Feature, Limit, MeteredFeature, Overage, Setting, Switch
from billing_core.money import plain_text
from billing_core.prices.terms import ChargeWhen
from billing_core.proration import ProrationBasis
from gateway.catalog_file.meters import write_meter
from gateway.catalog_file.models import write_model
from gateway.catalog_file.moments import write_proration
from gateway.catalog_file.terms import write_terms

_Json = str | int | bool | Setting | Sequence["_Json"] | Mapping[str, "_Json"] | None


def write_catalog(catalog: Catalog) -> str:
    """Write a catalog as canonical JSON that `parse_catalog` reads back to an equal one."""
    return _text(
        {
            "product": catalog.product,
            "currency": catalog.currency.code,
            "meters": {name: write_meter(meter) for name, meter in sorted(catalog.meters.items())},
            "features": {name: _feature(feature) for name, feature in sorted(catalog.features.items())},
            "plans": {name: _plan(plan) for name, plan in sorted(catalog.plans.items())},
        }
    )


def _feature(feature: Feature) -> _Json:
    meter = {"meter": feature.meter} if isinstance(feature, MeteredFeature) else {}
    return {"type": feature.type, **meter}


def _plan(plan: Plan) -> _Json:
    by_second = plan.proration is ProrationBasis.SECOND
    return {
        "display_name": plan.display_name,
        "billing_interval": plan.billing_interval.value,
        "fees": [_fee(fee) for fee in plan.fees],
        "prices": [_price(price) for price in plan.prices],
        "entitlements": {name: _entitlement(entry) for name, entry in sorted(plan.entitlements.items())},
        **({} if by_second else {"proration": write_proration(plan.proration)}),
    }


def _fee(fee: Fee) -> _Json:
    when: dict[str, _Json] = {"every": fee.every.value} if fee.every else {"once": True}
    if fee.charge_when is not ChargeWhen.ARREARS:
        when["charge_when"] = fee.charge_when.value
    if not fee.prorated:
        when["prorated"] = False
    return {"name": fee.name, "amount": plain_text(fee.amount), **when}


def _price(price: MeterPrice) -> _Json:
    meter: dict[str, _Json] = {} if price.meter is None else {"meter": price.meter}
    return meter | write_model(price.price) | write_terms(price.terms)


def _entitlement(entitlement: Entitlement) -> _Json:
    match entitlement:
        case Switch(on=on):
            return on
        case Setting():
            return entitlement
        case Limit():
            written: dict[str, _Json] = {
                "limit": "unlimited" if entitlement.ceiling is None else entitlement.ceiling,
                "window": entitlement.window.value,
            }
            written |= {} if entitlement.overage is Overage.DENY else {"overage": entitlement.overage.value}
            return written | ({"thresholds": entitlement.thresholds} if entitlement.thresholds else {})
        case _:
            assert_never(entitlement)


def _text(value: _Json) -> str:
    match value:
        case Setting(json_text=text):
            return text  # it is JSON already, with numbers that no other reader may touch
        case str() | int() | None:
            return json.dumps(value, ensure_ascii=False)
        case Mapping():
            return f"{{{', '.join(f'{json.dumps(key)}: {_text(entry)}' for key, entry in value.items())}}}"
        case Sequence():
            return f"[{', '.join(_text(entry) for entry in value)}]"
        case _:
            assert_never(value)
