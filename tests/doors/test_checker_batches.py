"""Each claim of a batch is decided as if it came alone, in as few calls of the script as there may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gateway.counters import keys
from gateway.counters.consume import CLAIMS_MAX
from gateway.decision import Claim, Decision, Reason
from gateway.entitlements import customer_document, plan_document
from gateway.errors import IdempotencyKeyReusedError
from gateway.prepared import Counting
from tests.doors.desk import CALLS, FEATURES

if TYPE_CHECKING:
    from tests.doors.desk import Desk


async def test_claims_of_a_batch_that_are_decided_anew_keep_their_places(desk: Desk) -> None:
    """Each of them meets a newer document, and each is told where it stands."""
    claims = [Claim("acme", "rate", 2), Claim("acme", "calls", 3)]
    await desk.decide_all(claims)
    await desk.redis.hset(keys.use(keys.bucket_of("acme"), "acme"), ".v", 2)
    forgotten, desk.entitlements.forget = desk.entitlements.forget, lambda _: None  # type: ignore[method-assign]
    await desk.publish("acme", 2)
    desk.entitlements.forget = forgotten  # type: ignore[method-assign]
    told = await desk.decide_all(claims)
    assert [one.used for one in told if isinstance(one, Decision)] == [4, 6]


async def test_a_batch_decides_as_if_one_by_one(desk: Desk) -> None:
    """Of two customers, counted and not, known and not, with keys: each in its place, each seeing those before it."""
    claims = [
        *(Claim("acme", "calls", 4), Claim("bolt", "calls", 9), Claim("acme", "calls", 4), Claim("acme", "calls", 4)),
        *(Claim("acme", "beta"), Claim("nobody", "calls"), Claim("acme", "rate", 5), Claim("acme", "rate")),
        *(Claim("bolt", "calls", 1, idempotency_key="k"), Claim("bolt", "calls", 1, idempotency_key="k")),
        *(Claim("bolt", "calls", 2, idempotency_key="k"), Claim("bolt", "calls"), Claim("acme", "calls", peek=True)),
    ]
    together = await desk.decide_all(claims)
    await desk.redis.delete(*await desk.redis.keys("*:use:*"), *await desk.redis.keys("*:idem:*"))
    alone = [await desk.decide(desk.checker.prepare(claim)) for claim in claims]
    for one, other in zip(together, alone, strict=True):
        if isinstance(one, IdempotencyKeyReusedError):
            assert str(one) == str(other)
            continue
        assert isinstance(one, Decision)
        assert isinstance(other, Decision)
        same = {"decision_id": "", "retry_after_ms": None, "resets_at_ms": None}
        assert replace(one, **same) == replace(other, **same)
    assert [getattr(one, "reason", None) for one in together[:4]] == [Reason.OK] * 3 + [Reason.QUOTA_EXCEEDED]
    assert [getattr(one, "replayed", None) for one in together[8:12]] == [False, True, None, False]


async def test_a_batch_of_what_is_held_is_one_call_for_each_bucket(desk: Desk) -> None:
    """Sixteen claims of two customers cost two calls of the script."""
    claims = [Claim(customer, "rate") for customer in ("acme", "bolt")] * 8
    await desk.decide_all(claims[:2])
    before = (await desk.redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    told = await desk.decide_all(claims)
    assert (await desk.redis.info("commandstats"))["cmdstat_evalsha"]["calls"] - before == 2
    assert sum(one.allowed for one in told if isinstance(one, Decision)) == 8


async def test_claims_of_a_batch_hold_each_for_itself(desk: Desk) -> None:
    """One that holds says nothing of another's customer, of a plan that was replaced, or of a window that is over."""
    batch = [desk.checker.prepare(claim) for claim in (CALLS, Claim("bolt", "calls"), CALLS, CALLS)]
    mine, other, over, replaced = batch
    assert [one.used for one in await desk.decide_batch(batch) if isinstance(one, Decision)] == [1, 1, 2, 3]
    desk.fetched.clear()
    desk.entitlements.forget(customer_document("bolt"))
    assert isinstance(over.found, Counting)
    over.found = replace(over.found, until_s=0.0)
    await desk.decide_batch([mine, other, over])
    assert desk.fetched == [customer_document("bolt")]
    assert over.found.until_s > 0
    await desk.publish("acme", calls=FEATURES["calls"] | {"ceiling": 4})
    await desk.decide(mine)
    told = await desk.decide_batch([mine, replaced])
    assert [one.limit for one in told if isinstance(one, Decision)] == [4, 4]


async def test_a_large_batch_is_few_calls(desk: Desk) -> None:
    """As many claims share a call as may, and they are counted in their order all the same."""
    claims = [Claim("acme", "calls", peek=True), *[Claim("acme", "calls")] * (2 * CLAIMS_MAX)]
    await desk.decide_all(claims[:1])
    before = (await desk.redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    told = await desk.decide_all(claims)
    assert (await desk.redis.info("commandstats"))["cmdstat_evalsha"]["calls"] - before == 3
    assert [one.used for one in told if isinstance(one, Decision)][:12] == [0, *range(1, 11), 10]


async def test_a_batch_of_what_is_not_held_fetches_each_document_once(desk: Desk) -> None:
    """However many of its claims lack it; and then it is one call for each bucket, as if it had been held."""
    claims = [Claim(customer, "calls") for customer in ("acme", "bolt") for _ in range(4)]
    told = await desk.decide_all(claims)
    assert [one.used for one in told if isinstance(one, Decision)] == [1, 2, 3, 4] * 2
    assert sorted(desk.fetched) == sorted(
        document for name in ("acme", "bolt") for document in (customer_document(name), plan_document(name, 1))
    )
    calls = (await desk.redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    await desk.decide_all(claims)
    assert (await desk.redis.info("commandstats"))["cmdstat_evalsha"]["calls"] - calls == 2
