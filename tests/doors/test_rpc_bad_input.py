"""Whatever is wrong with a request: one clear error that names the field, or a denial with its reason, and no trace."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode, aio

from gateway.v1.catalog_pb2 import ApplyCatalogRequest
from gateway.v1.customer_pb2 import CreateCustomerRequest
from gateway.v1.entitlement_pb2 import BatchCheckEntitlementsRequest as Batch
from gateway.v1.entitlement_pb2 import CheckEntitlementRequest, CheckEntitlementResponse, Reason
from gateway.v1.invoice_pb2 import PreviewInvoiceRequest
from gateway.v1.subscription_pb2 import CreateSubscriptionRequest
from gateway.v1.usage_pb2 import QueryUsageRequest
from tests.conftest import SAMPLE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg
    import redis.asyncio
    from google.protobuf.message import Message

    from tests.conftest import Running

CHECK = "/gateway.v1.EntitlementService/CheckEntitlement"
BATCH = "/gateway.v1.EntitlementService/BatchCheckEntitlements"
CATALOG = "/gateway.v1.CatalogService/ApplyCatalog"
CUSTOMER = "/gateway.v1.CustomerService/CreateCustomer"
SUBSCRIPTION = "/gateway.v1.SubscriptionService/CreateSubscription"
USAGE = "/gateway.v1.UsageService/QueryUsage"
INVOICE = "/gateway.v1.InvoiceService/PreviewInvoice"
METHODS = [CHECK, BATCH, CATALOG, CUSTOMER, SUBSCRIPTION, USAGE, INVOICE]

ILL_FORMED = [
    "",
    "a" * 65,
    "{acme}",
    "a}",
    "a:b",
    "a*",
    "a b",
    " a",
    "a\n",
    "\r\na",
    "a\0",
    "a\x7f",
    "a/b",
    "../a",
    "a'--",
]
ILL_FORMED += ["\u00e9", "e\u0301", "\u0430cme", "\u202eacme", "acme\u200b", "\U0001f680", "\u0663"]


@dataclass(frozen=True)
class Refusal:
    """An error as a caller sees it, its details taken apart."""

    code: StatusCode
    message: str
    reason: str
    fields: dict[str, str]


class Door:
    """The door, spoken to in bytes, and all that lies behind it."""

    def __init__(self, channel: aio.Channel, redis: redis.asyncio.Redis, postgres: asyncpg.Connection) -> None:
        self._channel = channel
        self._redis = redis
        self._postgres = postgres

    async def ask(self, method: str, request: Message | bytes) -> bytes:
        """Send a request and return the answer's bytes."""
        raw = request if isinstance(request, bytes) else request.SerializeToString()
        call: Any = self._channel.unary_unary(method)
        answer: bytes = await call(raw, timeout=10)
        return answer

    async def refusal(self, method: str, request: Message | bytes) -> Refusal:
        """Send a request that is refused; its details hold one ErrorInfo, and nobody's own control characters."""
        with pytest.raises(aio.AioRpcError) as refused:
            await self.ask(method, request)
        error = refused.value
        trailers = dict(error.trailing_metadata() or ())
        status = Status.FromString(trailers["grpc-status-details-bin"])
        assert (status.code, status.message) == (error.code().value[0], error.details())
        info, wrong = ErrorInfo(), BadRequest()
        assert [one.Unpack(info) for one in status.details].count(True) == 1
        assert info.domain == "tollkeeper"
        assert [one.Unpack(wrong) for one in status.details].count(True) <= 1
        assert status.message.replace("\n", "").isprintable()
        assert status.message.isascii()
        fields = {one.field: one.description for one in wrong.field_violations}
        return Refusal(error.code(), status.message, info.reason, fields)

    async def everything(self) -> tuple[dict[str, tuple[bytes, int]], dict[str, list[str]]]:
        """Tell all that Redis and Postgres hold."""
        names = await self._redis.keys()
        held = {name: (await self._redis.dump(name), await self._redis.pexpiretime(name)) for name in names}
        tables = await self._postgres.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        rows = {table[0]: await self._postgres.fetch(f'TABLE "{table[0]}"') for table in tables}
        return held, {name: sorted(map(repr, found)) for name, found in rows.items()}

    @asynccontextmanager
    async def untouched(self) -> AsyncIterator[None]:
        """See that nothing changes in either store."""
        before = await self.everything()
        yield
        assert await self.everything() == before


@pytest.fixture
async def door(office: Running, redis_client: redis.asyncio.Redis, postgres: asyncpg.Connection) -> AsyncIterator[Door]:
    """A running office in which acme has used one token."""
    await office.client.check("acme", "input_tokens")
    async with aio.insecure_channel(office.target) as channel:
        made = Door(channel, redis_client, postgres)
        while (await office.client.usage("acme")).usage[0].quantity != 1:
            pass
        yield made


