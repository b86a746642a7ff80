"""What is said of uses after they happened: that they are given back, or that they were never asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from billing_core.periods import moment_of
from gateway.errors import InvalidRequestError, Violation
from gateway.ingesting import LateUse
from gateway.refunding import refund
from gateway.rpc.status import status_of
from gateway.v1 import entitlement_pb2, usage_pb2

if TYPE_CHECKING:
    from gateway.ingesting import Ingesting
    from gateway.records.database import Database

MS_MAX = int(datetime.max.replace(tzinfo=UTC).timestamp() * 1000)


class Afterwards:
    """The methods that write what was used, or was not, into the records; live counters hear of it behind."""

    def __init__(self, database: Database, ingesting: Ingesting) -> None:
        self._database = database
        self._ingesting = ingesting

    async def refund(
        self, request: entitlement_pb2.RefundUsageRequest, _: float
    ) -> entitlement_pb2.RefundUsageResponse:
        """Give back what a decision counted."""
        quantity = request.quantity if request.HasField("quantity") else None
        asked = (request.customer, request.decision_id, quantity, request.reason, request.request_id)
        async with self._database.transaction() as transaction:
            refunded = await refund(transaction, *asked)
        return entitlement_pb2.RefundUsageResponse(quantity=refunded.quantity, replayed=refunded.replayed)

    async def ingest(self, request: usage_pb2.IngestUsageRequest, _: float) -> usage_pb2.IngestUsageResponse:
        """Take in uses, each for itself."""
        taken = await self._ingesting.ingest([_use(place, record) for place, record in enumerate(request.records)])
        response = usage_pb2.IngestUsageResponse()
        for place, one in enumerate(taken):
            if one.error is not None:
                response.failed_requests[place].CopyFrom(status_of(one.error)[1])
            elif one.replayed:
                response.replayed += 1
            else:
                response.recorded += 1
        return response


def _use(place: int, record: usage_pb2.UsageRecord) -> LateUse:
    """Read a use; a moment that no calendar has is nobody's."""
    at = None
    if record.HasField("at_ms"):
        if not 0 <= record.at_ms <= MS_MAX:
            field, description = f"records[{place}].at_ms", f"{record.at_ms} is no moment; expected ms since 1970 UTC"
            raise InvalidRequestError(Violation(field, description))
        at = moment_of(record.at_ms)
    quantity = record.quantity if record.HasField("quantity") else 1
    dimensions = dict(record.dimensions)
    return LateUse(record.idempotency_key, record.customer, record.feature, quantity, at, dimensions, record.subject)
