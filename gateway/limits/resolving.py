"""What a customer is entitled to at a moment, why nothing, and until when that answer holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.documents import Counted, Missing, Rate, Rated, Status, When
from gateway.limits.adding import Added, with_added
from gateway.limits.burning import allowances, live, pooled
from gateway.limits.compiling import compiled
from gateway.limits.kinds import Absent, Metered, Suspended, TrialOver
from gateway.windows import FOREVER_MS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.documents import Feature, Given, Particulars, PlanDocument
    from gateway.limits.kinds import Entitlement, Member
    from gateway.windows import Calendar, Timeline

_USUAL: Final = When()
_NO_ADD_ONS: Final[Mapping[str, Given]] = {}


class Resolved(NamedTuple):
    """An entitlement, and the moment in ms since 1970 from which on it may be another."""

    entitlement: Entitlement
    until_ms: int


@dataclass(frozen=True, slots=True)
class Offer:
    """What a plan gives of a feature, and what may be added; shared by all who are on the plan."""

    name: str
    feature: Feature
    plain: Resolved
    """What a customer has that has nothing of its own."""
    meter: str | None
    when: When
    grace_ms: int
    add_ons: Mapping[str, Given]


def offers_of(document: PlanDocument) -> dict[str, Offer]:
    """Compile every feature of a plan's document."""
    add_ons: dict[str, dict[str, Given]] = {}
    for add_on, entitlements in sorted(document.add_ons.items()):
        for name, given in entitlements.items():
            add_ons.setdefault(name, {})[add_on] = given
    offers = {}
    for name, said in document.features.items():
        feature = _as_rate(said)
        plain = Resolved(compiled(name, with_added(feature, (), 0)), FOREVER_MS)
        meter = feature.meter if isinstance(feature, Counted | Missing) else None
        when = document.when.get(name, _USUAL)
        offers[name] = Offer(name, feature, plain, meter, when, document.grace_ms, add_ons.get(name, _NO_ADD_ONS))
    return offers


def entitlement_of(
    offer: Offer, customer: Particulars | None, calendar: Calendar, timeline: Timeline, now_ms: int
) -> Resolved:
    """Resolve an offer for a customer, in this order: a later rule never gives what an earlier one refused.

    1. A status refuses, unless the feature's policy or grace allows it. 2. A trial that has ended refuses. 3. A live
    override stands in the plan's place. 4. Add-ons, a licence count and live grants are put to that.
    """
    if customer is None:
        return offer.plain
    allowed, until_ms = _by_status(offer, customer, now_ms)
    if not allowed:
        return Resolved(Suspended(), until_ms)
    if customer.trial_ends_ms is not None:
        if now_ms >= customer.trial_ends_ms:
            return Resolved(TrialOver(), FOREVER_MS)
        until_ms = min(until_ms, customer.trial_ends_ms)
    entitlement, holds_ms = _given(offer, customer, calendar, timeline, now_ms)
    return Resolved(entitlement, min(until_ms, holds_ms))


def _by_status(offer: Offer, customer: Particulars, now_ms: int) -> tuple[bool, int]:
    """Tell whether the subscription's status allows the feature, and until when it does or does not."""
    match customer.status:
        case Status.ACTIVE:
            return True, FOREVER_MS
        case Status.PAUSED:
            return offer.when.paused, FOREVER_MS
        case Status.SUSPENDED:
            return offer.when.suspended, FOREVER_MS
        case Status.PAST_DUE:
            grace_ends_ms = customer.since_ms + offer.grace_ms
            if offer.when.past_due or now_ms >= grace_ends_ms:
                return offer.when.past_due, FOREVER_MS
            return True, grace_ends_ms


def _given(offer: Offer, customer: Particulars, calendar: Calendar, timeline: Timeline, now_ms: int) -> Resolved:
    name, feature, until_ms = offer.name, offer.feature, FOREVER_MS
    override = customer.overrides.get(name)
    if override is not None and (override.expires_ms is None or now_ms < override.expires_ms):
        feature = override.entitlement
        until_ms = override.expires_ms or FOREVER_MS
    added = [
        Added(add_on, customer.add_ons[add_on], given)
        for add_on, given in offer.add_ons.items()
        if add_on in customer.add_ons
    ]
    grants, grants_ms = live(name, customer.grants.get(name, ()), now_ms)
    if feature is offer.feature and not added and not grants and name not in customer.licences:
        return Resolved(offer.plain.entitlement, grants_ms)
    entitlement = compiled(name, with_added(feature, added, customer.licences.get(name, 0)))
    until_ms = min(until_ms, grants_ms)
    more: list[Member] = [*allowances(name, added), *grants]
    meter = offer.meter
    if isinstance(entitlement, Absent) and more and meter is not None:
        entitlement = Metered(meter, (), 0, 0, (), None, entitlement.upgrade_plans)
    if isinstance(entitlement, Metered) and more:
        pool = pooled(entitlement, more, calendar, timeline, now_ms)
        return Resolved(pool.entitlement, min(until_ms, pool.until_ms))
    return Resolved(entitlement, until_ms)


def _as_rate(said: Feature) -> Feature:
    """Read what is counted on no meter as the rate that it is: documents wrote it so once."""
    if isinstance(said, Counted) and said.meter is None:
        return Rated((Rate(said.window, None if said.overage else said.ceiling),), said.upgrade_plans)
    return said
