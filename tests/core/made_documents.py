"""Customers with something of their own, and how an entitlement is resolved for them, in tests of limits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from billing_core.periods import Interval, milliseconds_of
from gateway.catalog_file import parse_catalog
from gateway.documents import Particulars, decode_plan, plan_document
from gateway.limits import Resolved, entitlement_of, offers_of
from gateway.plan_documents import InForce, document_of
from gateway.windows import Calendar, Timeline

if TYPE_CHECKING:
    from gateway.documents import PlanDocument
    from gateway.limits import Offer

CATALOG = """
product: shop
currency: USD
meters: {calls: {}}
features:
  beta: {type: boolean, when: {paused: allow}}
  models: {type: config}
  calls: {type: metered, meter: calls, when: {past_due: deny}}
  batch: {type: metered, meter: calls}
  burst: {type: rate}
  flow: {type: rate}
  jobs: {type: concurrency}
  seats: {type: licence}
  people: {type: licence}
plans:
  basic:
    billing_interval: month
    grace_days: 3
    entitlements:
      beta: false
      models: [small]
      calls:
        {limit: 1000, window: month, rollover: {maximum: 500, expires_after: 3}, rates: [{limit: 10, window: second}]}
      burst: {rates: [{limit: 60, window: minute, algorithm: sliding}, {limit: 5, window: second, algorithm: gcra}]}
      jobs: {limit: 4, ttl_seconds: 30}
      seats: {limit: per_subscription}
      people: {limit: 5, named: true, active_for_days: 30}
  top:
    billing_interval: month
    entitlements:
      calls: {limit: unlimited, window: month}
      batch:
        {limit: 100, window: day, overage: {cap: 20}, by: {dimension: model, limits: {large: 10}, other: unlimited}}
add_ons:
  more:
    entitlements:
      beta: true
      models: [small, large]
      calls: {limit: 100, window: week}
      batch: {limit: 7, window: hour, priority: 20}
      burst: {limit: 20, window: minute}
      flow: {limit: 3, window: second, algorithm: gcra, burst: 2}
      jobs: {limit: 2}
      seats: {limit: 10}
      people: {limit: 1, named: true, window: month}
"""
NOW_MS = milliseconds_of(datetime(2026, 3, 10, 12, tzinfo=UTC))
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MARCH_ENDS_MS = milliseconds_of(datetime(2026, 4, 1, tzinfo=UTC))
TIMELINE = Timeline(UTC, milliseconds_of(datetime(2026, 1, 15, tzinfo=UTC)), Interval.MONTH)


def document(plan: str = "basic") -> PlanDocument:
    """Make a plan's document as the publisher does, read back as a gateway does."""
    catalog = parse_catalog(CATALOG)
    made = document_of(catalog.narrowed_to(plan), plan, 1, InForce.of(8, catalog))
    return decode_plan(plan_document(plan, 1), msgspec.json.encode(made))


def offer(feature: str, plan: str = "basic") -> Offer:
    """Compile what a plan offers of a feature."""
    return offers_of(document(plan))[feature]


def customer(**said: Any) -> Particulars:
    """Make what a customer has of its own, as its document writes it."""
    return msgspec.json.decode(msgspec.json.encode(said), type=Particulars)


def resolved(feature: str, plan: str = "basic", now_ms: int = NOW_MS, **said: Any) -> Resolved:
    """Resolve a feature for a customer that has this of its own."""
    return entitlement_of(offer(feature, plan), customer(**said), Calendar(), TIMELINE, now_ms)


def granted(grant: str, amount: int = 10, **said: Any) -> dict[str, Any]:
    """Write a grant that began yesterday."""
    return {"grant": grant, "amount": amount, "effective_ms": NOW_MS - DAY_MS, "created_ms": NOW_MS - DAY_MS} | said
