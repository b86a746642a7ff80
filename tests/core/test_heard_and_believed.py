"""No document is believed too long, whatever becomes of announcements; and none is read twice while all is well."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.counters.hearing import Hearing
from gateway.decision import Reason
from gateway.entitlements import Entitlements, Subscriber, Wanted, customer_document, plan_document

if TYPE_CHECKING:
    from collections.abc import Callable

FRESH_S, USABLE_S, LATENCY_S_MAX = 30.0, 200.0, 1.0
PLAN = plan_document("basic", 1)
NAMES = ("acme", "bolt")
DOCUMENTS = (*map(customer_document, NAMES), PLAN)


def written(document: str, version: int) -> bytes:
    """Write a version of a document as the publisher does."""
    if document == PLAN:
        features = {"calls": {"type": "counted", "window": "month", "meter": "calls", "ceiling": version}}
        plan = {"version": version, "plan": "basic", "plan_version": 1, "billing_interval": "month"}
        return msgspec.json.encode(plan | {"features": features})
    name = document.removeprefix(customer_document(""))
    who = {"version": version, "customer": name, "root": name, "bucket": 1, "plan": "basic", "plan_version": 1}
    return msgspec.json.encode(who)


@dataclass
class Redis:
    """What the store does, a step at a time: each publisher's step is one script, and replies come in their order."""

    versions: dict[str, int] = field(default_factory=dict)
    replaced_s: dict[tuple[str, int], float] = field(default_factory=dict)
    """When each version of a document, none being 0, ceased to be the one that is there."""
    number: int = 0
    numbers_given: int = 0
    announced: dict[int, int] = field(default_factory=dict)
    """Which version a number announced."""

    def publish(self, document: str, now_s: float) -> str:
        """Replace a document by the next version; returns the message."""
        version = self.versions.get(document, 0)
        self.replaced_s.setdefault((document, version), now_s)
        self.versions[document] = version + 1
        self.numbers_given = self.number = max(self.numbers_given, self.number) + (2 if not self.number else 1)
        self.announced[self.number] = version + 1
        return f"{self.number} {document}"


