"""Between messages and domain types, both ways: the one place of this door that knows both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.type.money_pb2 import Money as MoneyMessage

from billing_core.periods import milliseconds_of
from gateway.decision import identifier_violations
from gateway.errors import InvalidRequestError, Violation
from gateway.v1 import catalog_pb2, invoice_pb2, subscription_pb2, usage_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from billing_core.money import Money
    from gateway.invoicing import PeriodUsage, Preview
    from gateway.records.catalogs import AppliedPlan
    from gateway.records.customers import Subscription

_NANOS: Final = 1_000_000_000


def identifier_of(field: str, collection: str, name: str) -> str:
    """Read the id out of a resource's name such as `customers/acme`."""
    prefix, _, identifier = name.partition("/")
    if prefix != collection or identifier_violations(field, identifier):
        shown = name[:64].encode("ascii", "backslashreplace").decode()
        expected = f"expected {collection}/ID with an ID of 1 to 64 characters of [A-Za-z0-9_.@-]"
        raise InvalidRequestError(Violation(field, f"{shown!r} is not a name; {expected}"))
    return identifier


def plan_version_name(plan: str, version: int) -> str:
    """Name a plan's version as a resource."""
    return f"plans/{plan}/versions/{version}"


def applied_of(product: str, plans: Sequence[AppliedPlan]) -> catalog_pb2.ApplyCatalogResponse:
    """Write what a catalog's plans became."""
    return catalog_pb2.ApplyCatalogResponse(
        product=product,
        plans=[
            catalog_pb2.PlanVersion(
                name=plan_version_name(one.plan, one.version), plan=one.plan, version=one.version, created=one.created
            )
            for one in plans
        ],
    )


def subscription_of(customer: str, subscription: Subscription) -> subscription_pb2.Subscription:
    """Write a subscription."""
    return subscription_pb2.Subscription(
        name=f"customers/{customer}/subscriptions/{subscription.subscription}",
        plan_version=plan_version_name(subscription.plan, subscription.plan_version),
        started_at_ms=milliseconds_of(subscription.started_at),
    )


def usage_of(usage: PeriodUsage) -> usage_pb2.QueryUsageResponse:
    """Write a period's usage by meter."""
    return usage_pb2.QueryUsageResponse(
        period_start_ms=usage.period.start_ms,
        period_end_ms=usage.period.end_ms,
        usage=[usage_pb2.MeterUsage(meter=meter, quantity=count) for meter, count in usage.quantities.items()],
    )


def invoice_of(preview: Preview) -> invoice_pb2.Invoice:
    """Write a rated period."""
    return invoice_pb2.Invoice(
        plan_version=plan_version_name(preview.subscription.plan, preview.subscription.plan_version),
        period_start_ms=preview.period.start_ms,
        period_end_ms=preview.period.end_ms,
        lines=[
            invoice_pb2.InvoiceLine(
                meter=line.meter or "",
                description=line.description,
                quantity=f"{line.quantity:f}",
                amount=money_of(line.amount),
            )
            for line in preview.rating.lines
        ],
        total=money_of(preview.rating.total),
    )


def money_of(money: Money) -> MoneyMessage:
    """Write an amount as whole units and billionths, both with the amount's sign."""
    nanos = int(money.amount.scaleb(9))
    assert money.amount.scaleb(9) == nanos, "a rounded amount has no part finer than a billionth"
    sign = -1 if nanos < 0 else 1
    units, rest = divmod(abs(nanos), _NANOS)
    return MoneyMessage(currency_code=money.currency.code, units=sign * units, nanos=sign * rest)
