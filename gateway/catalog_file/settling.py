"""What a rating document says besides prices and usage: grants, coupons, commitments and tax.

    grants:       [{id, amount | units, meters, priority, cost_basis, recurs,
                    effective_at, expires_at, voided_at, created_at}]
    coupons:      [{id, percent | amount | units, meters}]
    commitments:  [{name, minimum, maximum, overage_factor, meters, period, active, charged_before}]
                  [{name, minimum | quantity, window, overage_factor, meters: [one]}]
    tax:          {mode: exclusive | inclusive, rounding: invoice | line, rates: [{name, percent, meters, fees}]}

A grant of `amount` is money: promotional without a `cost_basis`, and paid for with one. A grant of `units` covers uses
of its meters before they are priced. A rate that names meters or fees is theirs; the others are for all other lines.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import NamedTuple

from billing_core.commitments import Commitment
from billing_core.credits import PRIORITY_MAX, RECURRENCES, Grant
from billing_core.discounts import EVERYTHING, AmountOff, Coupon, OnMeters, PercentOff, UnitsOff, Value
from billing_core.money import Currency, Money, exact_decimal, not_negative, percentage, positive, price_amount
from billing_core.periods import Period
from billing_core.statement import CommitmentTerms, ScopedRate, WindowCommitment
from billing_core.statement.windows import WINDOWS
from billing_core.tax import USUAL_TERMS, TaxMode, TaxRate, TaxRounding, TaxTerms
from gateway.catalog_file.moments import read_bounds, read_moment
from gateway.catalog_file.places import Place, T, kept
from gateway.catalog_file.terms import optional_number

SETTLING_KEYS = ("grants", "coupons", "commitments", "tax")
TAX_NAME = "Tax"

_ONE = Decimal(1)


class Settling(NamedTuple):
    """All of it, as a statement's request takes it."""

    grants: tuple[Grant, ...]
    coupons: tuple[Coupon, ...]
    commitments: tuple[CommitmentTerms | WindowCommitment, ...]
    rates: tuple[ScopedRate, ...]
    tax: TaxTerms


@dataclass(frozen=True, slots=True)
class Scene:
    """What all of it refers to: the document's currency, time, priced meters, and fees."""

    currency: Currency
    period: Period
    zone: tzinfo
    meters: Collection[str]
    fees: Collection[str]


def read_settling(root: Place, scene: Scene) -> Settling:
    """Read the four sections; none of them must be there."""
    grants = _numbered(root["grants"], lambda place, number: _read_grant(place, number, scene))
    coupons = _numbered(root["coupons"], lambda place, number: _read_coupon(place, number, scene))
    commitments: tuple[CommitmentTerms | WindowCommitment, ...]
    commitments = _numbered(root["commitments"], lambda place, number: _read_commitment(place, number, scene))
    rates, terms = _read_tax(root["tax"], scene) if root["tax"].exists else ((), USUAL_TERMS)
    return Settling(grants, coupons, commitments, rates, terms)


def _numbered(place: Place, read: Callable[[Place, int], T | None]) -> tuple[T, ...]:
    return kept(read(item, number) for number, item in enumerate(place.items(), start=1))


def _read_grant(place: Place, number: int, scene: Scene) -> Grant | None:
    def moment(key: str, default: datetime | None = None) -> datetime | None:
        return read_moment(place[key], scene.zone) if place[key].exists else default

    def grant() -> Grant | None:
        kind = _one_of(place, ("amount", "units"))
        if kind is None:
            return None
        effective_at = moment("effective_at") or scene.period.start
        return Grant(
            place["id"].name() if place["id"].exists else f"grant-{number}",
            place[kind].number(not_negative),
            effective_at,
            moment("created_at") or effective_at,
            moment("expires_at"),
            _priority(place["priority"]),
            place["cost_basis"].number(price_amount, default=Decimal(0)),
            _meters(place, scene),
            scene.currency if kind == "amount" else None,
            place["recurs"].member(RECURRENCES) if place["recurs"].exists else None,
            voided_at=moment("voided_at"),
        )

    keys = ("priority", "effective_at", "expires_at", "voided_at", "created_at", "cost_basis", "recurs")
    return place.build(grant, "id", "amount", "units", "meters", *keys)


