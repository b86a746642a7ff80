"""Who calls is found in memory, by a key or by a certificate's name, and may do what it was made for and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.credentials import ANYBODY, Caller, Credential, Credentials, Mode, Role, new_key
from gateway.errors import (
    PermissionDeniedError,
    PreconditionError,
    StoreCorruptError,
    StoreUnavailableError,
    UnauthenticatedError,
)
from gateway.settings import Proof
from tests.core.credentials_held import KEYS, LIVE, REVOKED, TEST, WORKLOAD, document, held, of_key, peer

if TYPE_CHECKING:
    from collections.abc import Callable


def test_where_nobody_is_asked_a_key_that_is_sent_still_counts() -> None:
    """Without one anybody may do anything; with one its holder means what it says, wrong or of test mode too."""
    known, here = held(of_key(LIVE, "check"), of_key(TEST, "admin", "test")), peer(Proof.NONE)
    assert known.caller_of(None, here) is ANYBODY
    ANYBODY.may(Role.ADMIN)
    ANYBODY.check_customer(None)
    assert known.caller_of(f"Bearer {LIVE}", here).role is Role.CHECK
    with pytest.raises(UnauthenticatedError):
        known.caller_of(f"Bearer {REVOKED}", here)
    with pytest.raises(PreconditionError):
        known.caller_of(f"Bearer {TEST}", here)


def test_a_certificate_is_the_caller_that_its_name_stands_for() -> None:
    """Among other names too; a name of a live one and of another at once is nobody, and so is one without names."""
    other = Credential(3, "admin", "live", certificate_name="ops.example.org")
    known = held(Credential(2, "check", "live", certificate_name=WORKLOAD), other)
    mtls = lambda *names: peer(Proof.MTLS, names=names)  # noqa: E731 - a name for a call
    assert known.caller_of(None, mtls("localhost", WORKLOAD)) == Caller("credential 2", Role.CHECK)
    for names, why in (((), "no name"), (("localhost",), "is known"), ((WORKLOAD, "ops.example.org"), "several")):
        with pytest.raises(UnauthenticatedError, match=why):
            known.caller_of(None, mtls(*names))
    with pytest.raises(UnauthenticatedError, match="no key"):
        known.caller_of(None, peer(Proof.KEYS, names=(WORKLOAD,)))


def test_a_key_goes_before_a_certificate_and_counts_only_where_keys_do() -> None:
    """Where both are taken the key says more; where only certificates are it is refused, not passed over."""
    known = held(of_key(LIVE, "admin"), Credential(2, "check", "live", certificate_name=WORKLOAD))
    both = peer(Proof.KEYS, Proof.MTLS, names=(WORKLOAD,))
    assert known.caller_of(f"Bearer {LIVE}", both).role is Role.ADMIN
    assert known.caller_of(None, both).role is Role.CHECK
    with pytest.raises(UnauthenticatedError):
        known.caller_of(f"Bearer {REVOKED}", both)
    with pytest.raises(UnauthenticatedError, match="do not count"):
        known.caller_of(f"Bearer {LIVE}", peer(Proof.MTLS, names=(WORKLOAD,)))


@pytest.mark.parametrize("role", Role)
def test_a_test_credential_is_refused_whatever_its_role(role: Role) -> None:
    """No caller of test mode comes out, by key or by certificate, so that none can see anything live."""
    known = held(of_key(TEST, role, "test"), Credential(2, role, "test", certificate_name=WORKLOAD))
    for authorization, who in ((f"Bearer {TEST}", KEYS), (None, peer(Proof.MTLS, names=(WORKLOAD,)))):
        with pytest.raises(PreconditionError, match="test mode"):
            known.caller_of(authorization, who)


# what they may do


def test_a_role_may_what_it_is_for_and_admin_everything() -> None:
    """Every role against every need."""
    allowed = {(role, role) for role in Role} | {(Role.ADMIN, needed) for needed in Role}
    for role in Role:
        for needed in Role:
            if (role, needed) in allowed:
                Caller("c", role).may(needed)
            else:
                with pytest.raises(PermissionDeniedError, match=rf"role is {role}; expected .*admin"):
                    Caller("c", role).may(needed)


def test_a_caller_names_the_customers_it_was_made_for() -> None:
    """One that may name some may do nothing that concerns all; what it named is shown cut and in ASCII."""
    some = Caller("c", Role.ADMIN, customers=frozenset(("acme",)))
    some.check_customer("acme")
    for customer in (None, "umbrella", "", "acme ", "ACME", "\u0430cme", "\n" * 100_000):
        with pytest.raises(PermissionDeniedError) as refused:
            some.check_customer(customer)
        assert str(refused.value).isascii()
        assert str(refused.value).isprintable()
        assert len(str(refused.value)) < 300
    with pytest.raises(PermissionDeniedError):
        Caller("c", Role.ADMIN, customers=frozenset()).check_customer("acme")
    Caller("c", Role.ADMIN).check_customer("umbrella")


# how it is kept


def test_nobody_is_known_and_nobody_unknown_before_they_are_loaded() -> None:
    """A good key is not called bad: the caller is to try again. What is no key at all is told so at once."""
    empty = Credentials()
    for authorization, who in ((f"Bearer {LIVE}", KEYS), (None, peer(Proof.MTLS, names=(WORKLOAD,)))):
        with pytest.raises(StoreUnavailableError):
            empty.caller_of(authorization, who)
    with pytest.raises(UnauthenticatedError):
        empty.caller_of("Bearer nonsense", KEYS)


def test_the_generation_rises_with_every_change_and_with_nothing_else() -> None:
    """A newer version and forgetting raise it; the same version again, an older one and garbage do not."""
    known = held(of_key(LIVE))
    generation = known.generation

    def raised_by(change: Callable[[], object]) -> int:
        nonlocal generation
        before, _ = generation, change()
        generation = known.generation
        return generation - before

    assert raised_by(lambda: known.hold(document(5, of_key(LIVE)))) == 0
    assert raised_by(lambda: known.hold(document(6))) == 1
    assert raised_by(known.forget) == 1
    assert raised_by(lambda: known.hold(document(6, of_key(LIVE)))) == 1


def test_an_older_document_never_comes_back() -> None:
    """A Redis that fell back to an old file does not bring a revoked key back, nor does it confirm anything."""
    known = held(of_key(LIVE))
    assert known.hold(document(6))
    assert known.hold(document(6))
    assert not known.hold(document(5, of_key(LIVE)))
    with pytest.raises(UnauthenticatedError):
        known.caller_of(f"Bearer {LIVE}", KEYS)


@pytest.mark.parametrize(
    "raw", [b"", b"null", b"[]", b"{", b"\xff", b'{"version":1}', b'{"version":-1,"credentials":[]}', b'"text"']
)
def test_what_is_no_document_changes_nothing(raw: bytes) -> None:
    """It is an error of the store, and what was held is held."""
    known = held(of_key(LIVE))
    with pytest.raises(StoreCorruptError):
        known.hold(raw)
    assert known.caller_of(f"Bearer {LIVE}", KEYS).name == "api"


def test_a_role_of_a_newer_gateway_is_nobody_s() -> None:
    """One credential that means nothing here costs only its own holder."""
    newer = new_key(Mode.LIVE)
    known = held(of_key(newer, "auditor"), of_key(TEST, "admin", "sandbox"), of_key(LIVE))
    assert known.caller_of(f"Bearer {LIVE}", KEYS).role is Role.CHECK
    for key in (newer, TEST):
        with pytest.raises(UnauthenticatedError):
            known.caller_of(f"Bearer {key}", KEYS)
