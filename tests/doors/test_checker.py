"""What was prepared once is decided again and again, until a document or a window says otherwise; so are batches."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
import pytest
from msgspec.structs import replace

from gateway.checker import Checker
from gateway.counters import keys
from gateway.counters.connection import Address
from gateway.counters.consume import CLAIMS_MAX
from gateway.counters.counting import Counters
from gateway.counters.documents import Documents
from gateway.counters.hearing import Hearing
from gateway.decision import Claim, Decision, Reason
from gateway.documents import customer_document, plan_document
from gateway.entitlements import Entitlements
from gateway.errors import IdempotencyKeyReusedError
from gateway.prepared import Counted, Counting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import redis.asyncio

    from gateway.checker import Told
    from gateway.prepared import Prepared

    Decided = Decision | IdempotencyKeyReusedError

Answered = TypeVar("Answered")

FEATURES: dict[str, dict[str, Any]] = {
    "calls": {"type": "counted", "window": "month", "meter": "calls", "ceiling": 10},
    "rate": {"type": "counted", "window": "minute", "ceiling": 5},
    "beta": {"type": "boolean", "on": True},
    "seats": {"type": "config", "value": 5},
    "sso": {"type": "missing", "upgrade_plans": ["scale"]},
}
CALLS = Claim("acme", "calls")


class Waiting(Generic[Answered]):
    """Who asks, and what it was told."""

    def __init__(self, wait_s: float = 2.0) -> None:
        loop = asyncio.get_running_loop()
        self.deadline_s = loop.time() + wait_s
        self.wanted = True
        self.told: asyncio.Future[Answered] = loop.create_future()

    def hear(self, told: Answered) -> None:
        """Take in what is told; a second time is an error."""
        self.told.set_result(told)


@dataclass
class Desk:
    """A checker with all that it asks, and the Redis behind it."""

    checker: Checker
    entitlements: Entitlements
    counters: Counters
    redis: redis.asyncio.Redis
    fetched: list[str]

    async def publish(
        self, customer: str, version: int = 1, particulars: dict[str, Any] | None = None, **features: dict[str, Any]
    ) -> None:
        """Put a customer on a plan of its own with these features, and make both known as the publisher does."""
        who = {"version": version, "customer": customer, "root": customer, "bucket": keys.bucket_of(customer)}
        plan = {"version": version, "plan": customer, "plan_version": 1, "billing_interval": "month"}
        named = {
            customer_document(customer): who | {"plan": customer, "plan_version": 1, "particulars": particulars},
            plan_document(customer, 1): plan | {"features": FEATURES | features},
        }
        for name, document in named.items():
            await self.redis.set(name, msgspec.json.encode(document))
            self.entitlements.forget(name)

    async def decide(self, prepared: Prepared, wait_s: float = 2.0) -> Decided:
        """Submit a claim and wait for what is told."""
        waiting: Waiting[Told] = Waiting(wait_s)
        self.checker.submit(prepared, Waiting.hear, waiting)
        return decided(await waiting.told)

    async def decide_all(self, claims: list[Claim]) -> list[Decided]:
        """Submit claims as a batch and wait for what is told."""
        return await self.decide_batch([self.checker.prepare(claim) for claim in claims])

    async def decide_batch(self, batch: list[Prepared]) -> list[Decided]:
        """Submit claims that are prepared."""
        waiting: Waiting[list[Told]] = Waiting()
        self.checker.submit_batch(batch, Waiting.hear, waiting)
        return [decided(told) for told in await waiting.told]


def decided(told: Told) -> Decided:
    """Say what follows from what was counted, as a door does."""
    return told.decision() if isinstance(told, Counted) else told


@pytest.fixture
async def desk(
    redis_url: str, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    """A checker with customers `acme` and `bolt`, each in a bucket that holds."""
    replid = (await redis_client.info("replication"))["master_replid"]
    for bucket in range(keys.BUCKETS):
        await redis_client.hset(keys.head(bucket), "line", f"deployment:1:{replid}")
    await redis_client.set(keys.PUBLISHED, "deployment")
    address = Address.parse(redis_url)
    counters = Counters(address, timeout_ms=500)
    await counters.start()
    entitlements = Entitlements(fresh_for_s=30, usable_for_s=1000)
    hearing = Hearing(on_change=entitlements.forget, on_missed=lambda: None, on_confirmed=lambda _: None)
    documents = Documents(address, hearing, timeout_ms=500)
    await documents.start()
    fetched: list[str] = []
    fetch = documents.fetch
    monkeypatch.setattr(documents, "fetch", lambda key, reply: (fetched.append(key), fetch(key, reply)))
    checker = Checker(entitlements, documents, counters, idempotency_ttl_ms=60_000)
    desk = Desk(checker, entitlements, counters, redis_client, fetched)
    await desk.publish("acme")
    await desk.publish("bolt")
    yield desk
    await documents.stop()
    await counters.stop()


async def test_what_was_prepared_is_found_out_once(desk: Desk) -> None:
    """The first time its documents are fetched; from then on nothing is, and every use is counted."""
    prepared = desk.checker.prepare(CALLS)
    decisions = [await desk.decide(prepared) for _ in range(3)]
    assert [one.used for one in decisions if isinstance(one, Decision)] == [1, 2, 3]
    assert desk.fetched == [customer_document("acme"), plan_document("acme", 1)]


@pytest.mark.parametrize("feature", ["calls", "rate", "beta", "seats", "sso", "nothing"])
async def test_what_was_prepared_ends_with_its_documents(desk: Desk, feature: str) -> None:
    """Whatever kind of feature it was, the next decision is by the document that replaced it."""
    prepared = desk.checker.prepare(Claim("acme", feature))
    before = await desk.decide(prepared)
    assert await desk.decide(prepared) == before or feature in {"calls", "rate"}
    await desk.publish("acme", 2, **{feature: {"type": "config", "value": "new"}})
    after = await desk.decide(prepared)
    assert isinstance(after, Decision)
    assert (after.value, after.decision_id) == ('"new"', "OK.2")


async def test_what_was_prepared_is_doubted_and_grows_old(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """After missed announcements, and after its time, both documents are fetched; unchanged, they hold on."""
    prepared = desk.checker.prepare(CALLS)
    await desk.decide(prepared)
    found, loop = prepared.found, asyncio.get_running_loop()
    for later_s, doubted in ((1.0, True), (32.0, False)):
        desk.fetched.clear()
        now_s = loop.time() + later_s
        if doubted:
            desk.entitlements.doubt(now_s)
        monkeypatch.setattr(desk.checker, "_time", lambda now_s=now_s: now_s)
        await desk.decide(prepared, 60.0)
        assert desk.fetched == [customer_document("acme"), plan_document("acme", 1)]
        assert prepared.found is found
        await desk.decide(prepared, 60.0)
        assert len(desk.fetched) == 2


async def test_what_is_confirmed_is_not_read_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand checks, one a minute, by who is known and who is not: each document is read once."""
    known, stranger = desk.checker.prepare(Claim("acme", "beta")), desk.checker.prepare(Claim("stranger", "beta"))
    began_s = asyncio.get_running_loop().time()
    for minute in range(500):
        now_s = began_s + minute * 60
        monkeypatch.setattr(desk.checker, "_time", lambda now_s=now_s: now_s)
        desk.entitlements.confirm(now_s - 0.5)
        await desk.decide(known)
        await desk.decide(stranger)
    assert desk.fetched == [customer_document("acme"), plan_document("acme", 1), customer_document("stranger")]


