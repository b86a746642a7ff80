"""The grpcio server: listens on loopback and unix sockets, parses, answers, and drains before it stops."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc
from google.protobuf.message import DecodeError
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection

from gateway.errors import MalformedMessageError, PreconditionError
from gateway.listening import refuse_taken_path
from gateway.rpc.status import DETAILS, status_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.rpc.services import Method

GRACE_S: Final = 2.0
MESSAGE_BYTES_MAX: Final = 2 * 1024 * 1024
"""A catalog file may have 1 MiB."""

_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # a second process on the same port is a mistake, not a helper
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
)


class RpcDoor:
    """Serves a table of methods, health and reflection."""

    def __init__(self, methods: Mapping[str, Mapping[str, Method[Any]]], *, deadline_ms: int) -> None:
        """No check is waited for longer than `deadline_ms`, whatever its caller would wait."""
        self._deadline_s = deadline_ms / 1000
        self._server = aio.server(options=_OPTIONS)
        for service, table in methods.items():
            handlers = {name: self._served(method) for name, method in table.items()}
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        self._health = _Health()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._services = [*methods, "grpc.health.v1.Health"]
        reflection.enable_server_reflection((*self._services, reflection.SERVICE_NAME), self._server)

    async def start(self, addresses: Sequence[str]) -> list[str]:
        """Listen; returns the addresses with the ports that were given. Raises PreconditionError when one is taken."""
        bound = []
        for address in addresses:
            if address.startswith("unix:"):
                refuse_taken_path(Path(address.removeprefix("unix:")))
            try:
                port = self._server.add_insecure_port(address)
            except RuntimeError as error:
                raise PreconditionError(f"cannot listen on {address}: is another process there?") from error
            bound.append(address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}")
        await self._server.start()
        for address in addresses:
            if address.startswith("unix:"):
                os.chmod(address.removeprefix("unix:"), 0o660)  # noqa: PTH101 - the owner and its group, nobody else
        for service in ("", *self._services):
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        return bound

    async def stop(self) -> None:
        """Say that we go, take no new call, let those under way finish."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(GRACE_S)

    def _served(self, method: Method[Any]) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Parse here, not in grpcio: what it says of malformed bytes and of exceptions is not for callers."""

        async def call(raw: bytes, context: aio.ServicerContext[bytes, bytes]) -> bytes:
            wait_s = self._deadline_s
            if (remaining_s := context.time_remaining()) is not None:
                wait_s = min(wait_s, remaining_s)
            try:
                try:
                    request = method.request_type.FromString(raw)
                except DecodeError as error:
                    raise MalformedMessageError(method.request_type.DESCRIPTOR.full_name) from error
                answered = await method.answer(request, asyncio.get_running_loop().time() + wait_s)
                return answered.SerializeToString()
            except Exception as error:  # noqa: BLE001 - whatever it is, it stops here
                code, status = status_of(error)
            await context.abort(code, status.message, ((DETAILS, status.SerializeToString()),))
            raise AssertionError("abort raises")

        return grpc.unary_unary_rpc_method_handler(call, request_deserializer=None, response_serializer=None)


class _Health(health.HealthServicer):  # type: ignore[misc] # it has no types
    """The library's, with the method that it lacks."""

    async def List(self, _: health_pb2.HealthListRequest, __: object) -> health_pb2.HealthListResponse:  # noqa: N802
        """Say how every service is."""
        statuses = {name: health_pb2.HealthCheckResponse(status=status) for name, status in self._server_status.items()}
        return health_pb2.HealthListResponse(statuses=statuses)
