"""The canonical form: one text for equal catalogs.

Decimals are quoted and without closing zeros, names are sorted, and what has its default is left out, so that a text
written before a field existed stays the text of the same plan.
"""

import json
from collections.abc import Mapping, Sequence
from typing import assert_never

from billing_core.catalog import Catalog, Fee, MeterPrice, Plan
from billing_core.entitlements import AddOn, Entitlement, Setting
from billing_core.money import plain_text
from billing_core.prices.terms import ChargeWhen
from billing_core.proration import ProrationBasis
from gateway.catalog_file.meters import write_meter
from gateway.catalog_file.models import write_model
from gateway.catalog_file.moments import write_proration
from gateway.catalog_file.terms import write_terms
from gateway.catalog_file.written_entitlements import Given, write_entitlement, write_feature


def write_catalog(catalog: Catalog) -> str:
    """Write a catalog as canonical JSON that `parse_catalog` reads back to an equal one."""
    add_ons = {name: _add_on(add_on) for name, add_on in sorted(catalog.add_ons.items())}
    return _text(
        {
            "product": catalog.product,
            "currency": catalog.currency.code,
            "meters": {name: write_meter(meter) for name, meter in sorted(catalog.meters.items())},
            "features": {name: write_feature(feature) for name, feature in sorted(catalog.features.items())},
            "plans": {name: _plan(plan) for name, plan in sorted(catalog.plans.items())},
            **({"add_ons": add_ons} if add_ons else {}),
        }
    )


def entitlement_text(entitlement: Entitlement) -> str:
    """Write what is given of a feature as canonical JSON that `parse_entitlement` reads back to an equal one."""
    return _text(write_entitlement(entitlement))


def _plan(plan: Plan) -> Given:
    by_second = plan.proration is ProrationBasis.SECOND
    return {
        "display_name": plan.display_name,
        "billing_interval": plan.billing_interval.value,
        "fees": [_fee(fee) for fee in plan.fees],
        "prices": [_price(price) for price in plan.prices],
        "entitlements": _entitlements(plan.entitlements),
        **({} if by_second else {"proration": write_proration(plan.proration)}),
        **({} if plan.trial_days is None else {"trial_days": plan.trial_days}),
        **({"grace_days": plan.grace_days} if plan.grace_days else {}),
    }


def _fee(fee: Fee) -> Given:
    when: dict[str, Given] = {"every": fee.every.value} if fee.every else {"once": True}
    if fee.charge_when is not ChargeWhen.ARREARS:
        when["charge_when"] = fee.charge_when.value
    if not fee.prorated:
        when["prorated"] = False
    return {"name": fee.name, "amount": plain_text(fee.amount), **when}


def _price(price: MeterPrice) -> Given:
    meter: dict[str, Given] = {} if price.meter is None else {"meter": price.meter}
    return meter | write_model(price.price) | write_terms(price.terms)


def _add_on(add_on: AddOn) -> Given:
    return {"display_name": add_on.display_name, "entitlements": _entitlements(add_on.entitlements)}


def _entitlements(entitlements: Mapping[str, Entitlement]) -> dict[str, Given]:
    return {name: write_entitlement(entry) for name, entry in sorted(entitlements.items())}


def _text(value: Given) -> str:
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
