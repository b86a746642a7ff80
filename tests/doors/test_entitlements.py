"""What is held in memory: as long as it may be believed, not more than fits, and never taken for what it is not."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing_core.entitlements import Algorithm, Align, Window
from billing_core.periods import Interval
from gateway import entitlements, limits
from gateway.decision import Reason
from gateway.documents import CustomerDocument, Particulars, Status, customer_document, plan_document
from gateway.entitlements import Entitlements, Subscriber, Wanted
from gateway.errors import StoreCorruptError

FRESH_S, USABLE_S = 30.0, 1000.0
ACME, BASIC = customer_document("acme"), plan_document("basic", 2)
CUSTOMER = {"version": 5, "customer": "acme", "root": "acme", "bucket": 9, "plan": "basic", "plan_version": 2}
FEATURES: dict[str, dict[str, Any]] = {
    "beta": {"type": "boolean", "on": True, "upgrade_plans": ["scale"]},
    "seats": {"type": "config", "value": {"a": [1, 2.50]}},
    "calls": {"type": "counted", "window": "month", "meter": "calls", "ceiling": 10, "overage": True},
    "rate": {"type": "counted", "window": "minute", "upgrade_plans": ["scale"]},
    "sso": {"type": "missing"},
}
PLAN = {"version": 8, "plan": "basic", "plan_version": 2, "billing_interval": "month", "features": FEATURES}


def encoded(document: dict[str, Any], **changes: Any) -> bytes:
    """Write a document as the publisher does, with changes."""
    return msgspec.json.encode({**document, **changes})


def held(now_s: float = 100.0, **changes: Any) -> Entitlements:
    """Hold acme and its plan since `now_s`."""
    made = Entitlements(fresh_for_s=FRESH_S, usable_for_s=USABLE_S)
    made.hold(ACME, encoded(CUSTOMER, **changes), now_s)
    made.hold(BASIC, encoded(PLAN), now_s)
    return made


def find(memory: Entitlements, now_s: float, *, reachable: bool = True) -> Subscriber | Reason | Wanted:
    """Look acme up."""
    return memory.find("acme", now_s, reachable=reachable)


def test_a_customer_is_found_with_its_plan_compiled() -> None:
    """Every kind of feature comes out as what decides it; a config value as the JSON that it was."""
    found = find(held(anchor_ms=77), 100)
    assert isinstance(found, Subscriber)
    assert (found.customer.bucket, found.customer.version, found.customer.anchor_ms) == (9, 5, 77)
    assert (found.plan.name, found.plan.billing_interval) == ("basic", Interval.MONTH)
    allowance = limits.Allowance("calls:month", Window.MONTH, Align.CALENDAR, 10, 100)
    assert {name: offer.plain.entitlement for name, offer in found.plan.features.items()} == {
        "beta": limits.Switch(True, ("scale",)),
        "seats": limits.Setting('{"a":[1,2.5]}'),
        "calls": limits.Metered("calls", (allowance,), 0, None, (), None, ()),
        "rate": limits.Rated((limits.Rate("rate/minute", Window.MINUTE, None, Algorithm.FIXED, None),), ("scale",)),
        "sso": limits.Absent(()),
    }


def test_what_few_customers_have_is_held_with_them() -> None:
    """A time zone, add-ons and the like come out as they were written; most customers have nothing of the kind."""
    assert find(held(), 100).customer.particulars is None
    memory = held(particulars={"timezone": "Asia/Tokyo", "add_ons": {"more": 2}})
    found = find(memory, 100)
    assert found.customer.particulars == Particulars(timezone="Asia/Tokyo", add_ons={"more": 2})
    assert str(found.timeline.zone) == "Asia/Tokyo"
    memory.hold(ACME, encoded(CUSTOMER, particulars={"timezone": "Asia/Tokyo", "add_ons": {"more": 2}}), 101)
    assert find(memory, 101).customer is found.customer
    memory.hold(ACME, encoded(CUSTOMER, particulars={"timezone": "Asia/Tokyo", "add_ons": {"more": 3}}), 101)
    assert find(memory, 101).customer is not found.customer


def test_an_ordinary_customer_is_small() -> None:
    """What few have costs the others one reference, and nothing in their document."""
    assert msgspec.json.encode(CustomerDocument(5, "acme", "acme", 9, "basic", 2, 77)) == (
        b'{"version":5,"customer":"acme","root":"acme","bucket":9,"plan":"basic","plan_version":2,"anchor_ms":77}'
    )
    customer = find(held(), 100).customer
    assert sys.getsizeof(customer) <= 72


def test_customers_of_a_zone_share_it() -> None:
    """A million customers by the clocks of Tokyo cost no more than a million by those of UTC."""
    tokyo = {"timezone": "Asia/Tokyo"}
    first, second = (find(held(particulars=tokyo), 100).customer.particulars for _ in range(2))
    assert first is second == Particulars(timezone="Asia/Tokyo")
    paused = find(held(particulars={**tokyo, "status": "paused"}), 100).customer.particulars
    assert paused == Particulars(timezone="Asia/Tokyo", status=Status.PAUSED)


def test_what_is_missing_is_asked_for_in_turn() -> None:
    """First the customer, then its plan; a customer without a plan needs none."""
    memory = Entitlements(fresh_for_s=FRESH_S, usable_for_s=USABLE_S)
    assert find(memory, 100) == find(memory, 100, reachable=False) == Wanted(ACME)
    memory.hold(ACME, encoded(CUSTOMER), 100)
    assert find(memory, 100) == Wanted(BASIC)
    memory.hold(BASIC, encoded(PLAN), 100)
    assert isinstance(find(memory, 100), Subscriber)
    memory.hold(ACME, encoded(CUSTOMER, plan=""), 100)
    assert find(memory, 100) is Reason.NO_SUBSCRIPTION
    memory.hold(ACME, None, 100)
    assert find(memory, 100) is Reason.CUSTOMER_UNKNOWN


@pytest.mark.parametrize(("reachable", "limit_s"), [(True, FRESH_S), (False, USABLE_S)])
def test_a_document_is_used_for_its_time(reachable: bool, limit_s: float) -> None:
    """Unannounced it is fresh while Redis answers, and usable for longer while it does not; an unknown id is too."""
    memory = held(100)
    memory.hold(customer_document("nobody"), None, 100)
    for at_s, believed in ((100, True), (99.9 + limit_s, True), (100 + limit_s, False), (10**9, False)):
        assert isinstance(find(memory, at_s, reachable=reachable), Subscriber) is believed
        unknown = memory.find("nobody", at_s, reachable=reachable)
        assert unknown == (Reason.CUSTOMER_UNKNOWN if believed else Wanted(customer_document("nobody")))


def test_each_document_has_its_own_time() -> None:
    """A fresh customer with an old plan asks for the plan."""
    memory = held(100)
    memory.hold(ACME, encoded(CUSTOMER), 125)
    assert find(memory, 131) == Wanted(BASIC)
    memory.hold(BASIC, encoded(PLAN), 131)
    assert isinstance(find(memory, 131), Subscriber)


def test_after_missed_announcements_nothing_older_is_fresh() -> None:
    """Doubt makes all that is held be asked for again while Redis answers, and be used on while it does not."""
    memory = held(100)
    memory.hold(customer_document("nobody"), None, 100)
    memory.doubt(110)
    assert find(memory, 110) == Wanted(ACME)
    assert memory.find("nobody", 110, reachable=True) == Wanted(customer_document("nobody"))
    assert isinstance(find(memory, 110, reachable=False), Subscriber)
    memory.hold(ACME, encoded(CUSTOMER), 110)
    assert find(memory, 110) == Wanted(BASIC)
    memory.hold(BASIC, encoded(PLAN), 110)
    assert isinstance(find(memory, 110), Subscriber)


def test_what_was_replaced_is_forgotten() -> None:
    """A customer, an unknown id and a plan are each dropped alone, and a name that is not held is no trouble."""
    memory = held(100)
    memory.forget("doc:l:stranger")
    memory.forget(BASIC)
    assert find(memory, 100) == find(memory, 100, reachable=False) == Wanted(BASIC)
    memory.hold(BASIC, encoded(PLAN), 100)
    memory.forget(ACME)
    assert find(memory, 100) == find(memory, 100, reachable=False) == Wanted(ACME)
    memory.hold(ACME, None, 100)
    memory.forget(ACME)
    assert find(memory, 100, reachable=False) == Wanted(ACME)


def test_guessing_ids_drives_out_no_customer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown ids are remembered apart and not more than so many: the oldest are forgotten first."""
    monkeypatch.setattr(entitlements, "UNKNOWN_MAX", 3)
    monkeypatch.setattr(entitlements, "CUSTOMERS_MAX", 1)
    memory = held(100)
    for name in "abcad":
        memory.hold(customer_document(name), None, 100)
    known = [name for name in "abcd" if memory.find(name, 100, reachable=True) is Reason.CUSTOMER_UNKNOWN]
    assert known == ["a", "c", "d"]
    assert isinstance(find(memory, 100), Subscriber)