async def test_what_was_prepared_ends_with_its_window(desk: Desk) -> None:
    """By our clock when that is right, and by Redis's when ours is not."""
    prepared = desk.checker.prepare(CALLS)
    right = await desk.decide(prepared)
    assert isinstance(right, Decision)
    found = prepared.found
    assert isinstance(found, Counting)
    prepared.found = replace(found, until_s=0.0)
    again = await desk.decide(prepared)
    assert isinstance(again, Decision)
    assert prepared.found.until_s == pytest.approx(found.until_s, abs=1)
    desk.counters.standing.tell_time(right.resets_at_ms + 1)  # next month, we think
    other = desk.checker.prepare(Claim("acme", "calls", 2))
    told = await desk.decide(other)
    assert isinstance(told, Decision)
    assert (told.used, told.resets_at_ms) == (4, right.resets_at_ms)


@pytest.mark.parametrize("feature", ["calls", "beta"])
async def test_what_was_prepared_ends_with_a_trial(desk: Desk, feature: str) -> None:
    """What is counted and what is answered from memory alike: the same claim is refused once the trial is over."""
    now_ms = desk.counters.standing.now_ms()
    await desk.publish("acme", 2, particulars={"trial_ends_ms": now_ms + 1000})
    prepared = desk.checker.prepare(Claim("acme", feature, peek=True))
    assert (await desk.decide(prepared)).allowed
    async with asyncio.timeout(5):
        while (told := await desk.decide(prepared)).allowed:
            await asyncio.sleep(0.02)
    assert told.reason is Reason.TRIAL_OVER
    assert desk.counters.standing.now_ms() >= now_ms + 1000


async def test_a_newer_document_that_another_gateway_knows_is_fetched(desk: Desk) -> None:
    """The script says STALE: nobody is denied or admitted by what we held."""
    prepared = desk.checker.prepare(CALLS)
    await desk.decide(prepared)
    held = desk.entitlements.forget
    desk.entitlements.forget = lambda _: None  # type: ignore[method-assign] # the announcement is late
    await desk.publish("acme", 2, calls=FEATURES["calls"] | {"ceiling": 3})
    desk.entitlements.forget = held  # type: ignore[method-assign]
    await desk.redis.hset(keys.use(keys.bucket_of("acme"), "acme"), ".v", 2)
    desk.entitlements.forget(plan_document("acme", 1))
    told = await desk.decide(prepared)
    assert isinstance(told, Decision)
    assert (told.limit, told.used) == (3, 2)


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
        assert msgspec.structs.replace(one, **same) == msgspec.structs.replace(other, **same)
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


async def test_who_goes_away_while_documents_are_fetched_is_not_counted(desk: Desk) -> None:
    """The check that is under way is told so, and no script runs for it."""
    waiting: Waiting[Told] = Waiting()
    desk.checker.submit(desk.checker.prepare(CALLS), Waiting.hear, waiting)
    waiting.wanted = False
    told = [await waiting.told]
    assert isinstance(told[0], Decision)
    assert told[0].degraded
    assert await desk.redis.keys("*:use:*") == []


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
