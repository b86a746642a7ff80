"""The whole public API from Python, in its own messages: one method per call, for who manages and for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.client.calls import shown
from gateway.client.faults import fault_of
from gateway.client.messages import Asked
from gateway.v1 import (
    catalog_pb2,
    catalog_pb2_grpc,
    customer_pb2,
    customer_pb2_grpc,
    entitlement_pb2,
    entitlement_pb2_grpc,
    invoice_pb2,
    invoice_pb2_grpc,
    subscription_pb2,
    subscription_pb2_grpc,
    usage_pb2,
    usage_pb2_grpc,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from gateway.tls import ClientTls

Answer = TypeVar("Answer")

TIMEOUT_S: Final = 10.0


class Gateway:
    """A connection to a gateway at `unix:/path` or `host:port`, used with `async with`.

    `key` goes with every call; with `tls` the connection is encrypted. Every method raises GatewayError.
    """

    def __init__(
        self, target: str, *, key: str | None = None, tls: ClientTls | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._target = target
        self._timeout_s = timeout_s
        self._metadata = (("authorization", f"Bearer {key}"),) if key else ()
        if tls is None:
            self._way_out = "start one with: tollkeeper dev"
            self._channel = aio.insecure_channel(target)
        else:
            self._way_out = "is it there, and does each side trust the other's certificate?"
            self._channel = aio.secure_channel(target, shown(tls))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def check(
        self,
        customer: str,
        feature: str,
        quantity: int | None = None,
        *,
        idempotency_key: str = "",
        peek: bool = False,
        dimensions: Mapping[str, str] | None = None,
        subject: str = "",
    ) -> entitlement_pb2.CheckEntitlementResponse:
        """Ask whether a customer may use a quantity of a feature now; when it may, it is counted."""
        asked = Asked(customer, feature, quantity, idempotency_key, dimensions, subject, peek)
        return await self._answer(self._entitlements().CheckEntitlement, asked.message())

    async def batch_check(
        self, claims: list[entitlement_pb2.CheckEntitlementRequest], *, atomic: bool = False
    ) -> entitlement_pb2.BatchCheckEntitlementsResponse:
        """Ask several claims at once, each for itself or all or none; decisions in their order, failures by place."""
        request = entitlement_pb2.BatchCheckEntitlementsRequest(claims=claims, atomic=atomic)
        return await self._answer(self._entitlements().BatchCheckEntitlements, request)

    async def reserve(
        self, claim: entitlement_pb2.CheckEntitlementRequest, ttl_ms: int | None = None
    ) -> entitlement_pb2.ReserveQuotaResponse:
        """Hold what is claimed until it is committed or released, or its time is over."""
        request = entitlement_pb2.ReserveQuotaRequest(claim=claim, ttl_ms=ttl_ms)
        return await self._answer(self._entitlements().ReserveQuota, request)

    async def extend(self, customer: str, reservation: str, ttl_ms: int) -> entitlement_pb2.ReservationResponse:
        """Keep a reservation for so long from now on."""
        request = entitlement_pb2.ExtendReservationRequest(customer=customer, reservation=reservation, ttl_ms=ttl_ms)
        return await self._answer(self._entitlements().ExtendReservation, request)

    async def commit(
        self, customer: str, reservation: str, quantity: int | None
    ) -> entitlement_pb2.ReservationResponse:
        """Say what was really used of a reservation."""
        request = entitlement_pb2.CommitReservationRequest(
            customer=customer, reservation=reservation, quantity=quantity
        )
        return await self._answer(self._entitlements().CommitReservation, request)

    async def release(self, customer: str, reservation: str) -> entitlement_pb2.ReservationResponse:
        """Give back what a reservation holds."""
        request = entitlement_pb2.ReleaseReservationRequest(customer=customer, reservation=reservation)
        return await self._answer(self._entitlements().ReleaseReservation, request)

    async def entitlements(self, customer: str) -> entitlement_pb2.ListEntitlementsResponse:
        """Tell what a customer may do with every feature, and where its limits stand."""
        request = entitlement_pb2.ListEntitlementsRequest(customer=customer)
        return await self._answer(self._entitlements().ListEntitlements, request)

    async def refund(self, request: entitlement_pb2.RefundUsageRequest) -> entitlement_pb2.RefundUsageResponse:
        """Give back what a decision counted."""
        return await self._answer(self._entitlements().RefundUsage, request)

    async def ingest(self, records: Sequence[usage_pb2.UsageRecord]) -> usage_pb2.IngestUsageResponse:
        """Take in what was used without having been asked for."""
        stub: Any = usage_pb2_grpc.UsageServiceStub(self._channel)
        return await self._answer(stub.IngestUsage, usage_pb2.IngestUsageRequest(records=records))

    async def apply_catalog(self, source: str, *, validate_only: bool = False) -> catalog_pb2.ApplyCatalogResponse:
        """Take the text of a catalog file, whole or not at all."""
        request = catalog_pb2.ApplyCatalogRequest(source=source, validate_only=validate_only)
        stub: Any = catalog_pb2_grpc.CatalogServiceStub(self._channel)
        return await self._answer(stub.ApplyCatalog, request)

    async def create_customer(self, customer: str) -> customer_pb2.Customer:
        """Create a customer."""
        request = customer_pb2.CreateCustomerRequest(customer_id=customer)
        stub: Any = customer_pb2_grpc.CustomerServiceStub(self._channel)
        return await self._answer(stub.CreateCustomer, request)

    async def create_subscription(self, customer: str, plan: str) -> subscription_pb2.Subscription:
        """Put a customer on a plan's newest version."""
        request = subscription_pb2.CreateSubscriptionRequest(parent=f"customers/{customer}", plan=f"plans/{plan}")
        stub: Any = subscription_pb2_grpc.SubscriptionServiceStub(self._channel)
        return await self._answer(stub.CreateSubscription, request)

    async def usage(self, customer: str) -> usage_pb2.QueryUsageResponse:
        """Sum what a customer used in its running billing period, as written down."""
        request = usage_pb2.QueryUsageRequest(parent=f"customers/{customer}")
        stub: Any = usage_pb2_grpc.UsageServiceStub(self._channel)
        return await self._answer(stub.QueryUsage, request)

    async def charges(self, customer: str) -> invoice_pb2.Invoice:
        """Rate a customer's running billing period as it stands."""
        request = invoice_pb2.PreviewInvoiceRequest(parent=f"customers/{customer}")
        stub: Any = invoice_pb2_grpc.InvoiceServiceStub(self._channel)
        return await self._answer(stub.PreviewInvoice, request)

    async def serving(self) -> bool:
        """Ask whether the gateway takes calls; false while it stops."""
        stub: Any = health_pb2_grpc.HealthStub(self._channel)
        answered = await self._answer(stub.Check, health_pb2.HealthCheckRequest())
        return bool(answered.status == health_pb2.HealthCheckResponse.SERVING)

    def _entitlements(self) -> Any:
        return entitlement_pb2_grpc.EntitlementServiceStub(self._channel)

    async def _answer(self, method: Callable[..., Awaitable[Answer]], request: object) -> Answer:
        try:
            return await method(request, timeout=self._timeout_s, metadata=self._metadata)
        except aio.AioRpcError as error:
            raise fault_of(error, self._target, self._way_out) from error