def test_the_customer_not_asked_for_the_longest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """To be asked for keeps a customer in memory."""
    monkeypatch.setattr(entitlements, "CUSTOMERS_MAX", 3)
    memory = held(100)
    for name in "bc":
        memory.hold(customer_document(name), encoded(CUSTOMER, customer=name), 100)
    assert isinstance(find(memory, 100), Subscriber)
    for name in "de":
        memory.hold(customer_document(name), encoded(CUSTOMER, customer=name), 100)
    kept = [
        name
        for name in ("acme", "b", "c", "d", "e")
        if memory.find(name, 100, reachable=True) != Wanted(customer_document(name))
    ]
    assert kept == ["acme", "d", "e"]


def features(**changes: Any) -> dict[str, Any]:
    """Make a plan with one feature that was tampered with."""
    return {"features": {"calls": {**FEATURES["calls"], **changes}}}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        *((ACME, found) for found in (b"", b"{", b"[]", b"null", b"\xff", b"{}")),
        *((ACME, encoded(CUSTOMER, **{field: None})) for field in ("version", "customer", "root", "bucket", "plan")),
        (ACME, encoded(CUSTOMER, bucket="9")),
        (ACME, encoded(CUSTOMER, version=1.5)),
        (ACME, encoded(CUSTOMER, particulars={"timezone": "Mars/Olympus"})),
        (ACME, encoded(CUSTOMER, particulars={"status": "asleep"})),
        (ACME, encoded(CUSTOMER, particulars={"add_ons": {"more": 0}})),
        (BASIC, encoded(PLAN, features={"people": {"type": "named_licences", "ceiling": 5}})),
        *((BASIC, found) for found in (None, b"", b"{", b"{}", encoded(PLAN, billing_interval="fortnight"))),
        *((BASIC, encoded(PLAN, **features(**one))) for one in ({"window": "aeon"}, {"ceiling": "10"}, {"type": "x"})),
        (BASIC, encoded(PLAN, features=[])),
    ],
)
def test_a_corrupt_document_is_not_taken_in(name: str, found: bytes | None) -> None:
    """It is an error that names it; what was held before stays, and nothing becomes known by it."""
    memory = held(100)
    before = find(memory, 100)
    with pytest.raises(StoreCorruptError, match=name):
        memory.hold(name, found, 120)
    assert find(memory, 100) == before
    assert find(memory, 131) == Wanted(ACME)


@settings(deadline=None, database=None)
@given(
    found=st.binary(max_size=40)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(msgspec.json.encode)
)
def test_any_bytes_are_a_document_or_an_error(found: bytes) -> None:
    """Nothing that stands in Redis raises anything else."""
    memory = held(100)
    for name in (ACME, BASIC):
        with pytest.raises(StoreCorruptError):
            memory.hold(name, found, 100)
