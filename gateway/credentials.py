"""Who calls, and what they may do: API keys and names in client certificates, held in memory, found without waiting.

A key is looked up by its SHA-256: it has 160 bits of chance in it, so that nobody can guess one from its digest, and a
slow hash would only make a call slow. A dictionary's timing may tell about digests, from which no key can be made.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from gateway.errors import (
    PermissionDeniedError,
    PreconditionError,
    StoreCorruptError,
    StoreUnavailableError,
    UnauthenticatedError,
)
from gateway.settings import Proof

if TYPE_CHECKING:
    from collections.abc import Iterable


class Role(StrEnum):
    """What a credential is for."""

    CHECK = "check"
    BILLING = "billing"
    ADMIN = "admin"


class Mode(StrEnum):
    """Which of two worlds a credential belongs to; neither sees the other's customers, counters and invoices."""

    LIVE = "live"
    TEST = "test"


NEEDED: Final = {
    "gateway.v1.EntitlementService/CheckEntitlement": Role.CHECK,
    "gateway.v1.EntitlementService/BatchCheckEntitlements": Role.CHECK,
    "gateway.v1.EntitlementService/ReserveQuota": Role.CHECK,
    "gateway.v1.EntitlementService/ExtendReservation": Role.CHECK,
    "gateway.v1.EntitlementService/CommitReservation": Role.CHECK,
    "gateway.v1.EntitlementService/ReleaseReservation": Role.CHECK,
    "gateway.v1.EntitlementService/ListEntitlements": Role.CHECK,
    "gateway.v1.EntitlementService/RefundUsage": Role.BILLING,
    "gateway.v1.UsageService/QueryUsage": Role.BILLING,
    "gateway.v1.UsageService/IngestUsage": Role.CHECK,
    "gateway.v1.InvoiceService/PreviewInvoice": Role.BILLING,
    "gateway.v1.CatalogService/ApplyCatalog": Role.ADMIN,
    "gateway.v1.CustomerService/CreateCustomer": Role.ADMIN,
    "gateway.v1.SubscriptionService/CreateSubscription": Role.ADMIN,
}
"""The role that each method needs; ADMIN may call every one. A door cannot serve a method that has no row."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: `customers` are the only ones it may name, None for all of them."""

    name: str
    role: Role
    mode: Mode = Mode.LIVE
    customers: frozenset[str] | None = None

    def may(self, role: Role) -> None:
        """Let it call a method that needs this role. Raises PermissionDeniedError."""
        if self.role is not role and self.role is not Role.ADMIN:
            wanted = role if role is Role.ADMIN else f"{role} or {Role.ADMIN}"
            raise PermissionDeniedError(f"this credential's role is {self.role}; expected {wanted}")

    def check_customer(self, customer: str | None) -> None:
        """Let it name a customer, or, with None, do what concerns every customer. Raises PermissionDeniedError."""
        if self.customers is None or customer in self.customers:
            return
        if customer is None:
            raise PermissionDeniedError("this credential is for some customers only, and this concerns all of them")
        shown = ascii(customer[:64])
        raise PermissionDeniedError(f"this credential is not for customer {shown}; expected one that it was made for")


ANYBODY: Final = Caller("anybody", Role.ADMIN)
"""Who calls where nobody is asked."""


@dataclass(frozen=True, slots=True)
class Peer:
    """How a connection came: what is asked where it came in, and the names in its verified certificate."""

    proofs: frozenset[Proof]
    names: tuple[str, ...] = ()


# keys

SECRET_CHARACTERS: Final = 27
"""Of 62 possible ones each: 160.8 bits."""
_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKSUM_CHARACTERS: Final = 6
_SHOWN_CHARACTERS: Final = 4
_KEY: Final = re.compile(
    f"tk_({'|'.join(Mode)})_[0-9A-Za-z]{{{SECRET_CHARACTERS}}}([0-9A-Za-z]{{{_CHECKSUM_CHARACTERS}}})"
)
_BEARER: Final = re.compile(r"(?i:bearer) +(\S+)")


def new_key(mode: Mode) -> str:
    """Draw a key: `tk_live_` or `tk_test_`, 27 characters by chance, and a checksum of six over all that."""
    body = f"tk_{mode}_" + "".join(secrets.choice(_BASE62) for _ in range(SECRET_CHARACTERS))
    return body + _checksum(body)


def is_key(text: str) -> bool:
    """Tell a key from a mistyped one without asking anybody, as a scanner for leaked keys does."""
    return _KEY.fullmatch(text) is not None and _checksum(text[:-_CHECKSUM_CHARACTERS]) == text[-_CHECKSUM_CHARACTERS:]


def shown_prefix(key: str) -> str:
    """Return what may be shown of a key for ever: enough to find it in a list, far from enough to use it."""
    return key[: key.rindex("_") + 1 + _SHOWN_CHARACTERS]


