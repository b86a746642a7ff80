"""Which certificate a process shows, and whose certificates it takes: read and checked once, at start."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.settings import PREFIX, SettingsError

if TYPE_CHECKING:
    from gateway.settings import Settings


@dataclass(frozen=True, slots=True, repr=False)
class ServerTls:
    """What a door shows, in PEM as it was read; repr shows nothing of it."""

    certificate: bytes
    """With its chain."""
    key: bytes
    client_ca: bytes | None
    """Who signs the certificates that clients must show; None when they need not show any."""


@dataclass(frozen=True, slots=True, repr=False)
class ClientTls:
    """Whom a client trusts, and what it shows to a gateway that asks."""

    server_ca: bytes
    certificate: bytes | None
    key: bytes | None


def server_tls(settings: Settings) -> ServerTls | None:
    """Read what the doors need; None without a certificate.

    Raises SettingsError when a file is missing or no PEM, or when key and certificate are no pair.
    """
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    certificate, key = _pair(settings.tls_certificate, settings.tls_key)
    client_ca = None if settings.tls_client_ca is None else _authority("TLS_CLIENT_CA", settings.tls_client_ca)
    return ServerTls(certificate, key, client_ca)


def client_tls(settings: Settings) -> ClientTls | None:
    """Read what a client needs; None without the CA of the gateways it asks. Raises SettingsError as above."""
    if settings.tls_server_ca is None:
        return None
    server_ca = _authority("TLS_SERVER_CA", settings.tls_server_ca)
    if settings.tls_certificate is None or settings.tls_key is None:
        return ClientTls(server_ca, None, None)
    return ClientTls(server_ca, *_pair(settings.tls_certificate, settings.tls_key))


def _authority(name: str, path: str) -> bytes:
    text = _read(name, path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        raise SettingsError(f"{PREFIX}{name}: {path} holds no certificates ({error.reason}); expected PEM") from error
    return text


def _pair(certificate: str, key: str) -> tuple[bytes, bytes]:
    """Read a certificate and its key, and see that they belong together."""

    def no_passphrase() -> str:
        raise SettingsError(f"{PREFIX}TLS_KEY: {key} wants a passphrase; expected a key without one")

    read = _read("TLS_CERTIFICATE", certificate), _read("TLS_KEY", key)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, no_passphrase)
    except ssl.SSLError as error:
        raise SettingsError(
            f"{PREFIX}TLS_CERTIFICATE: {certificate} and {key} are no pair ({error.reason}); "
            "expected a certificate in PEM and the key it was made with"
        ) from error
    return read


def _read(name: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SettingsError(f"{PREFIX}{name}: {path} cannot be read ({error.strerror})") from error
