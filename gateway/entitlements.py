"""What each customer may do, compiled from its documents and held in memory: found without waiting, or fetched first.

Two documents decide: the customer's (which plan, since when, in which bucket) and that of its plan's version (every
feature of the product). Both are JSON, written by the publisher; a change is announced and what is held is dropped.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Generic, TypeVar

import msgspec

from billing_core.entitlements import Window  # noqa: TC001 - msgspec reads it at run time
from billing_core.periods import Interval  # noqa: TC001 - as above
from gateway.decision import Absent, Entitlement, Limit, Reason, Setting, Switch
from gateway.errors import StoreCorruptError

if TYPE_CHECKING:
    from collections.abc import Mapping

Content = TypeVar("Content")

CUSTOMERS_MAX: Final = 100_000
"""About 1 KiB each; the least recently used go first."""

BUCKET_MAX: Final = 63
ANCHOR_MS_MAX: Final = 200 * 365 * 86_400_000
"""No billing period is counted from a later day than one in 2169."""

UNKNOWN_MAX: Final = 10_000
"""Ids that name no customer are remembered apart, so that guessing ids never drives out customers."""


def customer_document(customer: str) -> str:
    """``doc:l:<customer>``."""
    return f"doc:l:{customer}"


def plan_document(plan: str, version: int) -> str:
    """``plan:<plan>:<version>``."""
    return f"plan:{plan}:{version}"


_Version = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]


class CustomerDocument(msgspec.Struct, frozen=True):
    """Who a customer is to the counters, and its plan; plan is empty without a subscription."""

    version: _Version
    customer: str
    root: str
    bucket: Annotated[int, msgspec.Meta(ge=0, le=BUCKET_MAX)]
    plan: str = ""
    plan_version: Annotated[int, msgspec.Meta(ge=0)] = 0
    anchor_ms: Annotated[int, msgspec.Meta(ge=0, le=ANCHOR_MS_MAX)] = 0
    """The moment from which billing periods are counted."""


class Boolean(msgspec.Struct, frozen=True, tag_field="type", tag="boolean"):
    """A feature that is on or off."""

    on: bool
    upgrade_plans: tuple[str, ...] = ()


class Config(msgspec.Struct, frozen=True, tag_field="type", tag="config"):
    """A feature that is a value."""

    value: msgspec.Raw


class Counted(msgspec.Struct, frozen=True, tag_field="type", tag="counted"):
    """A feature that is counted: metered, or a rate when it has no meter; unlimited when it has no ceiling."""

    window: Window
    meter: str | None = None
    ceiling: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] | None = None
    overage: bool = False
    upgrade_plans: tuple[str, ...] = ()


class Missing(msgspec.Struct, frozen=True, tag_field="type", tag="missing"):
    """A feature of the product that this plan does not have."""

    upgrade_plans: tuple[str, ...] = ()


class PlanDocument(msgspec.Struct, frozen=True):
    """One version of a plan; its own `version` rises when a catalog changes what the plan says of other plans."""

    version: _Version
    plan: str
    plan_version: _Version
    billing_interval: Interval
    features: dict[str, Boolean | Config | Counted | Missing]


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan's version, compiled: shared by all who are on it."""

    name: str
    billing_interval: Interval
    features: Mapping[str, Entitlement]


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A customer with its plan: all that a check needs to know."""

    customer: str
    bucket: int
    version: int
    anchor_ms: int
    plan: Plan


@dataclass(frozen=True, slots=True)
class Wanted:
    """The document to fetch before the question can be answered."""

    document: str


@dataclass(slots=True)
class _Held(Generic[Content]):
    content: Content
    confirmed_s: float


class Entitlements:
    """Every document lately asked for; `find` is the first step of each check."""

    def __init__(self, *, fresh_for_s: float, usable_for_s: float) -> None:
        """A document is used `fresh_for_s` unannounced while Redis answers, `usable_for_s` while it does not."""
        self._fresh_for_s = fresh_for_s
        self._usable_for_s = usable_for_s
        self._missed_s = 0.0
        self._customers: OrderedDict[str, _Held[CustomerDocument]] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._plans: dict[str, _Held[Plan]] = {}

    def find(self, customer: str, now_s: float, *, reachable: bool) -> Subscriber | Reason | Wanted:
        """Return the customer with its plan, why there is none, or the document to fetch first."""
        document = customer_document(customer)
        held = self._customers.get(document)
        if held is None:
            if self._usable(self._unknown.get(document), now_s, reachable=reachable):
                return Reason.CUSTOMER_UNKNOWN
            return Wanted(document)
        if not self._usable(held.confirmed_s, now_s, reachable=reachable):
            return Wanted(document)
        self._customers.move_to_end(document)
        who = held.content
        if not who.plan:
            return Reason.NO_SUBSCRIPTION
        document = plan_document(who.plan, who.plan_version)
        plan = self._plans.get(document)
        if plan is None or not self._usable(plan.confirmed_s, now_s, reachable=reachable):
            return Wanted(document)
        return Subscriber(who.customer, who.bucket, who.version, who.anchor_ms, plan.content)

    def hold(self, document: str, found: bytes | None, now_s: float) -> None:
        """Take in what was fetched; raises StoreCorruptError when it is no document of ours."""
        try:
            if document.startswith("plan:"):
                self._hold_plan(document, found, now_s)
            else:
                self._hold_customer(document, found, now_s)
        except (msgspec.DecodeError, ValueError) as error:
            raise StoreCorruptError(f"document {document} cannot be read ({error})") from error

    def forget(self, document: str) -> None:
        """Drop a document that was replaced."""
        self._customers.pop(document, None)
        self._unknown.pop(document, None)
        self._plans.pop(document, None)

    def doubt(self, now_s: float) -> None:
        """Take nothing held before now for fresh: announcements may have been missed."""
        self._missed_s = now_s

    def _usable(self, confirmed_s: float | None, now_s: float, *, reachable: bool) -> bool:
        if confirmed_s is None:
            return False
        if reachable:
            return confirmed_s >= self._missed_s and now_s - confirmed_s < self._fresh_for_s
        return now_s - confirmed_s < self._usable_for_s

    def _hold_customer(self, document: str, found: bytes | None, now_s: float) -> None:
        if found is None:
            self._customers.pop(document, None)
            self._unknown[document] = now_s
            self._unknown.move_to_end(document)
            if len(self._unknown) > UNKNOWN_MAX:
                self._unknown.popitem(last=False)
            return
        held = _customer.decode(found)
        if document != customer_document(held.customer):
            raise ValueError(f"it is that of {held.customer}")
        self._unknown.pop(document, None)
        self._customers[document] = _Held(held, now_s)
        self._customers.move_to_end(document)
        if len(self._customers) > CUSTOMERS_MAX:
            self._customers.popitem(last=False)

    def _hold_plan(self, document: str, found: bytes | None, now_s: float) -> None:
        if found is None:
            raise ValueError("a customer is on a plan that was never published")
        plan = _plan.decode(found)
        if document != plan_document(plan.plan, plan.plan_version):
            raise ValueError(f"it is that of {plan.plan} {plan.plan_version}")
        features = {name: _compiled(feature) for name, feature in plan.features.items()}
        self._plans[document] = _Held(Plan(plan.plan, plan.billing_interval, features), now_s)


_customer: Final = msgspec.json.Decoder(CustomerDocument)
_plan: Final = msgspec.json.Decoder(PlanDocument)


def _compiled(feature: Boolean | Config | Counted | Missing) -> Entitlement:
    match feature:
        case Boolean():
            return Switch(feature.on, feature.upgrade_plans)
        case Config():
            return Setting(bytes(feature.value).decode())
        case Counted():
            return Limit(feature.meter, feature.window, feature.ceiling, feature.overage, feature.upgrade_plans)
        case Missing():
            return Absent(feature.upgrade_plans)
