"""The hot path on one screen: entitlement → counters → decision, with at most one question to Redis.

A claim is prepared once: what was found out about it is kept with it, and holds until a document or a window is over.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from msgspec.structs import replace

from gateway.checker.checks import TRIES_MAX, Batch, Check, Together
from gateway.counters.consume import CLAIMS_MAX, STALE
from gateway.counters.settling import Settling
from gateway.decision import Claim, Decision, Reason, degrade, refuse
from gateway.documents import customer_document
from gateway.entitlements import Customer, Wanted
from gateway.errors import NotFoundError, StoreCorruptError, StoreUnavailableError
from gateway.prepared import Answered, Counting, Prepared, Preparing
from gateway.telemetry import Event, Seldom

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.checker.checks import Told
    from gateway.counters.ask import Asker
    from gateway.counters.consume import Answer
    from gateway.counters.counting import Counters
    from gateway.counters.documents import Document, Documents
    from gateway.counters.settle import Action, Settled
    from gateway.entitlements import Entitlements
    from gateway.errors import TollkeeperError

Whose = TypeVar("Whose", bound="Asker")

_ANYBODY: Final = "-"
"""Who asks for a list of features: of a named licence, whether there is one more."""


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
        found = self._found(prepared, self._time())
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
        batch = Batch(len(prepared), reply, asker)
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
        reachable, now_s = self._documents.connected and tries > 0, self._time()
        for one in prepared:
            what = self._found(one, now_s) or self._look(one, now_s, reachable=reachable)
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
            Together(
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
        counted: defaultdict[int, list[tuple[Any, Prepared, Counting]]] = defaultdict(list)
        waiting: dict[str, list[tuple[Any, Prepared]]] = {}
        reachable = self._documents.connected and tries > 0
        now_s = self._time()
        customer = plan = None
        for whose, prepared in claims:
            known = prepared.found
            found: Answered | Counting | Decision | Wanted
            if known is not None and known.customer is customer and known.plan is plan and now_s < known.until_s:
                found = known  # its documents are those that were looked at for the claim before
            else:
                found = self._found(prepared, now_s) or self._look(prepared, now_s, reachable=reachable)
            # 1. Counted. 2. Answered without a counter. 3. A document is missing or old. 4. It cannot be fetched.
            if isinstance(found, Counting):
                customer, plan = found.customer, found.plan
                counted[found.order.bucket].append((whose, prepared, found))
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

    def _found(self, prepared: Prepared, now_s: float) -> Answered | Counting | None:
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

    def _look(self, prepared: Prepared, now_s: float, *, reachable: bool) -> Answered | Counting | Decision | Wanted:
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
