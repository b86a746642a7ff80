"""Every method of the public API: what is asked, of whom, and what is answered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from billing_core.periods import milliseconds_of
from gateway.catalog_file import parse_catalog, write_catalog
from gateway.claims import claim_of, claims_of
from gateway.counters.keys import bucket_of
from gateway.decision import identifier_violations
from gateway.errors import IdempotencyKeyReusedError, InvalidRequestError
from gateway.invoicing import period_usage, preview, unbillable
from gateway.records import catalogs, customers
from gateway.rpc import convert
from gateway.rpc.status import status_of
from gateway.v1 import catalog_pb2, customer_pb2, entitlement_pb2, invoice_pb2, subscription_pb2, usage_pb2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from google.protobuf.message import Message

    from gateway.checker import Checker, Told
    from gateway.publisher import Publisher
    from gateway.records.database import Database

MESSAGE_BYTES_MAX: Final = 2 * 1024 * 1024
"""As the lane has it, so that both doors refuse the same."""

CATALOG_MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024
"""What gRPC takes unless told otherwise, so that what stands between takes it too; the file may have 3 MiB of it."""

Request = TypeVar("Request", bound="Message")
Answered = TypeVar("Answered")


@dataclass(frozen=True, slots=True)
class Method(Generic[Request]):
    """The request's type, the customers it names (None: all), and what answers it by a deadline on the loop's clock."""

    request_type: type[Request]
    customers: Callable[[Request], Iterable[str | None]]
    answer: Callable[[Request, float], Awaitable[Message]]
    message_bytes_max: int = MESSAGE_BYTES_MAX


class Entitlements:
    """The methods of gateway.v1.EntitlementService."""

    def __init__(self, checker: Checker) -> None:
        self._checker = checker

    async def check(
        self, request: entitlement_pb2.CheckEntitlementRequest, deadline_s: float
    ) -> entitlement_pb2.CheckEntitlementResponse:
        """Decide one claim."""
        future: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        check = self._checker.submit(self._checker.prepare(claim_of(request)), partial(_settle, future), deadline_s)
        try:
            told = await future
        finally:
            if check is not None:
                check.wanted = False
        if isinstance(told, IdempotencyKeyReusedError):
            raise told
        return convert.response_of(told)

    async def batch_check(
        self, request: entitlement_pb2.BatchCheckEntitlementsRequest, deadline_s: float
    ) -> entitlement_pb2.BatchCheckEntitlementsResponse:
        """Decide every claim for itself; those of a bucket are one question to Redis, and all leave in one write."""
        prepared = [self._checker.prepare(claim) for claim in claims_of(request)]
        future: asyncio.Future[list[Told]] = asyncio.get_running_loop().create_future()
        checks = self._checker.submit_batch(prepared, partial(_settle, future), deadline_s)
        try:
            told = await future
        finally:
            for check in checks:
                check.wanted = False
        response = entitlement_pb2.BatchCheckEntitlementsResponse()
        for place, one in enumerate(told):
            if isinstance(one, IdempotencyKeyReusedError):
                response.decisions.add()
                response.failed_requests[place].CopyFrom(status_of(one)[1])
            else:
                response.decisions.append(convert.response_of(one))
        return response


def _settle(future: asyncio.Future[Answered], told: Answered) -> None:
    """Wake whoever waits; a caller who has gone is told nothing, and what was counted stays counted."""
    if not future.done():
        future.set_result(told)


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


def methods(entitlements: Entitlements, plane: Plane) -> dict[str, dict[str, Method[Any]]]:
    """List each service's methods: the only table of what this door answers."""
    return {
        "gateway.v1.EntitlementService": {
            "CheckEntitlement": Method(
                entitlement_pb2.CheckEntitlementRequest, lambda asked: (asked.customer,), entitlements.check
            ),
            "BatchCheckEntitlements": Method(
                entitlement_pb2.BatchCheckEntitlementsRequest,
                lambda asked: (claim.customer for claim in asked.claims),
                entitlements.batch_check,
            ),
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
        },
        "gateway.v1.InvoiceService": {
            "PreviewInvoice": Method(invoice_pb2.PreviewInvoiceRequest, _customer_of_parent, plane.preview_invoice),
        },
    }


def _customer_of_parent(asked: Any) -> tuple[str]:
    return (convert.identifier_of("parent", "customers", asked.parent),)
