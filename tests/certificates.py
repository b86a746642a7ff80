"""Certificates for the tests of TLS: an authority of their own, and what it signs, good and bad."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    certificate: str
    key: str


class Authority:
    """Signs certificates; `file` holds its own."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        basics = x509.BasicConstraints(ca=True, path_length=None)
        made = self._signed(self._name, self._key, basics, [], DAY)
        self.file = str(folder / f"{name}.pem")
        (folder / f"{name}.pem").write_bytes(made.public_bytes(Encoding.PEM))

    def issue(self, name: str, *alternatives: x509.GeneralName, valid_for: dt.timedelta = DAY) -> Pair:
        """Sign a certificate with these alternative names; a negative time makes one that has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        basics = x509.BasicConstraints(ca=False, path_length=None)
        made = self._signed(subject, key, basics, alternatives, valid_for)
        pair = Pair(str(self._folder / f"{name}.crt"), str(self._folder / f"{name}.key"))
        (self._folder / f"{name}.crt").write_bytes(made.public_bytes(Encoding.PEM))
        (self._folder / f"{name}.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return pair

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        basics: x509.BasicConstraints,
        alternatives: list[x509.GeneralName] | tuple[x509.GeneralName, ...],
        valid_for: dt.timedelta,
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * DAY)
            .not_valid_after(now + valid_for)
            .add_extension(basics, critical=True)
        )
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return builder.sign(self._key, hashes.SHA256())


def localhost() -> tuple[x509.GeneralName, ...]:
    """Name this machine, as a server's certificate does."""
    return x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
