"""The least a service in grpc.aio can do: one handler, which returns the same answer to everybody."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import grpc
import uvloop

from gateway.v1.entitlement_pb2 import CheckEntitlementRequest, CheckEntitlementResponse, Reason
from gateway.v1.entitlement_pb2_grpc import EntitlementServiceServicer, add_EntitlementServiceServicer_to_server

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[CheckEntitlementRequest, CheckEntitlementResponse]


class EntitlementService(EntitlementServiceServicer):
    """Allows everything and counts nothing."""

    async def CheckEntitlement(self, request: CheckEntitlementRequest, context: Context) -> CheckEntitlementResponse:  # noqa: ARG002, N802
        """Answer a claim."""
        return CheckEntitlementResponse(allowed=True, reason=Reason.OK)


async def serve(address: str) -> None:
    """Serve until we are ended."""
    service = EntitlementService()  # type: ignore[abstract] # its stubs demand the batch, grpcio does not
    server = grpc.aio.server()
    add_EntitlementServiceServicer_to_server(service, server)
    server.add_insecure_port(address)
    await server.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