def claim(customer: str = "acme", feature: str = "input_tokens", **others: Any) -> CheckEntitlementRequest:
    """Make a claim that would be counted."""
    return CheckEntitlementRequest(customer=customer, feature=feature, **others)


async def test_an_ill_formed_id_is_named_with_what_was_expected(door: Door) -> None:
    """Empty, too long, or with anything but [A-Za-z0-9_.@-], wherever an id stands."""
    async with door.untouched():
        for bad in ILL_FORMED:
            for method, field, request in [
                (CHECK, "customer", claim(customer=bad)),
                (CHECK, "feature", claim(feature=bad)),
                (CHECK, "customer", claim(customer=bad, peek=True)),
                (BATCH, "claims[0].customer", Batch(claims=[claim(customer=bad)])),
                (CUSTOMER, "customer_id", CreateCustomerRequest(customer_id=bad)),
                (SUBSCRIPTION, "parent", CreateSubscriptionRequest(parent=f"customers/{bad}", plan="plans/scale")),
                (SUBSCRIPTION, "plan", CreateSubscriptionRequest(parent="customers/acme", plan=f"plans/{bad}")),
                (USAGE, "parent", QueryUsageRequest(parent=f"customers/{bad}")),
                (INVOICE, "parent", PreviewInvoiceRequest(parent=f"customers/{bad}")),
            ]:
                refusal = await door.refusal(method, request)
                assert (refusal.code, refusal.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"), bad
                assert list(refusal.fields) == [field]
                assert "1 to 64 characters of [A-Za-z0-9_.@-]" in refusal.fields[field]
                assert len(refusal.message) < 400


async def test_a_malformed_resource_name_is_refused(door: Door) -> None:
    """Only `customers/ID` names a customer."""
    names = [
        "acme",
        "customers",
        "customers/",
        "plans/acme",
        "Customers/acme",
        "customers/acme/x",
        "/acme",
        " customers/a",
    ]
    async with door.untouched():
        for method, name in product((USAGE, INVOICE, SUBSCRIPTION), ["", *names, "customers/" + "a" * 100_000]):
            request = CreateSubscriptionRequest(parent=name, plan="plans/scale")  # the parent is field 1 in all of them
            refusal = await door.refusal(method, request)
            assert (refusal.code, list(refusal.fields)) == (StatusCode.INVALID_ARGUMENT, ["parent"])
            assert "expected customers/ID" in refusal.message
            assert len(refusal.message) < 400


async def test_a_quantity_or_key_out_of_bounds_is_refused(door: Door) -> None:
    """Quantities are 1 to 2^53-1, keys up to 255 printable ASCII characters; a key is never shown."""
    wrong = [("quantity", value) for value in (0, -1, 2**53, 2**63 - 1, -(2**63))]
    wrong += [("idempotency_key", key) for key in ("k" * 256, "secret\n", "secret\0", "\x7f", "\u00e9", "\u202e")]
    async with door.untouched():
        for field, value in wrong:
            for peek in (False, True):
                refusal = await door.refusal(CHECK, claim(**{field: value}, peek=peek))
                assert (refusal.code, list(refusal.fields)) == (StatusCode.INVALID_ARGUMENT, [field])
                assert "secret" not in refusal.message


async def test_everything_that_is_wrong_is_said_at_once(door: Door) -> None:
    """Four fields are wrong, and four are named; an empty message lacks what it must have."""
    async with door.untouched():
        refusal = await door.refusal(CHECK, claim("", "{}", quantity=0, idempotency_key="\n"))
        assert list(refusal.fields) == ["customer", "feature", "quantity", "idempotency_key"]
        empty = {CHECK: ["customer", "feature"], BATCH: ["claims"], CUSTOMER: ["customer_id"], CATALOG: [""]}
        for method in METHODS:
            refusal = await door.refusal(method, b"")
            assert refusal.code is StatusCode.INVALID_ARGUMENT
            assert list(refusal.fields) == empty.get(method, ["parent"])
        wrong_wire_type = b"\x08\x01"
        assert list((await door.refusal(CHECK, wrong_wire_type)).fields) == ["customer", "feature"]


async def test_malformed_bytes_are_refused(door: Door) -> None:
    """Garbage, what is cut off, what is not UTF-8, a tag of zero and an open group are no message of any method."""
    async with door.untouched():
        for method, raw in product(METHODS, ("ffffffff", "0a056162", "0a02fffe", "0000", "0b")):
            refusal = await door.refusal(method, bytes.fromhex(raw))
            assert (refusal.code, refusal.reason) == (StatusCode.INVALID_ARGUMENT, "MALFORMED_MESSAGE")


async def test_unknown_fields_are_ignored_and_unknown_methods_refused(door: Door) -> None:
    """A newer client may say more than we understand; what is not offered and what is too large gRPC refuses."""
    async with door.untouched():
        newer = claim(peek=True).SerializeToString() + bytes.fromhex("9a060568656c6c6f")
        assert CheckEntitlementResponse.FromString(await door.ask(CHECK, newer)).allowed
        others = [CHECK + "s", "/gateway.v2.EntitlementService/CheckEntitlement", "/x"]
        for method, raw, code in [
            *((other, b"", StatusCode.UNIMPLEMENTED) for other in others),
            (CATALOG, bytes(4 * 1024 * 1024 + 1), StatusCode.RESOURCE_EXHAUSTED),
            (SUBSCRIPTION, bytes(2 * 1024 * 1024 + 1), StatusCode.RESOURCE_EXHAUSTED),
        ]:
            with pytest.raises(aio.AioRpcError) as refused:
                await door.ask(method, raw)
            assert refused.value.code() is code


async def test_a_batch_is_taken_whole_or_not_at_all(door: Door) -> None:
    """Too few, too many, one that is wrong: nothing of it is counted."""
    many = [claim()] * 1001
    bad_one = [claim(), claim(), claim(), claim(quantity=0), claim("\n", "")]
    async with door.untouched():
        for claims, fields in [
            ([], ["claims"]),
            (many, ["claims"]),
            (bad_one, ["claims[3].quantity", "claims[4].customer", "claims[4].feature"]),
        ]:
            refusal = await door.refusal(BATCH, Batch(claims=claims))
            assert (refusal.code, list(refusal.fields)) == (StatusCode.INVALID_ARGUMENT, fields)


MISTAKES = [  # what stands in the sample, what is written instead, where that is reported, what is said of it
    ("{type: metered, meter: input_tokens}", "{type: metered, meter: x}", "features.input_tokens.meter", "'x'"),
    ("10000,", '9, unit: "1"}, {up_to: 9,', "plans.developer.prices[0].tiers[1].up_to", "overlaps"),
    ('amount: "49.99"', "amount: 49.99", "plans.developer.fees[0].amount", '"49.99"'),
    ("display_name: Scale", "displayname: Scale", "plans.scale.displayname", "display_name"),
]


async def test_a_wrong_catalog_is_refused_whole(door: Door) -> None:
    """Every problem is a field violation with its line, its path and what was expected; nothing is applied."""
    source = SAMPLE
    for old, new, *_ in MISTAKES:
        source = source.replace(old, new, 1)
    for validate_only in (False, True):
        async with door.untouched():
            refusal = await door.refusal(CATALOG, ApplyCatalogRequest(source=source, validate_only=validate_only))
        assert (refusal.code, refusal.reason) == (StatusCode.INVALID_ARGUMENT, "CATALOG_INVALID")
        for _, new, path, says in MISTAKES:
            line = next(number for number, text in enumerate(source.splitlines(), start=1) if new in text)
            assert refusal.fields[path].startswith(f"line {line}: ")
            assert says in refusal.fields[path]
            assert f"line {line}: {path}: " in refusal.message


async def test_what_is_no_catalog_is_refused(door: Door) -> None:
    """Nothing, something else, a loop, control characters, a syntax error, a well: an error each, and no crash."""
    async with door.untouched():
        for source in ("", "[]", "product: x", "a: &a [*a]", "\0", "a: b: c", "plans: {" * 2000, "\u202e"):
            refusal = await door.refusal(CATALOG, ApplyCatalogRequest(source=source))
            assert (refusal.code, refusal.reason) == (StatusCode.INVALID_ARGUMENT, "CATALOG_INVALID")


async def test_what_does_not_exist_is_denied_or_not_found(door: Door) -> None:
    """A check of it is a denial with its reason; a command on it is NOT_FOUND; again is ALREADY_EXISTS."""
    async with door.untouched():
        for asked, reason in [
            (claim(customer="nobody"), Reason.CUSTOMER_UNKNOWN),
            (claim(customer="nobody", feature="nothing", idempotency_key="k"), Reason.CUSTOMER_UNKNOWN),
            (claim(feature="nothing"), Reason.FEATURE_UNKNOWN),
            (claim(feature="nothing", quantity=2**53 - 1, idempotency_key="k"), Reason.FEATURE_UNKNOWN),
            (claim(quantity=2**53 - 1), Reason.REQUEST_EXCEEDS_LIMIT),
        ]:
            answer = CheckEntitlementResponse.FromString(await door.ask(CHECK, asked))
            assert (answer.allowed, answer.reason, answer.degraded) == (False, reason, False)
        missing = [
            (USAGE, QueryUsageRequest(parent="customers/nobody")),
            (INVOICE, PreviewInvoiceRequest(parent="customers/nobody")),
            (SUBSCRIPTION, CreateSubscriptionRequest(parent="customers/nobody", plan="plans/scale")),
            (SUBSCRIPTION, CreateSubscriptionRequest(parent="customers/acme", plan="plans/nothing")),
        ]
        for method, request in missing:
            refusal = await door.refusal(method, request)
            assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, "NOT_FOUND"), request
        refusal = await door.refusal(CUSTOMER, CreateCustomerRequest(customer_id="acme"))
        assert (refusal.code, refusal.reason) == (StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS")
