"""What each customer may do, compiled from its documents and held in memory: found at once, or fetched first.

Two documents decide: the customer's (which plan, since when, in which bucket) and that of its plan's version (every
feature of the product). What was replaced is announced and believed no more.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import UTC
from sys import intern
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec

from gateway.confirmations import GONE_S, Confirmations
from gateway.decision import Reason
from gateway.documents import (
    CUSTOMER_PREFIX,
    PLAN_PREFIX,
    customer_document,
    decode_customer,
    decode_plan,
    plan_document,
)
from gateway.errors import StoreCorruptError
from gateway.limits import offers_of
from gateway.windows import Timeline, zone_named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from billing_core.periods import Interval
    from gateway.documents import Particulars
    from gateway.limits import Offer

CUSTOMERS_MAX: Final = 1_000_000
"""About 270 bytes each; who was not asked for lately goes first."""

CHANCES_MAX: Final = 64
"""So many who were asked for lately are passed over, before one goes nevertheless: no check waits for a search."""


UNKNOWN_MAX: Final = 10_000
"""Ids that name no customer are remembered apart, so that guessing ids never drives out customers."""


class Plan(msgspec.Struct):
    """A plan's version, compiled: shared by all who are on it."""

    name: str
    billing_interval: Interval
    features: Mapping[str, Offer]
    read_s: float
    """When it was read, or GONE_S."""

    def said(self) -> tuple[object, ...]:
        """Return its document."""
        return self.name, self.billing_interval, self.features


class Customer(msgspec.Struct, gc=False):
    """What a check needs to know of a customer; there are many: nothing is in it twice, and nothing traces it."""

    bucket: int
    version: int
    anchor_ms: int
    plan: str
    """The name of its plan's document; empty without a subscription."""
    read_s: float
    """When it was read, or GONE_S."""
    particulars: Particulars | None = None
    """What few have: an ordinary customer costs no more for it than this."""
    asked: bool = False
    """Lately: it stays a while longer."""

    def said(self) -> tuple[object, ...]:
        """Return what its document says."""
        return self.bucket, self.version, self.anchor_ms, self.plan, self.particulars


Held = TypeVar("Held", Customer, Plan)


