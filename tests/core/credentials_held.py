"""Credentials as the tests of this folder hold them: a few keys, and what is published of them."""

from __future__ import annotations

import msgspec

from gateway.credentials import Credential, Credentials, CredentialsDocument, Mode, Peer, digest_of, new_key
from gateway.settings import Proof

LIVE, TEST, REVOKED = new_key(Mode.LIVE), new_key(Mode.TEST), new_key(Mode.LIVE)
WORKLOAD = "spiffe://example.org/api"


def peer(*proofs: Proof, names: tuple[str, ...] = ()) -> Peer:
    """Come in where these proofs are taken."""
    return Peer(frozenset(proofs), names)


KEYS = peer(Proof.KEYS)


def document(version: int, *in_force: Credential) -> bytes:
    """Write what is published."""
    return msgspec.json.encode(CredentialsDocument(version, in_force))


def of_key(key: str, role: str = "check", mode: str = "live", customers: tuple[str, ...] | None = None) -> Credential:
    """Make a credential of a key."""
    return Credential(1, role, mode, "api", digest_of(key), None, customers)


def held(*in_force: Credential) -> Credentials:
    """Hold version 5 of the credentials."""
    made = Credentials()
    assert made.hold(document(5, *in_force))
    return made
