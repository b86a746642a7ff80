"""The service that one would write first: grpc.aio and redis-py, the same messages and script, a call for each."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import struct
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import grpc
import uvloop
from redis.asyncio import Redis

from gateway.counters import keys
from gateway.counters.consume import COUNTED, SCRIPT, SEEN
from gateway.counters.usage import pack_claim
from gateway.v1.entitlement_pb2 import CheckEntitlementRequest, CheckEntitlementResponse, Reason
from gateway.v1.entitlement_pb2_grpc import EntitlementServiceServicer, add_EntitlementServiceServicer_to_server

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[CheckEntitlementRequest, CheckEntitlementResponse]

LIMIT = 10**12
METER = "calls"
VERSION = 1
"""Of every customer's document: this service knows one plan and no customers."""


class EntitlementService(EntitlementServiceServicer):
    """Counts each claim on its customer's limit of the running month, and writes its usage event."""

    def __init__(self, client: Redis, line: str) -> None:
        self._consume = client.register_script(SCRIPT)
        self._line = line
        self._gateway = secrets.token_hex(8)
        self._numbers = itertools.count(1)

    async def register(self, client: Redis) -> None:
        """Have the script know us in every bucket."""
        for bucket in range(keys.BUCKETS):
            await client.hset(keys.head(bucket), self._gateway, "0")

    async def CheckEntitlement(self, request: CheckEntitlementRequest, context: Context) -> CheckEntitlementResponse:  # noqa: ARG002, N802
        """Answer a claim."""
        customer, feature = request.customer, request.feature
        quantity = request.quantity if request.HasField("quantity") else 1
        bucket = keys.bucket_of(customer)
        start_ms, end_ms = month(datetime.now(UTC))
        numbers = struct.pack(">5Q", quantity, VERSION, start_ms, end_ms, LIMIT)
        event = pack_claim(customer, feature, METER, quantity, VERSION, f"{feature}:month", start_ms)
        answer = SEEN
        while answer == SEEN:  # calls overtake each other between a pool's connections: a higher number came first
            number = next(self._numbers)
            reply = await self._consume(
                keys=[
                    *(keys.head(bucket), keys.usage(bucket), keys.due(bucket)),
                    *(keys.use(bucket, customer), keys.hold(bucket, customer), keys.dues(bucket, customer)),
                ],
                args=[self._line, self._gateway, f"{feature}:month", numbers, event, "", number],
            )
            _, answer, _, _, used, _ = struct.unpack_from(">QcBBQQ", reply)
        allowed = answer == COUNTED
        return CheckEntitlementResponse(
            allowed=allowed,
            reason=Reason.OK if allowed else Reason.QUOTA_EXCEEDED,
            limit=LIMIT,
            used=used,
            remaining=LIMIT - used,
            resets_at_ms=end_ms,
            decision_id=f"{self._gateway}-{number}",
            plan="plan_0",
        )


def month(now: datetime) -> tuple[int, int]:
    """Return when the running month began and ends, in milliseconds."""
    start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = (start + timedelta(days=32)).replace(day=1)
    return int(start.timestamp() * 1000), int(end.timestamp() * 1000)


async def serve(address: str, redis_url: str) -> None:
    """Serve until we are ended."""
    client = Redis.from_url(redis_url)
    line = await client.hget(keys.head(0), "line")
    assert isinstance(line, bytes), "no keeper has opened this Redis"
    service = EntitlementService(client, line.decode())  # type: ignore[abstract] # as in empty.py
    await service.register(client)
    server = grpc.aio.server()
    add_EntitlementServiceServicer_to_server(service, server)
    server.add_insecure_port(address)
    await server.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(*sys.argv[1:]))
