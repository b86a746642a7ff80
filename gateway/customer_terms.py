"""What a customer may be given besides its plan: each change is checked against what is sold, then written down."""

from __future__ import annotations

import asyncio
import difflib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from billing_core.entitlements import LicenceFeature, MeteredFeature
from gateway.catalog_file import entitlement_text, parse_catalog, parse_entitlement
from gateway.errors import InvalidRequestError, NotFoundError, Violation
from gateway.records import catalogs, grants, overrides, terms
from gateway.records.terms import Override

if TYPE_CHECKING:
    from collections.abc import Iterable

    from billing_core.catalog import Catalog
    from billing_core.entitlements import Feature
    from gateway.records.database import Connection
    from gateway.records.grants import Grant, NewGrant
    from gateway.records.terms import Held, Status

QUANTITY_MAX: Final = 2**53 - 1
PRIORITY_MAX: Final = 255
ADD_ONS_MAX: Final = 1_000_000

_Feature = TypeVar("_Feature", bound="Feature")


@dataclass(frozen=True, slots=True)
class _Sold:
    """What a customer's plan was sold as, and the catalog that is in force for its product."""

    plan: str
    catalog: Catalog
    in_force: Catalog

    def feature(self, name: str) -> Feature:
        features = dict(self.in_force.features) | dict(self.catalog.features)
        if name not in features:
            raise NotFoundError(f"feature {name} of {self.catalog.product}{_instead(name, features)}")
        return features[name]

    def feature_of(self, name: str, kind: type[_Feature], purpose: str) -> _Feature:
        feature = self.feature(name)
        if not isinstance(feature, kind):
            expected = f"{purpose} is of a {kind.type} feature"
            raise InvalidRequestError(Violation("feature", f"{name} is a {feature.type} feature; {expected}"))
        return feature


async def add_grant(connection: Connection, customer: str, new: NewGrant) -> Grant:
    """Give a customer a quantity of a metered feature. Raises InvalidRequestError, NotFoundError, PreconditionError."""
    wrong = [
        *_out_of_range("amount", new.amount, 1, QUANTITY_MAX),
        *_out_of_range("priority", new.priority, 0, PRIORITY_MAX),
        *_over("expires_at", new.expires_at),
    ]
    if new.expires_at is not None and new.effective_at is not None and new.expires_at <= new.effective_at:
        wrong.append(Violation("expires_at", "is not after effective_at; expected a later moment"))
    if wrong:
        raise InvalidRequestError(*wrong)
    async with terms.changing(connection, customer) as held:
        (await _sold(connection, held)).feature_of(new.feature, MeteredFeature, "a grant")
        return await grants.add(connection, customer, new)


async def void_grant(connection: Connection, grant_id: int) -> bool:
    """Take away what is left of a grant; False when that was done before."""
    async with terms.changing(connection, await grants.owner(connection, grant_id)):
        return await grants.void(connection, grant_id)


async def set_override(
    connection: Connection, customer: str, feature: str, text: str, expires_at: datetime | None
) -> Override:
    """Give a customer an entitlement of its own, in the catalog's notation.

    Raises as `add_grant`, and BillingError where the catalog could not say it either.
    """
    if wrong := _over("expires_at", expires_at):
        raise InvalidRequestError(*wrong)
    async with terms.changing(connection, customer) as held:
        sold = await _sold(connection, held)
        entitlement = parse_entitlement(text, sold.feature(feature))
        plan = replace(sold.catalog.plans[sold.plan], entitlements={feature: entitlement})
        features = {feature: sold.feature(feature)}
        meters = dict(sold.in_force.meters) | dict(sold.catalog.meters)
        replace(sold.catalog, meters=meters, features=features, plans={sold.plan: plan}, add_ons={})
        canonical = entitlement_text(entitlement)
        await overrides.put(connection, held, feature, canonical, expires_at)
    return Override(feature, canonical, expires_at)


async def remove_override(connection: Connection, customer: str, feature: str) -> None:
    """Let the plan's entitlement hold again. Raises NotFoundError when there is no override."""
    async with terms.changing(connection, customer) as held:
        await overrides.remove(connection, held, feature)


