"""Hands what was written down to billing_core: the usage and the price of a customer's running period."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from billing_core.aggregation import Sum
from billing_core.periods import anchored_period
from billing_core.rating import RatingRequest, Usage, rate
from gateway.catalog_file import parse_catalog
from gateway.errors import PreconditionError
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
        for meter in sorted(priced):
            # Totals are what is written down, and a maximum cannot be found in them.
            if not isinstance(catalog.meters[meter].aggregation, Sum):
                aggregation = catalog.meters[meter].aggregation.name
                raise PreconditionError(f"meter {meter} is a {aggregation}; recorded totals can only be rated as a sum")
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
