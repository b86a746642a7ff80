"""The price models as they are written; `prices` reads them."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import assert_never

from billing_core.money import plain_text
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

Written = str | int | bool | Sequence["Written"] | Mapping[str, "Written"] | None


def write_model(price: Price) -> dict[str, Written]:
    """Write a model and its fields, without those that have their default."""
    written: dict[str, Written] = {"model": price.model}
    match price:
        case PerUnit():
            written |= _given(unit=price.unit) | _unless(1, per=price.per)
        case Package():
            written |= _given(size=price.size, amount=price.amount) | _unless(0, free=price.free)
        case Graduated() | Volume():
            written |= _tiers(price, default=True) | _unless(1, per=price.per)
        case GraduatedPercentage() | VolumePercentage() | Stairstep():
            written |= _tiers(price, default=not isinstance(price, Stairstep))
        case Percentage():
            written |= _given(rate=price.rate) | _unless(0, fixed=price.fixed)
            written |= _unless(0, free_events=Decimal(price.free_events), free_amount=price.free_amount)
            written |= _given(min_per_event=price.min_per_event, max_per_event=price.max_per_event)
        case Matrix():
            written |= {"dimensions": price.dimensions, "cells": [_cell(cell) for cell in price.cells]}
            written |= _given(default=price.default)
        case Dynamic():
            written |= {} if price.index is None else {"index": price.index}
            written |= _unless(1, markup=price.markup) | _given(floor=price.floor, cap=price.cap)
        case Prepaid():
            written |= _given(block=price.block, blocks=price.blocks, amount=price.amount)
            written |= _unless(0, discount=price.discount) | {"overage": write_model(price.overage)}
        case Capacity():
            written |= {"tiers": [_capacity_tier(tier) for tier in price.tiers]}
        case _:
            assert_never(price)
    return written


def _tiers(
    price: Graduated | Volume | GraduatedPercentage | VolumePercentage | Stairstep, *, default: bool
) -> dict[str, Written]:
    tiers: tuple[Tier | PercentTier | Stair, ...] = price.tiers
    flat_at_zero = price.flat_at_zero
    return {"tiers": [_tier(tier) for tier in tiers]} | (
        {} if flat_at_zero is default else {"flat_at_zero": flat_at_zero}
    )


def _tier(tier: Tier | PercentTier | Stair) -> Written:
    up_to = None if tier.up_to is None else plain_text(tier.up_to)
    match tier:
        case Tier():
            flat = _unless(0, flat=tier.flat)
            return {"up_to": up_to, "unit": plain_text(tier.unit)} | flat | _given(size=tier.size)
        case PercentTier():
            return {"up_to": up_to, "rate": plain_text(tier.rate)} | _unless(0, flat=tier.flat)
        case Stair():
            return {"up_to": up_to, "amount": plain_text(tier.amount)}
        case _:
            assert_never(tier)


def _cell(cell: Cell) -> Written:
    return {"match": dict(sorted(cell.match.items())), "unit": plain_text(cell.unit)}


def _capacity_tier(tier: CapacityTier) -> Written:
    limits = {meter: plain_text(limit) for meter, limit in sorted(tier.limits.items())}
    return {"limits": limits, "amount": plain_text(tier.amount)}


def _given(**numbers: Decimal | None) -> dict[str, Written]:
    return {key: plain_text(number) for key, number in numbers.items() if number is not None}


def _unless(default: int, **numbers: Decimal) -> dict[str, Written]:
    return {key: plain_text(number) for key, number in numbers.items() if number != default}
