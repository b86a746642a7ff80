"""The grpcio server: listens, knows who calls, parses, answers, and drains before it stops."""

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

from gateway.credentials import NEEDED, Peer, the_one
from gateway.errors import MalformedMessageError, PreconditionError
from gateway.listening import refuse_taken_path
from gateway.rpc.status import DETAILS, status_of
from gateway.settings import Proof

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.credentials import Credentials, Role
    from gateway.entrances import Entrance
    from gateway.rpc.services import Method
    from gateway.tls import ServerTls

GRACE_S: Final = 2.0
HEALTH: Final = "grpc.health.v1.Health"


class RpcDoor:
    """Serves a table of methods and health, and reflection where nobody is asked who they are."""

    def __init__(
        self,
        methods: Mapping[str, Mapping[str, Method[Any]]],
        credentials: Credentials,
        *,
        deadline_ms: int,
        tls: ServerTls | None = None,
    ) -> None:
        """No check is waited for longer than `deadline_ms`, whatever its caller would wait."""
        self._methods = methods
        self._credentials = credentials
        self._deadline_s = deadline_ms / 1000
        self._tls = tls
        self._health = _Health()
        self._servers: dict[frozenset[Proof], aio.Server] = {}

    async def start(self, entrances: Sequence[Entrance]) -> list[str]:
        """Listen; returns the addresses with the ports that were given. Raises PreconditionError when one is taken."""
        bound = []
        for entrance in entrances:
            if entrance.proofs not in self._servers:
                self._servers[entrance.proofs] = self._server(entrance.proofs)
            bound.append(self._listen(self._servers[entrance.proofs], entrance))
        for server in self._servers.values():
            await server.start()
        for address in bound:
            if address.startswith("unix:"):
                os.chmod(address.removeprefix("unix:"), 0o660)  # noqa: PTH101 - the owner and its group, nobody else
        for service in ("", *self._methods, HEALTH):
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        return bound

    async def stop(self) -> None:
        """Say that we go, take no new call, let those under way finish."""
        await self._health.enter_graceful_shutdown()
        await asyncio.gather(*(server.stop(GRACE_S) for server in self._servers.values()))

    def _server(self, proofs: frozenset[Proof]) -> aio.Server:
        """Make the server of all addresses on which the same is asked: a call does not tell by which it came."""
        largest = max(method.message_bytes_max for table in self._methods.values() for method in table.values())
        server = aio.server(
            options=(
                ("grpc.so_reuseport", 0),  # a second process on the same port is a mistake, not a helper
                ("grpc.max_receive_message_length", largest),
            )
        )
        for service, table in self._methods.items():
            handlers = {
                name: self._served(method, NEEDED[f"{service}/{name}"], proofs) for name, method in table.items()
            }
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if Proof.NONE in proofs:
            reflection.enable_server_reflection((*self._methods, HEALTH, reflection.SERVICE_NAME), server)
        return server

    def _listen(self, server: aio.Server, entrance: Entrance) -> str:
        address = entrance.address
        if address.startswith("unix:"):
            refuse_taken_path(Path(address.removeprefix("unix:")))
        try:
            if entrance.tls:
                port = server.add_secure_port(address, self._server_credentials(entrance))
            else:
                port = server.add_insecure_port(address)
        except RuntimeError as error:
            raise PreconditionError(f"cannot listen on {address}: is another process there?") from error
        return address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"

    def _server_credentials(self, entrance: Entrance) -> grpc.ServerCredentials:
        assert self._tls is not None, "an entrance with TLS has a certificate"
        asked = Proof.MTLS in entrance.proofs
        return grpc.ssl_server_credentials(
            [(self._tls.key, self._tls.certificate)],
            root_certificates=self._tls.client_ca if asked else None,
            require_client_auth=asked,
        )

    def _served(
        self, method: Method[Any], needed: Role, proofs: frozenset[Proof]
    ) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Parse here, not in grpcio: what it says of malformed bytes and of exceptions is not for callers."""

        async def call(raw: bytes, context: aio.ServicerContext[bytes, bytes]) -> bytes:
            if len(raw) > method.message_bytes_max:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the message is larger than this method takes")
            wait_s = self._deadline_s
            if (remaining_s := context.time_remaining()) is not None:
                wait_s = min(wait_s, remaining_s)
            try:
                caller = self._credentials.caller_of(_authorization(context), _peer(context, proofs))
                caller.may(needed)
                try:
                    request = method.request_type.FromString(raw)
                except DecodeError as error:
                    raise MalformedMessageError(method.request_type.DESCRIPTOR.full_name) from error
                for customer in method.customers(request):
                    caller.check_customer(customer)
                answered = await method.answer(request, asyncio.get_running_loop().time() + wait_s)
                return answered.SerializeToString()
            except Exception as error:  # noqa: BLE001 - whatever it is, it stops here
                code, status = status_of(error)
            await context.abort(code, status.message, ((DETAILS, status.SerializeToString()),))
            raise AssertionError("abort raises")

        return grpc.unary_unary_rpc_method_handler(call, request_deserializer=None, response_serializer=None)


def _authorization(context: aio.ServicerContext[bytes, bytes]) -> str | None:
    sent = [value for name, value in context.invocation_metadata() or () if name == "authorization"]
    return the_one(value if isinstance(value, str) else value.decode("latin-1") for value in sent)


def _peer(context: aio.ServicerContext[bytes, bytes], proofs: frozenset[Proof]) -> Peer:
    if Proof.MTLS not in proofs:
        return Peer(proofs)
    names = context.auth_context().get("x509_subject_alternative_name", ())
    return Peer(proofs, tuple(name.decode("latin-1") for name in names))


class _Health(health.HealthServicer):  # type: ignore[misc] # it has no types
    """The library's, with the method that it lacks."""

    async def List(self, _: health_pb2.HealthListRequest, __: object) -> health_pb2.HealthListResponse:  # noqa: N802
        """Say how every service is."""
        statuses = {name: health_pb2.HealthCheckResponse(status=status) for name, status in self._server_status.items()}
        return health_pb2.HealthListResponse(statuses=statuses)