class Subscriber(NamedTuple):
    """A customer with its plan."""

    customer: Customer
    plan: Plan

    @property
    def timeline(self) -> Timeline:
        """How its time is counted."""
        own = self.customer.particulars
        zone = UTC if own is None else zone_named(own.timezone)
        return Timeline(zone, self.customer.anchor_ms, self.plan.billing_interval)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The document to fetch before the question can be answered."""

    document: str


class Entitlements:
    """Every document lately asked for; `find` is the first step of a check of which nothing is known yet."""

    def __init__(self, *, fresh_for_s: float, usable_for_s: float) -> None:
        """A document is used `fresh_for_s` unconfirmed while Redis answers, `usable_for_s` while it does not."""
        self._confirmations = Confirmations(fresh_for_s=fresh_for_s, usable_for_s=usable_for_s)
        self._customers: dict[str, Customer] = {}
        self._turns: deque[str] = deque()
        """Each of these once, in the order in which their turn to go comes."""
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._plans: dict[str, Plan] = {}

    def find(self, customer: str, now_s: float, *, reachable: bool) -> Subscriber | Reason | Wanted:
        """Return the customer with its plan, why there is none, or the document to fetch first."""
        held = self.whose(customer, now_s, reachable=reachable)
        if not isinstance(held, Customer):
            return held
        if not held.plan:
            return Reason.NO_SUBSCRIPTION
        plan = self._plans.get(held.plan)
        if plan is None or not self._usable(plan.read_s, now_s, reachable=reachable):
            return Wanted(held.plan)
        return Subscriber(held, plan)

    def whose(self, customer: str, now_s: float, *, reachable: bool) -> Customer | Reason | Wanted:
        """Return the customer, whatever its plan, why there is none, or the document to fetch first."""
        held = self._customers.get(customer)
        if held is None or held.read_s == GONE_S:
            if self._usable(self._unknown.get(customer, GONE_S), now_s, reachable=reachable):
                return Reason.CUSTOMER_UNKNOWN
            return Wanted(customer_document(customer))
        if not self._usable(held.read_s, now_s, reachable=reachable):
            return Wanted(customer_document(customer))
        held.asked = True
        return held

    def fresh(self, customer: Customer, plan: Plan, now_s: float) -> bool:
        """Tell whether both are still what Redis said lately, while it answers."""
        customer.asked = True
        return self._confirmations.fresh(min(plan.read_s, customer.read_s), now_s)

    def hold(self, document: str, found: bytes | None, now_s: float) -> None:
        """Take in what was fetched; raises StoreCorruptError when it is no document of ours."""
        read_s = self._confirmations.read_at(now_s)
        try:
            if document.startswith(PLAN_PREFIX):
                self._hold_plan(document, found, read_s)
            else:
                self._hold_customer(document, found, read_s)
        except (msgspec.DecodeError, ValueError) as error:
            raise StoreCorruptError(f"document {document} cannot be read ({error})") from error

    def forget(self, document: str) -> None:
        """Believe a document no more that was replaced."""
        if document.startswith(PLAN_PREFIX):
            held: Customer | Plan | None = self._plans.get(document)
        else:
            customer = document.removeprefix(CUSTOMER_PREFIX)
            held = self._customers.get(customer)
            self._unknown.pop(customer, None)
        if held is not None:
            held.read_s = GONE_S

    def doubt(self, now_s: float) -> None:
        """Take nothing held before now for fresh: announcements may have been missed."""
        self._confirmations.doubt(now_s)

    def confirm(self, asked_s: float) -> None:
        """Take all that is held for confirmed at that moment, but for what was replaced or is doubted."""
        self._confirmations.confirm(asked_s)

    def _usable(self, read_s: float, now_s: float, *, reachable: bool) -> bool:
        held = self._confirmations
        return held.fresh(read_s, now_s) if reachable else held.usable(read_s, now_s)

    def _hold_customer(self, document: str, found: bytes | None, read_s: float) -> None:
        customer = document.removeprefix(CUSTOMER_PREFIX)
        held = self._customers.get(customer)
        if found is None:
            if held is not None:
                held.read_s = GONE_S
            self._unknown[customer] = read_s
            self._unknown.move_to_end(customer)
            if len(self._unknown) > UNKNOWN_MAX:
                self._unknown.popitem(last=False)
            return
        said = decode_customer(document, found)
        plan = plan_document(said.plan, said.plan_version) if said.plan else ""
        own = None if said.particulars is None else said.particulars.shared()
        told = Customer(said.bucket, said.version, said.anchor_ms, intern(plan), read_s, own)
        self._unknown.pop(customer, None)
        if held is None:
            self._customers[customer] = told
            self._turns.append(customer)
            self._make_room()
        else:
            self._customers[customer] = _confirmed(held, told)

    def _hold_plan(self, document: str, found: bytes | None, read_s: float) -> None:
        if found is None:
            raise ValueError("a customer is on a plan that was never published")
        said = decode_plan(document, found)
        told = Plan(said.plan, said.billing_interval, offers_of(said), read_s)
        held = self._plans.get(document)
        self._plans[document] = told if held is None else _confirmed(held, told)

    def _make_room(self) -> None:
        """Let one go when there are too many: the first in turn that was not asked for since its last turn."""
        if len(self._customers) <= CUSTOMERS_MAX:
            return
        for _ in range(CHANCES_MAX):
            customer = self._turns[0]
            held = self._customers[customer]
            if not held.asked:
                break
            held.asked = False
            self._turns.rotate(-1)
        gone = self._customers.pop(self._turns.popleft())
        gone.read_s = GONE_S


def _confirmed(held: Held, told: Held) -> Held:
    """Keep what is held when it is what was told, so that what was found out with it holds on; else it is over."""
    if held.said() == told.said():
        held.read_s = told.read_s
        return held
    held.read_s = GONE_S
    return told
