"""What was prepared once is decided again and again, until a document or a window says otherwise."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from gateway.counters import keys
from gateway.decision import Claim, Decision
from gateway.entitlements import customer_document, plan_document
from gateway.prepared import Counting
from tests.doors.desk import CALLS, FEATURES, Waiting

if TYPE_CHECKING:
    from gateway.checker import Told
    from tests.doors.desk import Desk


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


async def test_who_goes_away_while_documents_are_fetched_is_not_counted(desk: Desk) -> None:
    """The check that is under way is told so, and no script runs for it."""
    waiting: Waiting[Told] = Waiting()
    desk.checker.submit(desk.checker.prepare(CALLS), Waiting.hear, waiting)
    waiting.wanted = False
    told = [await waiting.told]
    assert isinstance(told[0], Decision)
    assert told[0].degraded
    assert await desk.redis.keys("*:use:*") == []
