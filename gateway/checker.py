"""The hot path on one screen: entitlement → counters → decision, with at most one question to Redis.

A claim is prepared once: what was found out about it is kept with it, and holds until a document or a window is over.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from msgspec.structs import replace

from gateway.counters.ask import Ask
from gateway.counters.consume import CLAIMS_MAX, KEY_REUSED, STALE, TOO_MUCH_HELD, WRONG_WINDOW
from gateway.counters.settling import Settling
from gateway.decision import Claim, Decision, Reason, degrade, refuse
from gateway.documents import customer_document
from gateway.entitlements import Customer, Wanted
from gateway.errors import (
    IdempotencyKeyReusedError,
    NotFoundError,
    StoreCorruptError,
    StoreUnavailableError,
)
from gateway.prepared import Answered, Counting, Prepared, Preparing
from gateway.tally import DECIDED, decide_counted
from gateway.telemetry import Event, Seldom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gateway.counters.ask import Asker
    from gateway.counters.consume import Answer
    from gateway.counters.counting import Counters
    from gateway.counters.documents import Document, Documents
    from gateway.counters.settle import Action, Settled
    from gateway.entitlements import Entitlements
    from gateway.errors import TollkeeperError

    Told = Decision | TollkeeperError

Whose = TypeVar("Whose", bound="Asker")

TRIES_MAX: Final = 6
"""A document or a window may be found outdated this often in one check: more means that two parts disagree."""


_OUTDATED: Final = frozenset((STALE, WRONG_WINDOW))
_ANYBODY: Final = "-"
"""Who asks for a list of features: of a named licence, whether there is one more."""


class Check(Ask, kw_only=True, eq=False):
    """Claims that are counted in one call; `reply` gets, for each, whose it is and what is told."""

    checker: Checker
    reply: Callable[[Any, Told], None]
    parts: Sequence[tuple[Any, Prepared, Counting]]
    """Whose each claim is, the claim, and by what it is counted."""
    tries: int = TRIES_MAX

    def told(self, answers: Sequence[Answer]) -> None:
        """Turn what the counters say into decisions, or decide again with what they know better."""
        for (whose, prepared, found), answer in zip(self.parts, answers, strict=True):
            if answer.kind in _OUTDATED and self.tries:
                self.checker.decide_anew(self, whose, prepared, answer)
            else:
                self.reply(whose, _told_of(prepared, found, answer))


class _Together(Ask, kw_only=True, eq=False):
    """Claims that are counted all or none."""

    checker: Checker
    reply: Callable[[Any, list[Told]], None]
    prepared: Sequence[Prepared]
    found: Sequence[Answered | Counting | Decision]
    again: Callable[[], None] | None
    """Decides them once more."""

    def told(self, answers: Sequence[Answer]) -> None:
        """Turn what the counters say into decisions, or decide all of them again."""
        said = iter(answers)
        of_each = [(one, found, next(said) if isinstance(found, Counting) else None) for one, found in self._pairs()]
        outdated = [(one, answer) for one, _, answer in of_each if answer is not None and answer.kind in _OUTDATED]
        if outdated and self.again is not None:
            for one, answer in outdated:
                self.checker.learn(one, answer)
            self.again()
            return
        told: list[Told] = []
        for prepared, found, said_of in of_each:
            if isinstance(found, Counting):
                assert said_of is not None
                told.append(_told_of(prepared, found, said_of))
            else:
                told.append(found.told if isinstance(found, Answered) else found)
        self.reply(self.asker, told)

    def _pairs(self) -> Iterator[tuple[Prepared, Answered | Counting | Decision]]:
        return zip(self.prepared, self.found, strict=True)


def _told_of(prepared: Prepared, found: Counting, answer: Answer) -> Told:
    """Say what the counters' answer to a claim comes to."""
    kind, claim, plan, version = answer.kind, prepared.claim, found.plan.name, found.order.version
    if kind in DECIDED:
        return decide_counted(found.against, answer, claim.quantity, plan, version)
    if kind == KEY_REUSED:
        return IdempotencyKeyReusedError(f"{claim.idempotency_key!r} of customer {claim.customer}")
    if kind == TOO_MUCH_HELD:
        return refuse(Reason.CONCURRENCY_EXCEEDED, plan, version, found.against.upgrade_plans)
    return degrade(plan, version)


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

        It may get an error instead: IdempotencyKeyReusedError, or InvalidRequestError for what the feature lacks.
        """
        found = self._found(prepared)
        if found is None:
            self._decide(((asker, prepared),), reply, asker, TRIES_MAX)
        elif isinstance(found, Answered):
            reply(asker, found.told)
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

    def submit_atomic(
        self,
        prepared: Sequence[Prepared],
        reply: Callable[[Whose, list[Told]], None],
        asker: Whose,
        tries: int = TRIES_MAX,
    ) -> None:
        """Count all claims of a customer or none; `reply` gets what is told of each, in their order.

        When one is denied, nothing is counted, and of the others is told what they would have been.
        """
        found: list[Answered | Counting | Decision] = []
        reachable = self._documents.connected and tries > 0
        for one in prepared:
            what = self._found(one) or self._look(one, reachable=reachable)
            if not isinstance(what, Wanted):
                found.append(what)
            elif reachable:
                again = partial(self.submit_atomic, prepared, reply, asker)
                self._fetch(what.document, again, asker.deadline_s, tries)
                return
            else:
                reply(asker, [degrade() for _ in prepared])
                return
        told: list[Told] = [
            one.told if isinstance(one, Answered) else one for one in found if not isinstance(one, Counting)
        ]
        if len(told) == len(found):
            reply(asker, told)
            return
        counted = [one.order for one in found if isinstance(one, Counting)]
        if not all(isinstance(one, Decision) and one.allowed for one in told):
            counted = [replace(order, peek=True) for order in counted]
        again = partial(self.submit_atomic, prepared, reply, asker, tries - 1)
        self._counters.consume(
            _Together(
                *(counted, asker),
                atomic=True,
                checker=self,
                reply=reply,
                prepared=prepared,
                found=found,
                again=again if tries else None,
            )
        )

    def list_features(
        self,
        customer: str,
        reply: Callable[[Whose, tuple[list[str], list[Told]] | NotFoundError], None],
        asker: Whose,
        tries: int = TRIES_MAX,
    ) -> None:
        """Peek at a unit of every feature of a customer; `reply` gets their names and what is told of each."""
        reachable = self._documents.connected and tries > 0
        who = self._entitlements.find(customer, self._time(), reachable=reachable)
        if isinstance(who, Wanted) and reachable:
            again = partial(self.list_features, customer, reply, asker)
            self._fetch(who.document, again, asker.deadline_s, tries)
        elif isinstance(who, Wanted):
            reply(asker, ([], []))
        elif who is Reason.CUSTOMER_UNKNOWN:
            reply(asker, NotFoundError(f"customer {customer}"))
        else:
            features = [] if isinstance(who, Reason) else sorted(who.plan.features)
            peeks = [Prepared(Claim(customer, feature, peek=True, subject=_ANYBODY)) for feature in features]
            if peeks:
                self.submit_batch(peeks, lambda whose, told: reply(whose, (features, told)), asker)
            else:
                reply(asker, ([], []))

    def settle(
        self,
        customer: str,
        reservation: str,
        action: Action,
        reply: Callable[[Whose, Settled | TollkeeperError], None],
        asker: Whose,
        tries: int = TRIES_MAX,
    ) -> None:
        """End a reservation, or keep it longer; `reply` gets the asker and what the counters say of it, once.

        It may get an error instead: NotFoundError for a customer whom nobody knows, StoreUnavailableError when nobody
        can tell in time what became of it.
        """
        reachable = self._documents.connected and tries > 0
        found = self._entitlements.whose(customer, self._time(), reachable=reachable)
        if isinstance(found, Reason):
            reply(asker, NotFoundError(f"customer {customer}"))
        elif isinstance(found, Customer):
            where = found.bucket
            self._counters.consume(
                Settling(
                    *((), asker),
                    in_bucket=where,
                    customer=customer,
                    reservation=reservation,
                    action=action,
                    reply=reply,
                )
            )
        elif reachable:
            again = partial(self.settle, customer, reservation, action, reply, asker)
            self._fetch(found.document, again, asker.deadline_s, tries)
        else:
            reply(asker, StoreUnavailableError("the counters cannot be asked"))

    def decide_anew(self, check: Check, whose: Any, prepared: Prepared, answer: Answer) -> None:
        """Decide again: another gateway knows a newer document, or our clock is not Redis's."""
        self.learn(prepared, answer)
        self._decide(((whose, prepared),), check.reply, check.asker, check.tries - 1)

    def learn(self, prepared: Prepared, answer: Answer) -> None:
        """Take in what the counters know better: that a document is older than theirs, or what time it is."""
        if answer.kind == STALE:
            self._entitlements.forget(customer_document(prepared.claim.customer))
        else:
            self._counters.standing.tell_time(answer.now_ms)
            prepared.found = None

    def _decide(
        self, claims: Sequence[tuple[Any, Prepared]], reply: Callable[[Any, Told], None], asker: Asker, tries: int
    ) -> None:
        """Decide with what is in memory, or fetch what is missing first: once for all the claims that lack it."""
        counted: dict[int, list[tuple[Any, Prepared, Counting]]] = {}
        waiting: dict[str, list[tuple[Any, Prepared]]] = {}
        reachable = self._documents.connected and tries > 0
        for whose, prepared in claims:
            found = self._found(prepared) or self._look(prepared, reachable=reachable)
            # 1. Counted. 2. Answered without a counter. 3. A document is missing or old. 4. It cannot be fetched.
            if isinstance(found, Counting):
                counted.setdefault(found.order.bucket, []).append((whose, prepared, found))
            elif isinstance(found, Answered):
                reply(whose, found.told)
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
            self._fetch(document, partial(self._decide, of_document, reply, asker), asker.deadline_s, tries)

    def _found(self, prepared: Prepared) -> Answered | Counting | None:
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

    def _look(self, prepared: Prepared, *, reachable: bool) -> Answered | Counting | Decision | Wanted:
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

    def _fetch(self, document: str, decide: Callable[[int], None], deadline_s: float, tries: int) -> None:
        """Fetch a document and decide again, with how many tries are left; by the deadline, without it."""
        waiting = True

        def fetched(found: Document) -> None:
            nonlocal waiting
            if not waiting:
                return
            waiting = False
            timer.cancel()
            left = 0
            if not isinstance(found, StoreUnavailableError):
                try:
                    self._entitlements.hold(document, found, self._time())
                    left = tries - 1
                except StoreCorruptError as error:
                    self._log.warning(document, Event.DOCUMENT_REFUSED, key=document, error=str(error))
            decide(left)

        timer = asyncio.get_running_loop().call_at(
            deadline_s, lambda: fetched(StoreUnavailableError("the document did not come in time"))
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