class Believing(RuleBasedStateMachine):
    """A gateway, the wire between, and a store; what happens to messages is worse than what Redis does."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0
        self.redis = Redis()
        self.memory = Entitlements(fresh_for_s=FRESH_S, usable_for_s=USABLE_S)
        self.hearing = Hearing(
            on_change=self.memory.forget,
            on_missed=lambda: self.memory.doubt(self.now_s),
            on_confirmed=self.memory.confirm,
        )
        self.asked: deque[tuple[float, Callable[[], Callable[[], None]]]] = deque()
        """Commands on their way to Redis: since when, and what Redis does, which returns what the reply does."""
        self.coming: deque[tuple[float, str | Callable[[], None]]] = deque()
        """Announcements and replies on their way to the gateway, and since when."""
        self.connected = False
        self.heard: dict[str, int] = {}
        """The newest version of a document that was announced and heard."""
        self.calm = False
        """Nothing was lost, repeated or turned round on this connection."""

    @initialize(known=st.booleans())
    def begin(self, *, known: bool) -> None:
        """A gateway starts, with customers published or none yet."""
        for document in DOCUMENTS if known else (PLAN,):
            self.redis.publish(document, self.now_s)
        self.connect()
        for name in NAMES:
            self.ask_and_wait(name)

    # what Redis and its publishers do

    @rule(document=st.sampled_from(DOCUMENTS), fate=st.sampled_from(["heard", "lost", "twice", "early"]))
    def publish(self, document: str, fate: str) -> None:
        """A document is replaced; its announcement arrives, is lost, comes twice, or before the one before it."""
        message = self.redis.publish(document, self.now_s)
        self.calm &= fate == "heard"
        if fate != "lost":
            self.coming.append((self.now_s, message))
        if fate == "twice":
            self.coming.append((self.now_s, message))
        if fate == "early" and len(self.coming) > 1 and isinstance(self.coming[-2][1], str):
            self.coming[-1], self.coming[-2] = self.coming[-2], self.coming[-1]

    @rule(unheard=st.sampled_from(DOCUMENTS), heard=st.sampled_from(DOCUMENTS))
    def leave_a_gap(self, unheard: str, heard: str) -> None:
        """One announcement is lost and the next arrives."""
        self.publish(document=unheard, fate="lost")
        self.publish(document=heard, fate="heard")

    @rule()
    def empty(self) -> None:
        """Redis loses everything but its clock, and the publisher brings every document again, unheard."""
        self.calm = False
        self.redis.number = 0

    @precondition(lambda self: self.asked)
    @rule()
    def run(self) -> None:
        """Redis runs a command."""
        _, command = self.asked.popleft()
        self.coming.append((self.now_s, command()))

    # what the gateway does

    @precondition(lambda self: self.coming)
    @rule()
    def receive(self) -> None:
        """What was sent first arrives."""
        _, what = self.coming.popleft()
        if not isinstance(what, str):
            what()
            return
        self.hearing.announced(what)
        number, _, document = what.partition(" ")
        self.heard[document] = max(self.redis.announced[int(number)], self.heard.get(document, 0))

    @rule()
    def settle(self) -> None:
        """Everything that is on its way arrives."""
        while self.asked:
            self.run()
        while self.coming:
            self.receive()

    @precondition(lambda self: self.connected)
    @rule()
    def look(self) -> None:
        """It asks for the number."""
        asked_s = self.now_s
        self.asked.append((self.now_s, lambda: self._counted(self.redis.number, asked_s)))

    def _counted(self, number: int, asked_s: float) -> Callable[[], None]:
        return lambda: self.hearing.counted(number, asked_s)

    @precondition(lambda self: self.connected)
    @rule(name=st.sampled_from(NAMES))
    def ask(self, name: str) -> None:
        """Somebody asks for a customer: what is missing is read."""
        found = self.memory.find(name, self.now_s, reachable=True)
        if isinstance(found, Wanted):
            self.asked.append((self.now_s, lambda: self._read(found.document)))

    @precondition(lambda self: self.connected)
    @rule(name=st.sampled_from(NAMES))
    def ask_and_wait(self, name: str) -> None:
        """Somebody asks for a customer and gets an answer: by then each document is read once at most."""
        for _ in range(3):
            self.settle()
            self.ask(name)
        assert not self.asked

    def _read(self, document: str) -> Callable[[], None]:
        version = self.redis.versions.get(document, 0)
        found = written(document, version) if version else None
        return lambda: self.memory.hold(document, found, self.now_s)

    @rule()
    def lose_the_connection(self) -> None:
        """What is on its way is lost, and nothing is heard any more."""
        self.asked.clear()
        self.coming.clear()
        self.connected = self.calm = False

    @precondition(lambda self: not self.connected and not self.asked and not self.coming)
    @rule()
    def connect(self) -> None:
        """It subscribes, asks for the number, and doubts what it holds; then it asks for documents again."""
        self.hearing.begin()
        self.hearing.counted(self.redis.number, self.now_s)
        self.hearing.missed()
        self.connected = self.calm = True

    @rule(seconds=st.sampled_from((0.0, 0.2, 0.9)))
    def wait(self, seconds: float) -> None:
        """Time goes by, but a connection that is silent for too long is given up."""
        self.now_s += seconds
        oldest_s = min((since_s for since_s, _ in (*self.asked, *self.coming)), default=self.now_s)
        if self.now_s - oldest_s >= LATENCY_S_MAX:
            self.lose_the_connection()

    @rule(seconds=st.sampled_from((29.5, 100.0, 190.0)))
    def rest(self, seconds: float) -> None:
        """Everything has arrived, and then nobody even looks for long."""
        self.settle()
        self.now_s += seconds

    @precondition(lambda self: self.connected)
    @rule(looks=st.sampled_from((1, 40, 240)))
    def look_on(self, looks: int) -> None:
        """It looks again and again, as it does when it is left alone; if all was heard, nothing is read again."""
        self.settle()
        found = []
        for _ in range(1 + looks):
            self.now_s += 1
            self.hearing.counted(self.redis.number, self.now_s)
            found.append([self.memory.find(name, self.now_s, reachable=True) for name in NAMES])
        assert not self.calm or all(one == found[0] for one in found)

    # what must hold

    @invariant()
    def nothing_is_believed_too_long(self) -> None:
        """What is believed was not heard to be replaced, and was so for less than its time and that of a reply."""
        limit_s = (FRESH_S if self.connected else USABLE_S) + LATENCY_S_MAX
        for name in NAMES:
            found = self.memory.find(name, self.now_s, reachable=self.connected)
            believed: dict[str, int] = {}
            if isinstance(found, Subscriber):
                assert not self.connected or self.memory.fresh(found.customer, found.plan, self.now_s)
                (limit,) = found.plan.features.values()
                believed = {customer_document(name): found.customer.version, PLAN: getattr(limit.feature, "ceiling", 0)}
            elif found is Reason.CUSTOMER_UNKNOWN:
                believed = {customer_document(name): 0}
            for document, version in believed.items():
                replaced_s = self.redis.replaced_s.get((document, version), self.now_s)
                assert self.now_s - replaced_s < limit_s, f"{document} {version}"
                assert version >= self.heard.get(document, 0), f"{document} {version} was heard to be replaced"


TestBelieving = Believing.TestCase
TestBelieving.settings = settings(
    max_examples=300, stateful_step_count=60, deadline=None, database=None, derandomize=True
)
