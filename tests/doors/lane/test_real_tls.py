"""grpcio's clients over TLS: who brings what is asked for is answered; anybody else is not, and that costs nobody."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from cryptography import x509
from grpc import aio

from gateway.lane.server import tls_context
from gateway.v1.entitlement_pb2_grpc import EntitlementServiceStub as Stub
from tests.certificates import Authority, Pair, localhost
from tests.doors.lane.both import TOKEN

if TYPE_CHECKING:
    from tests.doors.lane.both import Doors

CALLER = x509.UniformResourceIdentifier("spiffe://test/caller")


def credentials(trust: Authority, pair: Pair | None = None) -> grpc.ChannelCredentials:
    """Trust an authority, and bring a certificate or none."""
    read = [None, None] if pair is None else [Path(name).read_bytes() for name in (pair.key, pair.certificate)]
    return grpc.ssl_channel_credentials(Path(trust.file).read_bytes(), *read)


async def test_over_tls_each_client_is_answered(doors: Doors, tmp_path: Path) -> None:
    """Sync and aio, a hundred calls at once; a client that trusts another authority, or speaks cleartext, is not."""
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    server = ours.issue("server", *localhost())
    address = await doors.over_tls(tls_context(server.certificate, server.key))
    async with aio.secure_channel(address, credentials(ours)) as channel:
        answers = await asyncio.gather(*(Stub(channel).CheckEntitlement(TOKEN) for _ in range(100)))
        assert sorted(answer.used for answer in answers) == list(range(1, 101))
        async with (
            aio.secure_channel(address, credentials(theirs)) as wary,
            aio.insecure_channel(address) as careless,
        ):
            for other in (wary, careless):
                with pytest.raises(aio.AioRpcError) as refused:
                    await Stub(other).CheckEntitlement(TOKEN)
                assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert (await Stub(channel).CheckEntitlement(TOKEN)).used == 101
    with grpc.secure_channel(address, credentials(ours)) as channel:
        assert (await asyncio.to_thread(Stub(channel).CheckEntitlement, TOKEN)).used == 102


async def test_over_mtls_only_a_caller_of_ours_is_answered(doors: Doors, tmp_path: Path) -> None:
    """Without a certificate, with a stranger's or an expired one there is no connection."""
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    server = ours.issue("server", *localhost())
    address = await doors.over_tls(tls_context(server.certificate, server.key, callers=ours.file))
    caller = ours.issue("caller", CALLER)
    async with aio.secure_channel(address, credentials(ours, caller)) as channel:
        assert (await Stub(channel).CheckEntitlement(TOKEN)).used == 1
        strangers = theirs.issue("stranger", CALLER)
        expired = ours.issue("expired", CALLER, valid_for=-dt.timedelta(days=1))
        for pair in (None, strangers, expired):
            async with aio.secure_channel(address, credentials(ours, pair)) as other:
                with pytest.raises(aio.AioRpcError) as refused:
                    await Stub(other).CheckEntitlement(TOKEN)
                assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert (await Stub(channel).CheckEntitlement(TOKEN)).used == 2
