"""Hands what was written down to billing_core: the usage and the price of a customer's running period."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from billing_core.aggregation import Sum
from billing_core.periods import anchored_period
from billing_core.prices.models import EventPrice
from billing_core.rating import RatingRequest, Usage, rate
from gateway.catalog_file import parse_catalog
from gateway.errors import PreconditionError, Violation
from gateway.records import catalogs, customers, usage

if TYPE_CHECKING:
    from datetime import datetime

    from billing_core.catalog import Catalog, Plan
    from billing_core.periods import Period
    from billing_core.rating import Rating
    from gateway.records.customers import Subscription
    from gateway.records.database import Connection, Database


@dataclass(frozen=True, slots=True)
class PeriodUsage:
    """What a customer used of each meter of its plan in a period, in the meter's base unit."""

    period: Period
    quantities: dict[str, int]


@dataclass(frozen=True, slots=True)
class Preview:
    """A period rated as it stands."""

    subscription: Subscription
    period: Period
    rating: Rating


def unbillable(catalog: Catalog) -> list[Violation]:
    """Name the prices that what is written down cannot be billed by yet: it is the sum of each meter, by hour."""
    return [
        Violation(
            f"plans.{plan.name}.prices[{number}]", "needs more than the sum of a meter, which is all that is kept"
        )
        for plan in catalog.plans.values()
        for number, price in enumerate(plan.prices)
        if isinstance(price.price, EventPrice)
        or price.terms.filter
        or not all(isinstance(catalog.meters[meter].aggregation, Sum) for meter in price.meters)
    ]


async def period_usage(database: Database, customer: str, at: datetime) -> PeriodUsage:
    """Sum what was used in the billing period that holds `at`; 0 for a meter of the plan that was not used.

    Raises NotFoundError for an unknown customer, PreconditionError for one without a subscription.
    """
    async with database.transaction() as connection:
        _, catalog, period = await _billed(connection, customer, at)
        return PeriodUsage(period, await _quantities(connection, customer, catalog, period))


async def preview(database: Database, customer: str, at: datetime) -> Preview:
    """Rate the billing period that holds `at`; raises as `period_usage` does."""
    async with database.transaction() as connection:
        subscription, catalog, period = await _billed(connection, customer, at)
        plan: Plan = catalog.plans[subscription.plan]
        quantities = await _quantities(connection, customer, catalog, period)
        priced = {meter for price in plan.prices for meter in price.meters}
        used = tuple(Usage(meter, Decimal(quantity)) for meter, quantity in quantities.items() if meter in priced)
        return Preview(
            subscription, period, rate(RatingRequest(catalog.currency, period, plan.prices, plan.fees, used))
        )


async def _billed(connection: Connection, customer: str, at: datetime) -> tuple[Subscription, Catalog, Period]:
    subscription = (await customers.read(connection, customer)).subscription
    if subscription is None:
        raise PreconditionError(f"customer {customer} has no subscription; create one first")
    stored = await catalogs.plan_version(connection, subscription.plan, subscription.plan_version)
    assert stored is not None, "a subscription names a plan version that exists"
    catalog = parse_catalog(stored.definition)
    interval = catalog.plans[subscription.plan].billing_interval
    return subscription, catalog, anchored_period(subscription.anchor, interval, at)


async def _quantities(connection: Connection, customer: str, catalog: Catalog, period: Period) -> dict[str, int]:
    totals = await usage.totals(connection, customer, period)
    return {meter: int(totals.get(meter, 0)) for meter in catalog.meters} | {
        meter: int(quantity) for meter, quantity in totals.items() if meter not in catalog.meters
    }
