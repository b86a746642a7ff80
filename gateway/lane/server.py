"""The lane's listeners: TCP and unix sockets, TLS where it is asked for, and an end that answers what is under way."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gateway.errors import PreconditionError
from gateway.lane.connection import Connection
from gateway.listening import refuse_taken_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.lane.lane import Lane

GRACE_S: Final = 2.0
BACKLOG: Final = 1024
"""Connections that wait to be accepted: a thousand clients may come back at once."""

HANDSHAKE_S: Final = 10.0


class LaneDoor:
    """Listens for one lane."""

    def __init__(self, lane: Lane, *, grace_s: float = GRACE_S) -> None:
        """Stopping takes no longer than `grace_s`."""
        self._lane = lane
        self._grace_s = grace_s
        self._servers: list[asyncio.Server] = []
        self._started = False

    async def listen(
        self,
        address: str,
        peer_of: Callable[[asyncio.Transport], Any],
        *,
        tls: ssl.SSLContext | None = None,
        reuse_port: bool = False,
    ) -> str:
        """Listen; returns the address with the port that was given. Raises PreconditionError when it is taken.

        `peer_of` says of a connection how it came. With `reuse_port` other processes of ours may listen there too.
        """
        if not self._started:
            self._started = True
            self._lane.start()
        listener = _unix_socket(address) if address.startswith("unix:") else _tcp_socket(address, reuse_port=reuse_port)
        timeout_s = None if tls is None else HANDSHAKE_S
        server = await self._lane.loop.create_server(
            lambda: Connection(self._lane, peer_of),
            sock=listener,
            ssl=tls,
            backlog=BACKLOG,
            ssl_handshake_timeout=timeout_s,
        )
        self._servers.append(server)
        if address.startswith("unix:"):
            return address
        return f"{address.rpartition(':')[0]}:{listener.getsockname()[1]}"

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


def _unix_socket(address: str) -> socket.socket:
    """Bind before anybody may connect: the path is open to its owner and group only."""
    path = Path(address.removeprefix("unix:"))
    refuse_taken_path(path)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
        os.chmod(path, 0o660)  # noqa: PTH101 - as the other door does
    except OSError as error:
        listener.close()
        raise PreconditionError(f"cannot listen on {address}: {error.strerror}") from error
    return listener


def _tcp_socket(address: str, *, reuse_port: bool) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, int(port)))
    except OSError as error:
        listener.close()
        raise PreconditionError(f"cannot listen on {address}: is another process there?") from error
    return listener
