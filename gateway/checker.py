"""The hot path on one screen: entitlement → counters → decision, with at most one question to Redis.

A claim is prepared once: what was found out about it is kept with it, and holds until a document or a window is over.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from gateway.counters.ask import Ask
from gateway.counters.consume import (
    COUNTED,
    KEY_REUSED,
    PEEKED,
    REFUSED,
    REPLAYED,
    STALE,
    WRONG_WINDOW,
)
from gateway.counters.order import Order, Quota, Span
from gateway.decision import Decision, Reason, Tally, decide_counted, degrade, refuse
from gateway.documents import customer_document
from gateway.entitlements import Wanted
from gateway.errors import IdempotencyKeyReusedError, StoreCorruptError, StoreUnavailableError
from gateway.prepared import Counting, Prepared, Preparing, Settled
from gateway.telemetry import Event, Seldom

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.counters.consume import Answer
    from gateway.counters.counting import Counters
    from gateway.counters.documents import Document, Documents
    from gateway.decision import Claim
    from gateway.entitlements import Entitlements

    Told = Decision | IdempotencyKeyReusedError
    Reply = Callable[[Told], None]

TRIES_MAX: Final = 6
"""A document or a window may be found outdated this often in one check: more means that two parts disagree."""

_NOT_YET: Final = Order(0, "", (Quota("", Span(0, 1), None),), 1, 1)
"""Stands in a check until it is known what is counted."""

_DECIDED: Final = frozenset((COUNTED, REPLAYED, PEEKED, REFUSED))


class Check(Ask, kw_only=True, eq=False):
    """A claim being decided for one caller; when that goes away, `wanted` is set to False."""

    checker: Checker
    prepared: Prepared
    reply: Reply
    found: Counting | None = None
    tries: int = TRIES_MAX

    def told(self, answer: Answer) -> None:
        """Turn what the counters say into a decision, or decide again with what they know better."""
        kind, order, found = answer.kind, self.order, self.found
        assert found is not None
        if kind in _DECIDED:
            (quota,), ((used, start_ms),) = order.limits, answer.states
            assert isinstance(quota, Quota)
            assert isinstance(used, int)
            assert isinstance(start_ms, int)
            window_end_ms = quota.span.end_ms
            if not quota.span.start_ms:  # it is the window's length
                window_end_ms += start_ms
            tally = Tally(kind != REFUSED, used, answer.now_ms, window_end_ms, self.event_id, kind == REPLAYED)
            self.reply(decide_counted(found.limit, self.prepared.claim, tally, found.plan.name, order.version))
        elif kind == KEY_REUSED:
            claim = self.prepared.claim
            self.reply(IdempotencyKeyReusedError(f"{claim.idempotency_key!r} of customer {claim.customer}"))
        elif kind in (STALE, WRONG_WINDOW) and self.tries:
            self.checker.decide_anew(self, answer)
        else:
            self.reply(degrade(found.plan.name, order.version))


class Checker:
    """Decides claims; everything it needs is in memory or one script away."""

    def __init__(
        self, entitlements: Entitlements, documents: Documents, counters: Counters, *, idempotency_ttl_ms: int
    ) -> None:
        self._entitlements = entitlements
        self._documents = documents
        self._counters = counters
        self._preparing = Preparing(counters.standing, idempotency_ttl_ms)
        self._log = Seldom()
        self._time = asyncio.get_running_loop().time

    def prepare(self, claim: Claim) -> Prepared:
        """Make a claim ready to be submitted, once or again and again."""
        return Prepared(claim)

    def submit(self, prepared: Prepared, reply: Reply, deadline_s: float) -> Check | None:
        """Decide a claim; `reply` gets the decision once, no later than `deadline_s` on the loop's clock.

        The one error it may get instead is IdempotencyKeyReusedError. Returns the check that may be under way.
        """
        found = self._found(prepared)
        if isinstance(found, Settled):
            reply(found.decision)
            return None
        if found is None:
            check = Check(_NOT_YET, deadline_s, checker=self, prepared=prepared, reply=reply)
            self._decide_all((check,))
        else:
            check = Check(found.order, deadline_s, checker=self, prepared=prepared, reply=reply, found=found)
            self._counters.consume(check)
        return check

    def submit_batch(
        self, prepared: Sequence[Prepared], reply: Callable[[list[Told]], None], deadline_s: float
    ) -> list[Check]:
        """Decide every claim for itself; `reply` gets all that `submit` would have told of each, in their order.

        Claims of one bucket are one call of the script, and are counted in their order.
        """
        batch = _Batch(len(prepared), reply)
        checks: list[Check] = []
        for place, one in enumerate(prepared):
            found = self._found(one)
            if isinstance(found, Settled):
                batch.put(place, found.decision)
            else:
                put = partial(batch.put, place)
                checks.append(Check(_NOT_YET, deadline_s, checker=self, prepared=one, reply=put, found=found))
        self._decide_all(checks)
        return checks

    def decide_anew(self, check: Check, answer: Answer) -> None:
        """Decide again: another gateway knows a newer document, or our clock is not Redis's."""
        if answer.kind == STALE:
            self._entitlements.forget(customer_document(check.prepared.claim.customer))
        else:
            self._counters.standing.tell_time(answer.now_ms)
            check.prepared.found = None
        check.tries -= 1
        self._decide_all((check,))

    def _decide_all(self, checks: Sequence[Check]) -> None:
        """Decide with what is in memory, or fetch what is missing first: once for all the claims that lack it."""
        counted: dict[int, list[Check]] = {}
        waiting: dict[str, list[Check]] = {}
        for check in checks:
            reachable = self._documents.connected and check.tries > 0
            found = self._found(check.prepared) or self._look(check.prepared, reachable=reachable)
            # 1. Counted. 2. Answered without a counter. 3. A document is missing or old. 4. It cannot be fetched.
            if isinstance(found, Counting):
                check.order, check.found = found.order, found
                counted.setdefault(found.order.bucket, []).append(check)
            elif isinstance(found, Settled):
                check.reply(found.decision)
            elif isinstance(found, Decision):
                check.reply(found)
            elif reachable:
                waiting.setdefault(found.document, []).append(check)
            else:
                check.reply(degrade())
        for of_bucket in counted.values():
            if len(of_bucket) == 1:
                self._counters.consume(of_bucket[0])
            else:
                self._counters.consume_many(of_bucket)
        for document, of_document in waiting.items():
            self._fetch(document, of_document)

    def _found(self, prepared: Prepared) -> Settled | Counting | None:
        """Return what was found out, while it holds."""
        found, now_s = prepared.found, self._time()
        if (
            found is not None
            and now_s < found.until_s
            and self._documents.connected
            and self._entitlements.fresh(found.customer, found.plan, now_s)
        ):
            return found
        return None

    def _look(self, prepared: Prepared, *, reachable: bool) -> Settled | Counting | Decision | Wanted:
        """Find out what a claim comes to; what holds for a while is kept with it."""
        now_s = self._time()
        who = self._entitlements.find(prepared.claim.customer, now_s, reachable=reachable)
        if isinstance(who, Wanted):
            return who
        if isinstance(who, Reason):
            return refuse(who)
        found = prepared.found
        if found is None or found.customer is not who.customer or found.plan is not who.plan or now_s >= found.until_s:
            prepared.found = found = self._preparing.find_out(prepared.claim, who, now_s)
        return found

    def _fetch(self, document: str, checks: Sequence[Check]) -> None:
        """Fetch a document and decide again; by their deadline, which is one, claims are decided without."""
        waiting = True

        def fetched(found: Document) -> None:
            nonlocal waiting
            if not waiting:
                return
            waiting = False
            timer.cancel()
            away = isinstance(found, StoreUnavailableError)
            for check in checks:
                check.tries = 0 if away else check.tries - 1
            if not isinstance(found, StoreUnavailableError):
                try:
                    self._entitlements.hold(document, found, self._time())
                except StoreCorruptError as error:
                    self._log.warning(document, Event.DOCUMENT_REFUSED, key=document, error=str(error))
                    for check in checks:
                        check.reply(degrade())
                    return
            self._decide_all(checks)

        timer = asyncio.get_running_loop().call_at(
            checks[0].deadline_s, lambda: fetched(StoreUnavailableError("the document did not come in time"))
        )
        self._documents.fetch(document, fetched)


class _Batch:
    """What was told of each claim of a batch, until that of the last is there."""

    def __init__(self, count: int, reply: Callable[[list[Told]], None]) -> None:
        self._told: list[Told | None] = [None] * count
        self._missing = count
        self._reply = reply

    def put(self, place: int, told: Told) -> None:
        """Take in what was told of one."""
        self._told[place] = told
        self._missing -= 1
        if not self._missing:
            self._reply([one for one in self._told if one is not None])
