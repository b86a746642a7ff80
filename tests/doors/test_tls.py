"""TLS on the grpcio door: who shows a certificate of the right authority is known by its name, nobody else gets in."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from grpc import StatusCode

from gateway import app
from gateway.client import Gateway, GatewayError
from gateway.credentials import Mode, Role
from gateway.settings import Proof, Settings, SettingsError
from gateway.tls import client_tls, server_tls
from tests.certificates import DAY, Authority, Pair, localhost
from tests.letting_in import let_in, make_key, revoke

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WORKLOAD = "spiffe://example.org/api"


@dataclass(frozen=True)
class Party:
    """Two authorities, of which the gateway knows the first, and what the first signed for it."""

    ours: Authority
    foreign: Authority
    server: Pair

    def settings(self, *auth: Proof) -> Settings:
        """Set what the gateway needs."""
        return Settings(
            auth=auth,
            tls_certificate=self.server.certificate,
            tls_key=self.server.key,
            tls_client_ca=self.ours.file if Proof.MTLS in auth else None,
        )

    def client(self, target: str, shown: Pair | None = None, *, key: str | None = None, ca: str = "") -> Gateway:
        """Make a client that shows a certificate."""
        settings = Settings(
            tls_server_ca=ca or self.ours.file,
            tls_certificate=shown and shown.certificate,
            tls_key=shown and shown.key,
        )
        return Gateway(target, key=key, tls=client_tls(settings))


@pytest.fixture
def party(tmp_path: Path) -> Party:
    """Everybody's certificates."""
    ours = Authority(tmp_path, "ours")
    return Party(ours, Authority(tmp_path, "foreign"), ours.issue("server", *localhost()))


@asynccontextmanager
async def gateway(settings: Settings, redis_url: str, postgres_url: str) -> AsyncIterator[str]:
    """Run an office on a port of loopback; yields where."""
    async with app.office(settings, redis_url, postgres_url, ["127.0.0.1:0"]) as office:
        yield office.listen[0]


async def refused(client: Gateway) -> tuple[StatusCode, str]:
    """Ask, and tell how that was refused."""
    async with client:
        with pytest.raises(GatewayError) as error:
            await client.check("acme", "input_tokens")
    return error.value.code, error.value.cause


async def test_a_certificate_s_name_is_its_caller(party: Party, redis_url: str, postgres_url: str) -> None:
    """A URI or a DNS name, with the role that it was let in with, until it is revoked."""
    uri = party.ours.issue("api", x509.UniformResourceIdentifier(WORKLOAD))
    dns = party.ours.issue("ops", x509.DNSName("localhost"), x509.DNSName("ops.example.org"))
    number = await let_in(postgres_url, WORKLOAD)
    await let_in(postgres_url, "ops.example.org", Role.ADMIN)
    async with (
        gateway(party.settings(Proof.MTLS), redis_url, postgres_url) as target,
        party.client(target, uri) as api,
        party.client(target, dns) as ops,
    ):
        assert (await ops.create_customer("acme")).name == "customers/acme"
        assert not (await api.check("acme", "input_tokens")).allowed
        with pytest.raises(GatewayError, match="role is check") as denied:
            await api.create_customer("umbrella")
        assert denied.value.code is StatusCode.PERMISSION_DENIED
        await revoke(postgres_url, number)
        await asyncio.sleep(1)  # as long as it may take
        with pytest.raises(GatewayError, match="no name in the client certificate is known"):
            await api.check("acme", "input_tokens")


