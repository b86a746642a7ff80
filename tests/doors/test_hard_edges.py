"""What a review found between the parts: values that no one of them was to blame for, each with its mend."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from grpc import StatusCode, aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from msgspec.structs import replace

from gateway import entitlements
from gateway.client import GatewayError
from gateway.counters.connection import Address, Connection
from gateway.documents import customer_document
from gateway.entitlements import Wanted
from gateway.errors import StoreCorruptError
from gateway.v1.entitlement_pb2 import CheckEntitlementRequest, Reason
from tests.conftest import SAMPLE
from tests.doors.test_connection import greet, peer
from tests.doors.test_consume import ORDER, USE, Bucket, bucket
from tests.doors.test_entitlements import ACME, BASIC, CUSTOMER, PLAN, encoded, features, held

if TYPE_CHECKING:
    import redis.asyncio

    from tests.conftest import Running

__all__ = ["bucket"]  # the fixture


async def test_a_counter_that_is_none_costs_no_half_a_claim(bucket: Bucket) -> None:
    """What cannot be added to is refused before the event is written."""
    await bucket.redis.hset(USE, mapping={"calls": "007", ".v": "3"})
    before = await bucket.everything()
    await bucket.kind(1, replace(ORDER, key=None))
    assert await bucket.everything() == before


def test_who_was_found_is_not_unknown_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found, then driven out of memory, then Redis is away: that customer is not loaded, never unknown."""
    monkeypatch.setattr(entitlements, "CUSTOMERS_MAX", 1)
    memory = held(0)
    other = customer_document("other")
    memory.hold(other, None, 0)
    memory.hold(other, encoded(CUSTOMER, customer="other"), 40)
    memory.hold(ACME, encoded(CUSTOMER), 41)
    assert memory.find("other", 42, reachable=False) == Wanted(other)


@pytest.mark.parametrize(
    ("document", "content"),
    [
        (ACME, encoded(CUSTOMER, bucket=64)),
        (ACME, encoded(CUSTOMER, bucket=-1)),
        (ACME, encoded(CUSTOMER, version=0)),
        (ACME, encoded(CUSTOMER, customer="other")),
        (ACME, encoded(CUSTOMER, anchor_ms=10**18)),
        (BASIC, encoded(PLAN, **features(ceiling=-1))),
        (BASIC, encoded(PLAN, **features(ceiling=2**53))),
        (BASIC, encoded(PLAN, plan="other")),
    ],
)
def test_a_document_out_of_range_or_of_another_is_not_taken_in(document: str, content: bytes) -> None:
    """A wrong bucket would reach another customer's keys, a wrong anchor no calendar."""
    with pytest.raises(StoreCorruptError):
        held().hold(document, content, 100)


async def test_a_document_that_is_not_taken_in_denies_its_customer_alone(
    office: Running, redis_client: redis.asyncio.Redis
) -> None:
    """One broken document costs one customer its answer, and the connection nothing."""
    broken = {**CUSTOMER, "customer": "evil", "root": "evil", "bucket": 99, "plan": "developer", "plan_version": 1}
    await redis_client.set("doc:l:evil", encoded(broken))
    assert (await office.client.check("evil", "input_tokens")).reason == Reason.STORE_UNAVAILABLE
    assert (await office.client.check("acme", "input_tokens")).allowed


def test_a_socket_s_path_may_be_quoted() -> None:
    """A folder with a space is written with %20 in a URL."""
    assert Address.parse("unix:///run/a%20b/redis.sock").path == "/run/a b/redis.sock"


async def test_an_answer_that_nobody_asked_for_closes_the_connection() -> None:
    """Behind it no reply could be told apart; it is closed, and nothing else happens."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greet(reader, writer)
        writer.write(b"+unasked\r\n")

    lost = asyncio.Event()
    async with peer(serve) as address, asyncio.timeout(5):
        await Connection.open(address, on_lost=lost.set)
        await lost.wait()


async def test_a_bug_in_one_reply_costs_nobody_else_s(redis_url: str) -> None:
    """An exception in a callback is logged; the replies behind it arrive."""
    connection = await Connection.open(Address.parse(redis_url))
    connection.send(b"PING\r\n", lambda _: 1 // 0)
    assert await connection.call("ECHO", "still here") == b"still here"
    connection.close()


@pytest.mark.parametrize("count", [40, 1000])
async def test_more_mistakes_than_fit_are_still_an_error_of_ours(office: Running, count: int) -> None:
    """However much is wrong with a batch, the answer is INVALID_ARGUMENT with the first of it."""
    wrong = [CheckEntitlementRequest(customer="{x}", feature="", quantity=0)] * count
    with pytest.raises(GatewayError, match=r"claims\[0\]\.customer") as refused:
        await office.client.batch_check(wrong)
    assert (refused.value.code, refused.value.cause) == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


async def test_more_problems_than_fit_are_still_a_catalog_s(office: Running) -> None:
    """A catalog with a hundred mistakes is refused as one with three."""
    name = "a_rather_long_name_of_something_"
    wrong = "\n".join(f"  {name}{number}: {{type: metered, meter: {name}{number}}}" for number in range(99))
    with pytest.raises(GatewayError, match="line ") as refused:
        await office.client.apply_catalog(SAMPLE.replace("features:", f"features:\n{wrong}", 1))
    assert (refused.value.code, refused.value.cause) == (StatusCode.INVALID_ARGUMENT, "CATALOG_INVALID")


async def test_health_lists_every_service(office: Running) -> None:
    """grpc.health.v1 has a List, which the library's server does not answer by itself."""
    async with aio.insecure_channel(office.target) as channel:
        listed = await health_pb2_grpc.HealthStub(channel).List(health_pb2.HealthListRequest())
    serving = health_pb2.HealthCheckResponse.SERVING
    assert listed.statuses[""].status == listed.statuses["gateway.v1.EntitlementService"].status == serving
