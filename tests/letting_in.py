"""What an operator does about callers: make a key, let a certificate in, revoke; and how a caller shows who it is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode, aio

from gateway.credentials import Mode, Role, digest_of, new_key, shown_prefix
from gateway.records import credentials
from gateway.records.credentials import Grantee
from gateway.records.database import Database
from gateway.settings import Proof, Settings
from gateway.v1.catalog_pb2 import ApplyCatalogRequest
from gateway.v1.customer_pb2 import CreateCustomerRequest
from gateway.v1.entitlement_pb2 import (
    BatchCheckEntitlementsRequest,
    CheckEntitlementRequest,
    CommitReservationRequest,
    ExtendReservationRequest,
    ListEntitlementsRequest,
    RefundUsageRequest,
    ReleaseReservationRequest,
    ReserveQuotaRequest,
)
from gateway.v1.invoice_pb2 import PreviewInvoiceRequest
from gateway.v1.subscription_pb2 import CreateSubscriptionRequest
from gateway.v1.usage_pb2 import IngestUsageRequest, QueryUsageRequest, UsageRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message

CHECK = "gateway.v1.EntitlementService/CheckEntitlement"
KEYS_ARE_ASKED = Settings(auth=(Proof.KEYS,))


@dataclass(frozen=True)
class Held:
    """A key in its holder's hand."""

    number: int
    key: str

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with a call."""
        return (("authorization", f"Bearer {self.key}"),)


async def make_key(
    postgres_url: str, role: Role = Role.CHECK, *, mode: Mode = Mode.LIVE, customers: Sequence[str] | None = None
) -> Held:
    """Make a key as `tollkeeper key create` does."""
    key = new_key(mode)
    grantee = Grantee("", role, mode, None if customers is None else tuple(customers))
    database = await Database.open(postgres_url)
    async with database.transaction() as connection:
        number, _ = await credentials.add_key(connection, grantee, shown_prefix(key), digest_of(key))
    await database.close()
    return Held(number, key)


async def let_in(postgres_url: str, certificate_name: str, role: Role = Role.CHECK, mode: Mode = Mode.LIVE) -> int:
    """Let a certificate's name stand for a caller; returns its number."""
    database = await Database.open(postgres_url)
    async with database.transaction() as connection:
        made = await credentials.add_certificate(connection, Grantee("", role, mode, None), certificate_name)
    await database.close()
    return made[0]


async def revoke(postgres_url: str, number: int) -> None:
    """Take a credential out of force."""
    database = await Database.open(postgres_url)
    async with database.transaction() as connection:
        await credentials.revoke(connection, number)
    await database.close()


ENTITLEMENTS = "gateway.v1.EntitlementService"


def requests(customer: str) -> dict[str, Message]:
    """Write a request of each method that names a customer where it can; none of them changes much."""
    claim = CheckEntitlementRequest(customer=customer, feature="input_tokens", peek=True)
    return {
        CHECK: claim,
        "gateway.v1.EntitlementService/BatchCheckEntitlements": BatchCheckEntitlementsRequest(claims=[claim]),
        f"{ENTITLEMENTS}/ReserveQuota": ReserveQuotaRequest(
            claim=CheckEntitlementRequest(customer=customer, feature="max_seats")
        ),
        f"{ENTITLEMENTS}/ExtendReservation": ExtendReservationRequest(
            customer=customer, reservation="none-1", ttl_ms=1000
        ),
        f"{ENTITLEMENTS}/CommitReservation": CommitReservationRequest(
            customer=customer, reservation="none-1", quantity=1
        ),
        f"{ENTITLEMENTS}/ReleaseReservation": ReleaseReservationRequest(customer=customer, reservation="none-1"),
        f"{ENTITLEMENTS}/ListEntitlements": ListEntitlementsRequest(customer=customer),
        f"{ENTITLEMENTS}/RefundUsage": RefundUsageRequest(customer=customer, decision_id="none-1"),
        "gateway.v1.UsageService/IngestUsage": IngestUsageRequest(
            records=[UsageRecord(customer=customer, feature="max_seats", idempotency_key="k")]
        ),
        "gateway.v1.UsageService/QueryUsage": QueryUsageRequest(parent=f"customers/{customer}"),
        "gateway.v1.InvoiceService/PreviewInvoice": PreviewInvoiceRequest(parent=f"customers/{customer}"),
        "gateway.v1.CatalogService/ApplyCatalog": ApplyCatalogRequest(source="no catalog"),
        "gateway.v1.CustomerService/CreateCustomer": CreateCustomerRequest(customer_id=customer),
        "gateway.v1.SubscriptionService/CreateSubscription": CreateSubscriptionRequest(
            parent=f"customers/{customer}", plan="plans/developer"
        ),
    }


async def ask(channel: aio.Channel, method: str, request: Message, metadata: Sequence[tuple[str, Any]] = ()) -> bytes:
    """Send a request and return the answer's bytes."""
    call: Any = channel.unary_unary(f"/{method}")
    answer: bytes = await call(request.SerializeToString(), timeout=10, metadata=tuple(metadata))
    return answer


async def outcome(
    channel: aio.Channel, method: str, request: Message, metadata: Sequence[tuple[str, Any]] = ()
) -> tuple[StatusCode, str]:
    """Send a request; returns its code and, when that is not OK, the reason, of which there is exactly one."""
    try:
        await ask(channel, method, request, metadata)
    except aio.AioRpcError as error:
        refused = error
    else:
        return StatusCode.OK, ""
    status = Status.FromString(dict(refused.trailing_metadata() or ())["grpc-status-details-bin"])
    info = ErrorInfo()
    assert [one.Unpack(info) for one in status.details].count(True) == 1
    assert (status.message, info.domain) == (refused.details(), "tollkeeper")
    return refused.code(), info.reason


async def until_known(channel: aio.Channel, held: Held) -> None:
    """Wait until a gateway knows a key, whatever it may do with it."""
    async with asyncio.timeout(5):
        while (await outcome(channel, CHECK, requests("nobody")[CHECK], held.metadata))[
            0
        ] is StatusCode.UNAUTHENTICATED:
            await asyncio.sleep(0.005)