def digest_of(key: str) -> str:
    """Return what is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def _checksum(body: str) -> str:
    number, written = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM_CHARACTERS):
        number, digit = divmod(number, 62)
        written = _BASE62[digit] + written
    return written


# what is published of them


class Credential(msgspec.Struct, frozen=True, omit_defaults=True):
    """One credential in force, by the digest of its key or by the name in its certificate.

    Role and mode are texts: a gateway that does not know one leaves out that credential, not all of them.
    """

    credential: int
    role: str
    mode: str
    name: str = ""
    digest: str | None = None
    certificate_name: str | None = None
    customers: tuple[str, ...] | None = None


class CredentialsDocument(msgspec.Struct, frozen=True):
    """Every credential in force; the version rises with each one that is made or revoked."""

    version: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
    credentials: tuple[Credential, ...]


_document: Final = msgspec.json.Decoder(CredentialsDocument)


class Credentials:
    """Every credential in force, as it was last published."""

    def __init__(self) -> None:
        self.generation = 0
        """Rises whenever what a credential resolves to may have changed: an answer is good under its generation."""
        self._document: bytes | None = None
        self._version: int | None = None
        self._by_digest: dict[str, Caller] = {}
        self._by_name: dict[str, Caller] = {}

    def caller_of(self, authorization: str | None, peer: Peer) -> Caller:
        """Say who calls. Raises UnauthenticatedError, and StoreUnavailableError while nothing is known of credentials.

        A key that is sent is never passed over, also where none is asked for: who sends one means what it says.
        """
        # 1. A key. 2. A certificate. 3. Nobody is asked here. 4. Nothing of what is asked for.
        if authorization is not None:
            if peer.proofs == {Proof.MTLS}:
                raise UnauthenticatedError("keys do not count on this address; send no authorization")
            caller = self._of_key(authorization)
        elif Proof.MTLS in peer.proofs and peer.names:
            caller = self._of_certificate(peer.names)
        elif Proof.NONE in peer.proofs:
            return ANYBODY
        elif Proof.KEYS in peer.proofs:
            raise UnauthenticatedError("no key was sent; expected the metadata authorization: Bearer KEY")
        else:
            raise UnauthenticatedError("the client certificate has no name; expected a SAN with a URI or a DNS name")
        if caller.mode is not Mode.LIVE:
            raise PreconditionError("test mode is not served yet; use a key that begins with tk_live_")
        return caller

    def hold(self, document: bytes) -> bool:
        """Take in what was published; tells whether it is what is held now: one older than that never is.

        So what is revoked stays so, whatever Redis goes back to. Raises StoreCorruptError when it is none of ours.
        """
        if document == self._document:
            return True
        try:
            found = _document.decode(document)
        except msgspec.DecodeError as error:
            raise StoreCorruptError(f"the credentials cannot be read ({error})") from error
        if self._version is not None and found.version <= self._version:
            return found.version == self._version
        known = [(one, caller) for one in found.credentials if (caller := _caller(one)) is not None]
        self._by_digest = {one.digest: caller for one, caller in known if one.digest is not None}
        self._by_name = {one.certificate_name: caller for one, caller in known if one.certificate_name is not None}
        self._document, self._version = document, found.version
        self.generation += 1
        return True

    def forget(self) -> None:
        """Know nothing any more: what is held is too old to be believed."""
        self._document = self._version = None
        self._by_digest, self._by_name = {}, {}
        self.generation += 1

    def _of_key(self, authorization: str) -> Caller:
        bearer = _BEARER.fullmatch(authorization)
        if bearer is None:
            raise UnauthenticatedError("the authorization is malformed; expected: Bearer KEY")
        if not is_key(bearer[1]):
            raise UnauthenticatedError("what was sent is no key, or is mistyped; expected tk_live_… as it was printed")
        self._be_loaded()
        caller = self._by_digest.get(digest_of(bearer[1]))
        if caller is None:
            raise UnauthenticatedError("the key is unknown or revoked")
        return caller

    def _of_certificate(self, names: Iterable[str]) -> Caller:
        self._be_loaded()
        callers = {name: self._by_name[name] for name in names if name in self._by_name}
        if not callers:
            raise UnauthenticatedError(
                "no name in the client certificate is known here; see: tollkeeper key create --san"
            )
        if len(callers) > 1:
            raise UnauthenticatedError(
                f"the client certificate stands for several callers: {', '.join(sorted(callers))}"
            )
        return next(iter(callers.values()))

    def _be_loaded(self) -> None:
        if self._version is None:
            raise StoreUnavailableError("the credentials are not loaded yet")


def the_one(values: Iterable[str]) -> str | None:
    """Return the only value that the metadata `authorization` has. Raises UnauthenticatedError where there are two."""
    sent = tuple(values)
    if len(sent) > 1:
        raise UnauthenticatedError("authorization was sent more than once; expected one")
    return sent[0] if sent else None


def _caller(one: Credential) -> Caller | None:
    """Compile a credential; None when a newer gateway made it and it means nothing here."""
    try:
        role, mode = Role(one.role), Mode(one.mode)
    except ValueError:
        return None
    name = one.name or f"credential {one.credential}"
    return Caller(name, role, mode, None if one.customers is None else frozenset(one.customers))
