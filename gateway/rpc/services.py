"""Every method of the public API: what is asked, of whom, and what is answered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from billing_core.periods import milliseconds_of
from gateway.catalog_file import parse_catalog, write_catalog
from gateway.counters.keys import bucket_of
from gateway.decision import identifier_violations
from gateway.errors import InvalidRequestError
from gateway.invoicing import period_usage, preview, unbillable
from gateway.records import catalogs, customers
from gateway.rpc import convert
from gateway.v1 import catalog_pb2, customer_pb2, entitlement_pb2, invoice_pb2, subscription_pb2, usage_pb2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from google.protobuf.message import Message

    from gateway.publisher import Publisher
    from gateway.records.database import Database
    from gateway.rpc.afterwards import Afterwards
    from gateway.rpc.entitlements import Entitlements

MESSAGE_BYTES_MAX: Final = 2 * 1024 * 1024
"""As the lane has it, so that both doors refuse the same."""

CATALOG_MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024
"""What gRPC takes unless told otherwise, so that what stands between takes it too; the file may have 3 MiB of it."""

Request = TypeVar("Request", bound="Message")


@dataclass(frozen=True, slots=True)
class Method(Generic[Request]):
    """The request's type, the customers it names (None: all), and what answers it by a deadline on the loop's clock."""

    request_type: type[Request]
    customers: Callable[[Request], Iterable[str | None]]
    answer: Callable[[Request, float], Awaitable[Message]]
    message_bytes_max: int = MESSAGE_BYTES_MAX


class Plane:
    """The services that say what is sold, to whom, and what it has cost so far."""

    def __init__(self, database: Database, publisher: Publisher) -> None:
        self._database = database
        self._publisher = publisher

    async def apply_catalog(
        self, request: catalog_pb2.ApplyCatalogRequest, _: float
    ) -> catalog_pb2.ApplyCatalogResponse:
        """Take a catalog whole or not at all; what it changes is published when this returns, or soon after."""
        # A large file takes seconds: checks go on.
        product, definitions = await asyncio.to_thread(_sold_by, request.source)
        async with self._database.transaction() as connection:
            applied = await catalogs.apply(
                connection, product, request.source, definitions, validate_only=request.validate_only
            )
        await self._publisher.publish_soon()
        return convert.applied_of(product, applied)

    async def create_customer(self, request: customer_pb2.CreateCustomerRequest, _: float) -> customer_pb2.Customer:
        """Create a customer that is its own root."""
        customer = request.customer_id
        if wrong := identifier_violations("customer_id", customer):
            raise InvalidRequestError(*wrong)
        async with self._database.transaction() as connection:
            created_at = await customers.add(connection, customer, bucket_of(customer))
        await self._publisher.publish_soon()
        return customer_pb2.Customer(name=f"customers/{customer}", created_at_ms=milliseconds_of(created_at))

    async def create_subscription(
        self, request: subscription_pb2.CreateSubscriptionRequest, _: float
    ) -> subscription_pb2.Subscription:
        """Put a customer on a plan's newest version."""
        customer = convert.identifier_of("parent", "customers", request.parent)
        plan = convert.identifier_of("plan", "plans", request.plan)
        async with self._database.transaction() as connection:
            subscription = await customers.subscribe(connection, customer, plan)
        await self._publisher.publish_soon()
        return convert.subscription_of(customer, subscription)

    async def query_usage(self, request: usage_pb2.QueryUsageRequest, _: float) -> usage_pb2.QueryUsageResponse:
        """Sum a customer's usage of the running billing period."""
        customer = convert.identifier_of("parent", "customers", request.parent)
        return convert.usage_of(await period_usage(self._database, customer, datetime.now(UTC)))

    async def preview_invoice(self, request: invoice_pb2.PreviewInvoiceRequest, _: float) -> invoice_pb2.Invoice:
        """Rate a customer's running billing period."""
        customer = convert.identifier_of("parent", "customers", request.parent)
        return convert.invoice_of(await preview(self._database, customer, datetime.now(UTC)))


def _sold_by(source: str) -> tuple[str, dict[str, str]]:
    """Read a catalog's product, and of each of its plans the definition: a catalog of this plan alone."""
    catalog = parse_catalog(source)
    if wrong := unbillable(catalog):
        raise InvalidRequestError(*wrong)
    return catalog.product, {plan: write_catalog(catalog.narrowed_to(plan)) for plan in catalog.plans}


def methods(entitlements: Entitlements, plane: Plane, afterwards: Afterwards) -> dict[str, dict[str, Method[Any]]]:
    """List each service's methods: the only table of what this door answers."""
    return {
        "gateway.v1.EntitlementService": {
            "CheckEntitlement": Method(entitlement_pb2.CheckEntitlementRequest, _customer_of, entitlements.check),
            "BatchCheckEntitlements": Method(
                entitlement_pb2.BatchCheckEntitlementsRequest,
                lambda asked: (claim.customer for claim in asked.claims),
                entitlements.batch_check,
            ),
            "ReserveQuota": Method(
                entitlement_pb2.ReserveQuotaRequest, lambda asked: (asked.claim.customer,), entitlements.reserve
            ),
            "ExtendReservation": Method(entitlement_pb2.ExtendReservationRequest, _customer_of, entitlements.extend),
            "CommitReservation": Method(entitlement_pb2.CommitReservationRequest, _customer_of, entitlements.commit),
            "ReleaseReservation": Method(entitlement_pb2.ReleaseReservationRequest, _customer_of, entitlements.release),
            "ListEntitlements": Method(entitlement_pb2.ListEntitlementsRequest, _customer_of, entitlements.list),
            "RefundUsage": Method(entitlement_pb2.RefundUsageRequest, _customer_of, afterwards.refund),
        },
        "gateway.v1.CatalogService": {
            "ApplyCatalog": Method(
                catalog_pb2.ApplyCatalogRequest, lambda _: (None,), plane.apply_catalog, CATALOG_MESSAGE_BYTES_MAX
            ),
        },
        "gateway.v1.CustomerService": {
            "CreateCustomer": Method(
                customer_pb2.CreateCustomerRequest, lambda asked: (asked.customer_id,), plane.create_customer
            ),
        },
        "gateway.v1.SubscriptionService": {
            "CreateSubscription": Method(
                subscription_pb2.CreateSubscriptionRequest, _customer_of_parent, plane.create_subscription
            ),
        },
        "gateway.v1.UsageService": {
            "QueryUsage": Method(usage_pb2.QueryUsageRequest, _customer_of_parent, plane.query_usage),
            "IngestUsage": Method(
                usage_pb2.IngestUsageRequest,
                lambda asked: (record.customer for record in asked.records),
                afterwards.ingest,
            ),
        },
        "gateway.v1.InvoiceService": {
            "PreviewInvoice": Method(invoice_pb2.PreviewInvoiceRequest, _customer_of_parent, plane.preview_invoice),
        },
    }


def _customer_of(asked: Any) -> tuple[str]:
    return (asked.customer,)


def _customer_of_parent(asked: Any) -> tuple[str]:
    return (convert.identifier_of("parent", "customers", asked.parent),)