async def test_whoever_shows_the_wrong_certificate_does_not_get_in(
    party: Party, redis_url: str, postgres_url: str
) -> None:
    """None, one of a foreign authority, one that expired: no connection. An unknown name, or none in it: no call."""
    name = x509.UniformResourceIdentifier(WORKLOAD)
    await let_in(postgres_url, WORKLOAD)
    await let_in(postgres_url, "test.example.org", Role.ADMIN, Mode.TEST)
    forged, expired = party.foreign.issue("forged", name), party.ours.issue("expired", name, valid_for=-DAY)
    other = party.ours.issue("other", x509.UniformResourceIdentifier(WORKLOAD + "/other"))
    nameless, of_test = party.ours.issue("nameless"), party.ours.issue("test", x509.DNSName("test.example.org"))
    nobody, unknown = (StatusCode.UNAVAILABLE, ""), (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    async with gateway(party.settings(Proof.MTLS), redis_url, postgres_url) as target:
        for shown in (None, forged, expired):
            assert await refused(party.client(target, shown)) == nobody
        for shown in (other, nameless):
            assert await refused(party.client(target, shown)) == unknown
        not_yet = (StatusCode.FAILED_PRECONDITION, "FAILED_PRECONDITION")
        assert await refused(party.client(target, of_test)) == not_yet
        assert await refused(Gateway(target, timeout_s=1)) == nobody  # in clear
        key = (await make_key(postgres_url)).key
        assert await refused(party.client(target, other, key=key)) == unknown  # keys do not count here
        good = party.ours.issue("good", name)
        async with party.client(target, good) as client:
            assert not (await client.check("acme", "input_tokens")).allowed


async def test_a_client_trusts_only_its_own_authority(party: Party, redis_url: str, postgres_url: str) -> None:
    """A gateway whose certificate another authority signed, or that expired or is somebody else's, is not asked."""
    key = (await make_key(postgres_url)).key
    settings = party.settings(Proof.KEYS)
    async with gateway(settings, redis_url, postgres_url) as target:
        assert await refused(party.client(target, ca=party.foreign.file, key=key)) == (StatusCode.UNAVAILABLE, "")
        async with party.client(target, key=key) as client:
            assert not (await client.check("acme", "input_tokens")).allowed
    expired = party.ours.issue("expired", *localhost(), valid_for=-DAY)
    elsewhere = party.ours.issue("elsewhere", x509.DNSName("elsewhere.example.org"))
    for pair in (expired, elsewhere):
        bad = replace(settings, tls_certificate=pair.certificate, tls_key=pair.key)
        async with gateway(bad, redis_url, postgres_url) as target:
            assert await refused(party.client(target, key=key)) == (StatusCode.UNAVAILABLE, "")


async def test_with_keys_and_certificates_the_key_says_more(party: Party, redis_url: str, postgres_url: str) -> None:
    """Every connection shows a certificate; a key that comes over it decides, and without one its name does."""
    shown = party.ours.issue("api", x509.UniformResourceIdentifier(WORKLOAD))
    await let_in(postgres_url, WORKLOAD)
    admin = await make_key(postgres_url, Role.ADMIN)
    async with gateway(party.settings(Proof.KEYS, Proof.MTLS), redis_url, postgres_url) as target:
        assert await refused(party.client(target, key=admin.key)) == (StatusCode.UNAVAILABLE, "")
        async with party.client(target, shown) as api, party.client(target, shown, key=admin.key) as operator:
            assert (await operator.create_customer("acme")).name == "customers/acme"
            with pytest.raises(GatewayError, match="role is check"):
                await api.create_customer("umbrella")


def test_files_that_do_not_fit_are_named(party: Party, tmp_path: Path) -> None:
    """A missing file, one that is no PEM, a key of another certificate: told at start, with what was expected."""
    other = party.ours.issue("other", *localhost())
    garbage, missing = tmp_path / "garbage.pem", str(tmp_path / "missing.pem")
    garbage.write_text("hush", encoding="utf-8")
    good = party.settings(Proof.MTLS)
    assert server_tls(good) is not None
    for changed, said in [
        ({"tls_key": other.key}, "are no pair"),
        ({"tls_certificate": missing}, "TLS_CERTIFICATE: .*missing.pem cannot be read"),
        ({"tls_key": str(garbage)}, "are no pair"),
        ({"tls_client_ca": str(garbage)}, "TLS_CLIENT_CA: .*garbage.pem holds no certificates"),
    ]:
        with pytest.raises(SettingsError, match=said) as refusal:
            server_tls(replace(good, **changed))
        assert "hush" not in str(refusal.value)
    with pytest.raises(SettingsError, match=r"TLS_SERVER_CA: .* cannot be read"):
        client_tls(Settings(tls_server_ca=missing))
    assert client_tls(Settings()) is server_tls(Settings()) is None


def test_what_was_read_is_never_shown(party: Party) -> None:
    """A key is in no repr."""
    secret = Path(party.server.key).read_text(encoding="utf-8").splitlines()[1]
    read = server_tls(party.settings(Proof.MTLS))
    assert read is not None
    assert secret in read.key.decode()
    assert secret not in repr(read)