async def set_add_on(connection: Connection, customer: str, add_on: str, quantity: int) -> None:
    """Let a customer have so many of an add-on that is sold with its plan's version."""
    if wrong := _out_of_range("quantity", quantity, 1, ADD_ONS_MAX):
        raise InvalidRequestError(*wrong)
    async with terms.changing(connection, customer) as held:
        sold = await _sold(connection, held)
        if add_on not in sold.catalog.add_ons:
            raise NotFoundError(f"add-on {add_on} beside plan {sold.plan}{_instead(add_on, sold.catalog.add_ons)}")
        await terms.set_add_on(connection, held, add_on, quantity)


async def remove_add_on(connection: Connection, customer: str, add_on: str) -> None:
    """Take an add-on away. Raises NotFoundError when the customer has none."""
    async with terms.changing(connection, customer) as held:
        await terms.remove_add_on(connection, held, add_on)


async def set_licences(connection: Connection, customer: str, feature: str, quantity: int) -> None:
    """Let a customer have so many licences of a licence feature."""
    if wrong := _out_of_range("quantity", quantity, 0, QUANTITY_MAX):
        raise InvalidRequestError(*wrong)
    async with terms.changing(connection, customer) as held:
        (await _sold(connection, held)).feature_of(feature, LicenceFeature, "a licence")
        await terms.set_licences(connection, held, feature, quantity)


async def set_trial(connection: Connection, customer: str, ends_at: datetime | None) -> datetime:
    """Say when a customer's trial ends; None ends it now. Returns when."""
    if wrong := _over("until", ends_at):
        raise InvalidRequestError(*wrong)
    moment = ends_at or datetime.now(UTC)
    async with terms.changing(connection, customer) as held:
        await terms.set_trial(connection, held, moment)
    return moment


async def set_status(connection: Connection, customer: str, status: Status) -> datetime:
    """Change how a customer's subscription stands; returns since when it does."""
    async with terms.changing(connection, customer) as held:
        return await terms.set_status(connection, held, status)


async def set_timezone(connection: Connection, customer: str, timezone: str) -> None:
    """Say by which clocks a customer's calendar windows begin. Raises InvalidRequestError for no IANA name."""
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as error:
        known = available_timezones()
        hint = _instead(timezone, known, few=True) or "; expected an IANA name such as Europe/Berlin"
        raise InvalidRequestError(Violation("timezone", f"{timezone[:64]!r} is no time zone{hint}")) from error
    async with terms.changing(connection, customer) as held:
        await terms.set_timezone(connection, held, timezone)


async def _sold(connection: Connection, held: Held) -> _Sold:
    """Read what the customer's plan is and what is in force now; raises PreconditionError without a subscription."""
    held.subscribed()
    subscription = (await terms.read(connection, held.customer)).subscription
    assert subscription is not None
    stored = await catalogs.plan_version(connection, subscription.plan, subscription.plan_version)
    assert stored is not None, "a subscription names a plan version that exists"
    source = await catalogs.source(connection, stored.in_force)
    sold = await asyncio.to_thread(parse_catalog, stored.definition)
    return _Sold(subscription.plan, sold, await asyncio.to_thread(parse_catalog, source))


def _instead(name: str, known: Iterable[str], *, few: bool = False) -> str:
    """Say what may have been meant, or all there is."""
    names = sorted(known)
    if close := difflib.get_close_matches(name, names, n=1):
        return f"; did you mean {close[0]}?"
    return "" if few else f"; there are {', '.join(names) or 'none'}"


def _out_of_range(field: str, value: int, least: int, most: int) -> list[Violation]:
    if least <= value <= most:
        return []
    return [Violation(field, f"{value} is out of range; expected {least} to {most}")]


def _over(field: str, moment: datetime | None) -> list[Violation]:
    if moment is None or moment > datetime.now(UTC):
        return []
    return [Violation(field, f"{moment.isoformat()} is over; expected a moment to come")]
