"""The hot path on one screen: entitlement → counters → decision, with at most one question to Redis.

A claim is prepared once: what was found out about it is kept with it, and holds until a document or a window is over.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, TypeVar

from gateway.counters.ask import Ask
from gateway.counters.consume import CLAIMS_MAX, COUNTED, KEY_REUSED, PEEKED, REFUSED, REPLAYED, STALE, WRONG_WINDOW
from gateway.decision import Decision, Reason, degrade, refuse
from gateway.entitlements import Wanted, customer_document
from gateway.errors import IdempotencyKeyReusedError, StoreCorruptError, StoreUnavailableError
from gateway.prepared import Counted, Counting, Prepared, Preparing, Settled
from gateway.telemetry import Event, Seldom

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.counters.ask import Asker
    from gateway.counters.consume import Answer
    from gateway.counters.counting import Counters
    from gateway.counters.documents import Document, Documents
    from gateway.decision import Claim
    from gateway.entitlements import Entitlements

    Told = Decision | Counted | IdempotencyKeyReusedError

Whose = TypeVar("Whose", bound="Asker")

TRIES_MAX: Final = 6
"""A document or a window may be found outdated this often in one check: more means that two parts disagree."""

_DECIDED: Final = frozenset((COUNTED, REPLAYED, PEEKED, REFUSED))


class Check(Ask, kw_only=True, eq=False):
    """Claims that are counted in one call; `reply` gets, for each, whose it is and what is told."""

    checker: Checker
    reply: Callable[[Any, Told], None]
    parts: Sequence[tuple[Any, Prepared, Counting]]
    """Whose each claim is, the claim, and by what it is counted."""
    tries: int = TRIES_MAX

    def told(self, answers: Sequence[Answer]) -> None:
        """Pass on what the counters say, or decide again with what they know better."""
        reply = self.reply
        for (whose, prepared, found), answer in zip(self.parts, answers, strict=True):
            kind = answer.kind
            if kind in _DECIDED:
                reply(whose, Counted(found, answer))
            elif kind == KEY_REUSED:
                claim = prepared.claim
                reply(whose, IdempotencyKeyReusedError(f"{claim.idempotency_key!r} of customer {claim.customer}"))
            elif kind in (STALE, WRONG_WINDOW) and self.tries:
                self.checker.decide_anew(self, whose, prepared, answer)
            else:
                reply(whose, degrade(found.plan.name, found.order.version))


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

    def submit(self, prepared: Prepared, reply: Callable[[Whose, Told], None], asker: Whose) -> None:
        """Decide a claim; `reply` gets the asker and the decision once, no later than at its deadline.

        The one error it may get instead is IdempotencyKeyReusedError.
        """
        found = self._found(prepared, self._time())
        if found is None:
            self._decide(((asker, prepared),), reply, asker, TRIES_MAX)
        elif isinstance(found, Settled):
            reply(asker, found.decision)
        else:
            parts = ((asker, prepared, found),)
            self._counters.consume(Check((found.order,), asker, checker=self, reply=reply, parts=parts))

    def submit_batch(
        self, prepared: Sequence[Prepared], reply: Callable[[Whose, list[Told]], None], asker: Whose
    ) -> None:
        """Decide every claim for itself; `reply` gets all that `submit` would have told of each, in their order.

        Claims of one bucket are counted in their order, in as few calls of the script as there may be.
        """
        batch = _Batch(len(prepared), reply, asker)
        self._decide(list(enumerate(prepared)), batch.put, asker, TRIES_MAX)

    def decide_anew(self, check: Check, whose: Any, prepared: Prepared, answer: Answer) -> None:
        """Decide again: another gateway knows a newer document, or our clock is not Redis's."""
        if answer.kind == STALE:
            self._entitlements.forget(customer_document(prepared.claim.customer))
        else:
            self._counters.standing.tell_time(answer.now_ms)
            prepared.found = None
        self._decide(((whose, prepared),), check.reply, check.asker, check.tries - 1)

    def _decide(
        self, claims: Sequence[tuple[Any, Prepared]], reply: Callable[[Any, Told], None], asker: Asker, tries: int
    ) -> None:
        """Decide with what is in memory, or fetch what is missing first: once for all the claims that lack it."""
        counted: defaultdict[int, list[tuple[Any, Prepared, Counting]]] = defaultdict(list)
        waiting: dict[str, list[tuple[Any, Prepared]]] = {}
        reachable = self._documents.connected and tries > 0
        now_s = self._time()
        customer = plan = None
        for whose, prepared in claims:
            known = prepared.found
            found: Settled | Counting | Decision | Wanted
            if known is not None and known.customer is customer and known.plan is plan and now_s < known.until_s:
                found = known  # its documents are those that were looked at for the claim before
            else:
                found = self._found(prepared, now_s) or self._look(prepared, now_s, reachable=reachable)
            # 1. Counted. 2. Answered without a counter. 3. A document is missing or old. 4. It cannot be fetched.
            if isinstance(found, Counting):
                customer, plan = found.customer, found.plan
                counted[found.order.bucket].append((whose, prepared, found))
            elif isinstance(found, Settled):
                reply(whose, found.decision)
            elif isinstance(found, Decision):
                reply(whose, found)
            elif reachable:
                waiting.setdefault(found.document, []).append((whose, prepared))
            else:
                reply(whose, degrade())
        for of_bucket in counted.values():
            for first in range(0, len(of_bucket), CLAIMS_MAX):
                parts = of_bucket[first : first + CLAIMS_MAX]
                orders = [found.order for _, _, found in parts]
                self._counters.consume(Check(orders, asker, checker=self, reply=reply, parts=parts, tries=tries))
        for document, of_document in waiting.items():
            self._fetch(document, of_document, reply, asker, tries)

    def _found(self, prepared: Prepared, now_s: float) -> Settled | Counting | None:
        """Return what was found out, while it holds."""
        found = prepared.found
        if (
            found is not None
            and now_s < found.until_s
            and self._documents.connected
            and self._entitlements.fresh(found.customer, found.plan, now_s)
        ):
            return found
        return None

    def _look(self, prepared: Prepared, now_s: float, *, reachable: bool) -> Settled | Counting | Decision | Wanted:
        """Find out what a claim comes to; what holds for a while is kept with it."""
        who = self._entitlements.find(prepared.claim.customer, now_s, reachable=reachable)
        if isinstance(who, Wanted):
            return who
        if isinstance(who, Reason):
            return refuse(who)
        found = prepared.found
        if found is None or found.customer is not who.customer or found.plan is not who.plan or now_s >= found.until_s:
            prepared.found = found = self._preparing.find_out(prepared.claim, who, now_s)
        return found

    def _fetch(
        self,
        document: str,
        claims: Sequence[tuple[Any, Prepared]],
        reply: Callable[[Any, Told], None],
        asker: Asker,
        tries: int,
    ) -> None:
        """Fetch a document and decide again; by their deadline, claims are decided without."""
        waiting = True

        def fetched(found: Document) -> None:
            nonlocal waiting
            if not waiting:
                return
            waiting = False
            timer.cancel()
            if isinstance(found, StoreUnavailableError):
                self._decide(claims, reply, asker, 0)
                return
            try:
                self._entitlements.hold(document, found, self._time())
            except StoreCorruptError as error:
                self._log.warning(document, Event.DOCUMENT_REFUSED, key=document, error=str(error))
                for whose, _ in claims:
                    reply(whose, degrade())
            else:
                self._decide(claims, reply, asker, tries - 1)

        timer = asyncio.get_running_loop().call_at(
            asker.deadline_s, lambda: fetched(StoreUnavailableError("the document did not come in time"))
        )
        self._documents.fetch(document, fetched)


class _Batch:
    """What was told of each claim of a batch, until that of the last is there."""

    def __init__(self, count: int, reply: Callable[[Any, list[Told]], None], asker: Asker) -> None:
        self._told: list[Told | None] = [None] * count
        self._missing = count
        self._reply = reply
        self._asker = asker

    def put(self, place: int, told: Told) -> None:
        """Take in what was told of one."""
        self._told[place] = told
        self._missing -= 1
        if not self._missing:
            self._reply(self._asker, [one for one in self._told if one is not None])
