"""The lane's listeners: TCP and unix sockets, TLS where it is asked for, and an end that answers what is under way."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, Final

from gateway.errors import PreconditionError
from gateway.lane.connection import Connection
from gateway.listening import BACKLOG, name_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from gateway.lane.lane import Lane

GRACE_S: Final = 2.0
HANDSHAKE_S: Final = 10.0


class LaneDoor:
    """Listens for one lane."""

    def __init__(self, lane: Lane, *, grace_s: float = GRACE_S) -> None:
        """Stopping takes no longer than `grace_s`."""
        self._lane = lane
        self._grace_s = grace_s
        self._servers: list[asyncio.Server] = []
        self._started = False

    async def serve(
        self,
        listening: socket.socket,
        peer_of: Callable[[asyncio.Transport], Any],
        *,
        tls: ssl.SSLContext | None = None,
    ) -> str:
        """Take connections from a socket that listens, and close it in the end; returns its address.

        `peer_of` says of a connection how it came.
        """
        if not self._started:
            self._started = True
            self._lane.start()
        address = name_of(listening)
        server = await self._lane.loop.create_server(
            lambda: Connection(self._lane, peer_of),
            sock=listening,
            ssl=tls,
            backlog=BACKLOG,
            ssl_handshake_timeout=None if tls is None else HANDSHAKE_S,
        )
        self._servers.append(server)
        return address

    async def stop(self) -> None:
        """Take no new connection, say goodbye on every other, answer what is under way; within the grace."""
        for server in self._servers:
            server.close()
        for connection in list(self._lane.connections):
            connection.leave()
        until_s = self._lane.loop.time() + self._grace_s
        while self._lane.connections and self._lane.loop.time() < until_s:  # noqa: ASYNC110 - at exit
            await asyncio.sleep(0.005)
        for connection in list(self._lane.connections):
            connection.abort()
        self._lane.stop()


def tls_context(certificate: str, key: str, *, callers: str | None = None) -> ssl.SSLContext:
    """Make what TLS needs of PEM files; with `callers`, those that sign callers' certificates, who has none is refused.

    Raises PreconditionError when the files do not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")  # what RFC 9113 leaves of TLS 1.2
    context.set_alpn_protocols(["h2"])
    try:
        context.load_cert_chain(certificate, key)
        if callers is not None:
            context.load_verify_locations(callers)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise PreconditionError(f"TLS cannot be set up with {certificate}, {key} and {callers}: {error}") from error
    return context