def _read_coupon(place: Place, number: int, scene: Scene) -> Coupon | None:
    def value(kind: str) -> Value:
        match kind:
            case "percent":
                return PercentOff(place[kind].number(percentage))
            case "amount":
                return AmountOff(Money(place[kind].number(positive), scene.currency))
            case _:
                return UnitsOff(place[kind].number(positive))

    def coupon() -> Coupon | None:
        kind = _one_of(place, ("percent", "amount", "units"))
        meters = _meters(place, scene)
        if kind == "units" and meters is None:
            place["meters"].refuse("the meters whose units are taken off")
        if kind is None or (kind == "units" and meters is None):
            return None
        name = place["id"].name() if place["id"].exists else f"coupon-{number}"
        return Coupon(name, value(kind), EVERYTHING if meters is None else OnMeters(meters))

    return place.build(coupon, "id", "percent", "amount", "units", "meters")


def _read_commitment(place: Place, number: int, scene: Scene) -> CommitmentTerms | WindowCommitment | None:
    name = f"Commitment {number}"

    def of_windows() -> WindowCommitment | None:
        meters = sorted(_meters(place, scene) or ())
        if len(meters) != 1:
            place["meters"].refuse("one meter, for each window is priced by itself")
            return None
        return WindowCommitment(
            place["name"].text(default=name),
            meters[0],
            place["window"].member(tuple(WINDOWS)),
            optional_number(place["quantity"], positive),
            optional_number(place["minimum"], price_amount),
            place["overage_factor"].number(price_amount, default=_ONE),
        )

    def of_a_stretch() -> CommitmentTerms | None:
        if not place["minimum"].exists and not place["maximum"].exists:
            place["minimum"].refuse("an amount to be charged at least, or a maximum")
            return None
        commitment = Commitment(
            place["name"].text(default=name),
            place["minimum"].number(price_amount, default=Decimal(0)),
            optional_number(place["maximum"], price_amount),
            place["overage_factor"].number(price_amount, default=_ONE),
            _meters(place, scene),
        )
        period = read_bounds(place["period"], scene.zone) if place["period"].exists else None
        active = read_bounds(place["active"], scene.zone) if place["active"].exists else None
        return CommitmentTerms(commitment, period, active, optional_number(place["charged_before"], exact_decimal))

    both = ("name", "minimum", "overage_factor", "meters")
    if place["window"].exists or place["quantity"].exists:
        return place.build(of_windows, *both, "window", "quantity")
    return place.build(of_a_stretch, *both, "maximum", "period", "active", "charged_before")


def _read_tax(place: Place, scene: Scene) -> tuple[tuple[ScopedRate, ...], TaxTerms]:
    def terms() -> TaxTerms:
        mode = place["mode"].member(tuple(TaxMode), default=TaxMode.EXCLUSIVE)
        return TaxTerms(mode, place["rounding"].member(tuple(TaxRounding), default=TaxRounding.INVOICE))

    def rate(item: Place) -> ScopedRate | None:
        def scoped() -> ScopedRate:
            named = TaxRate(item["name"].text(default=TAX_NAME), item["percent"].number(percentage))
            fees = frozenset(fee.name_among(scene.fees, "fee") for fee in item["fees"].items())
            return ScopedRate(named, _meters(item, scene) or frozenset(), fees)

        return item.build(scoped, "name", "percent", "meters", "fees")

    read = place.build(terms, "mode", "rounding", "rates") or USUAL_TERMS
    if not place["rates"].items():
        place["rates"].refuse("a list of at least one rate")
    return kept(rate(item) for item in place["rates"].items()), read


def _one_of(place: Place, kinds: tuple[str, ...]) -> str | None:
    given = [kind for kind in kinds if place[kind].exists]
    if len(given) != 1:
        place.refuse(f"a mapping with one of {', '.join(kinds)}")
    return given[0] if len(given) == 1 else None


def _meters(place: Place, scene: Scene) -> frozenset[str] | None:
    """Read the meters of a scope, each with a price of its own; none is no scope."""
    if not place["meters"].exists:
        return None
    return frozenset(item.name_among(scene.meters, "meter with a price of its own") for item in place["meters"].items())


def _priority(place: Place) -> int:
    rule = f"a whole number from 0, which burns first, to {PRIORITY_MAX}"
    return place.whole_number(range(PRIORITY_MAX + 1), rule) if place.exists else 0
