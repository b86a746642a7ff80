"""Both doors know the same callers, and refuse the others in the same words."""

from __future__ import annotations

from functools import reduce
from itertools import product
from typing import TYPE_CHECKING

import pytest
from grpc import StatusCode, aio

from gateway.credentials import Mode, Role, new_key
from gateway.v1.entitlement_pb2 import BatchCheckEntitlementsRequest as Batch
from gateway.v1.entitlement_pb2 import CheckEntitlementRequest as Request
from tests.doors.lane.both import BATCH, CHECK
from tests.doors.lane.twins import EITHER, TWINS, channels_to
from tests.letting_in import make_key, until_known

if TYPE_CHECKING:
    from tests.conftest import Running
    from tests.doors.lane.both import Doors

BEARERS = {
    "nothing": (),
    "no bearer": ("Basic eDp5",),
    "no key": ("Bearer tk_live_no",),
    "an unknown key": (f"Bearer {new_key(Mode.LIVE)}",),
    "two": ("Bearer CHECK", "Bearer SOME"),
    "the same twice": ("Bearer CHECK", "Bearer CHECK"),
    "a key in lower case": ("bearer CHECK",),
    "a key to check": ("Bearer CHECK",),
    "a key to bill": ("Bearer BILLING",),
    "a key for others": ("Bearer OTHERS",),
    "a key for some": ("Bearer SOME",),
    "a key to try": ("Bearer TEST",),
}
CLAIMED = {
    "a claim": (CHECK, Request(customer=EITHER, feature="max_seats")),
    "a wrong claim": (CHECK, Request(customer=EITHER, quantity=0)),
    "a batch": (BATCH, Batch(claims=[Request(customer=EITHER, feature="max_seats")] * 2)),
    "a mixed batch": (BATCH, Batch(claims=[Request(customer=one, feature="max_seats") for one in (EITHER, "x")])),
    "a wrong batch": (BATCH, Batch(claims=[Request(customer=EITHER, quantity=0)])),
    "no claim": (BATCH, Batch()),
}


@pytest.mark.usefixtures("channels")
async def test_who_calls_is_told_alike(office: Running, doors: Doors) -> None:
    """Every credential with every request, again and again; a batch that names one customer too many counts nothing."""
    made = {
        "CHECK": await make_key(office.postgres_url),
        "BILLING": await make_key(office.postgres_url, Role.BILLING),
        "OTHERS": await make_key(office.postgres_url, customers=["x"]),
        "SOME": await make_key(office.postgres_url, customers=TWINS),
        "TEST": await make_key(office.postgres_url, mode=Mode.TEST),
    }
    seen = set()
    async with channels_to(doors, keyed=True) as keyed, aio.insecure_channel(doors.rpc_keyed) as channel:
        for held in made.values():
            await until_known(channel, held)
        for bearers, (method, request) in [*product(BEARERS.values(), CLAIMED.values())] * 2:
            sent = [reduce(lambda text, name: text.replace(name, made[name].key), made, bearer) for bearer in bearers]
            metadata = tuple(("authorization", value) for value in sent)
            answer = await keyed.agree(method, request.SerializeToString(), metadata=metadata)
            seen.add(answer.code)
        some = (("authorization", f"Bearer {made['SOME'].key}"),)
        mixed = Batch(claims=[Request(customer=one, feature="input_tokens") for one in (EITHER, "x")])
        answer = await keyed.agree(BATCH, mixed.SerializeToString(), metadata=some)
        assert answer.code is StatusCode.PERMISSION_DENIED
        peek = Request(customer=EITHER, feature="input_tokens", peek=True)
        answer = await keyed.agree(CHECK, peek.SerializeToString(), metadata=some)
        assert (answer.message.allowed, answer.message.used) == (True, 0)
    expected = {StatusCode.OK, StatusCode.UNAUTHENTICATED, StatusCode.PERMISSION_DENIED, StatusCode.INVALID_ARGUMENT}
    assert seen == expected | {StatusCode.FAILED_PRECONDITION}
