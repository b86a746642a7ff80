"""Health on grpcio's door: Check and List say what the lane says; Watch, which only this door has, is the library's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc
from grpc_health.v1.health import aio as health
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse

from gateway.errors import NotFoundError
from gateway.rpc.calls import abort, parsed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from grpc import aio

    Context = aio.ServicerContext[bytes, bytes]

HEALTH: Final = "grpc.health.v1.Health"


class Health(health.HealthServicer):  # type: ignore[misc] # it has no types
    """The library's, which knows the state of each service and who watches it."""

    def served(self) -> grpc.GenericRpcHandler:
        """Serve every method; messages are read here, as those of our own services are."""
        watch = _told(lambda raw, context: self.Watch(parsed(HealthCheckRequest, raw), context))
        table: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Check": grpc.unary_unary_rpc_method_handler(_told(self._check)),
            "List": grpc.unary_unary_rpc_method_handler(_told(self._list)),
            "Watch": grpc.unary_stream_rpc_method_handler(
                watch, response_serializer=HealthCheckResponse.SerializeToString
            ),
        }
        return grpc.method_handlers_generic_handler(HEALTH, table)

    async def _check(self, raw: bytes, _: Context) -> bytes:
        service = parsed(HealthCheckRequest, raw).service
        status = self._server_status.get(service)
        if status is None:
            raise NotFoundError(f"service {service[:64]!r}")
        told: bytes = HealthCheckResponse(status=status).SerializeToString()
        return told

    async def _list(self, raw: bytes, _: Context) -> bytes:
        parsed(HealthListRequest, raw)
        statuses = {name: HealthCheckResponse(status=status) for name, status in self._server_status.items()}
        told: bytes = HealthListResponse(statuses=statuses).SerializeToString()
        return told


def _told(answer: Callable[[bytes, Context], Awaitable[Any]]) -> Callable[[bytes, Context], Awaitable[Any]]:
    async def call(raw: bytes, context: Context) -> Any:
        try:
            return await answer(raw, context)
        except Exception as error:  # noqa: BLE001 - whatever it is, it stops here
            await abort(context, error)

    return call
