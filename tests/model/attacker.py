"""A customer who tries to get more than its limits give, by all that the public API lets it ask; it gains nothing.

Its gateways are honest: numbers rise, windows are the ones that are open, a key's fingerprint is that of its request.
The attacker chooses what to ask, when, under which keys and how often, which answers to lose and how to end what it
holds. A ledger that knows nothing of counters adds up what was admitted.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING

from gateway.counters import keys
from gateway.counters.order import Hold, Key, Order
from tests.model import scripts
from tests.model.documents import FEATURES, LENGTHS_MS, MODELS, SUBJECTS, document
from tests.model.ledger import Ledger, Use
from tests.model.oracle import PEEK
from tests.model.situation import BEGINS_US, BUCKET, EXTREMES, REMEMBER_MS, claim_of
from tests.model.told import Call, Settling
from tests.model.wire import Wire, clock, pack

if TYPE_CHECKING:
    from tests.model.choosing import Choosing

LINE, GATEWAY, CUSTOMER = "deployment:1:replid", "honest", "mallory"
QUANTITIES = (1, 1, 2, 3, 6, 13)
PAUSES_MS = (0, 0, 1, 30, 400, 1_000, 20_000, 61_000, 3_600_000, 8_000_000, 86_400_000, 86_400_000, 40 * 86_400_000)
OFTEN = ("check", "check", "check", "batch", "reserve", "reserve", "again", "end", "end")
"""How often each way is tried."""

HELD_MS = (1_000, 60_000, 3_600_000, 86_400_000)


class GainedError(AssertionError):
    """The attacker was given what no limit gives."""


class Attacker:
    """One customer with one document, from nothing on."""

    def __init__(self, wire: Wire, choose: Choosing) -> None:
        self.kinds: Counter[str] = Counter()
        self.ledger = Ledger()
        self._choose = choose
        self._wire = wire
        self._number = 0
        self._now_us = BEGINS_US
        self._document = document(choose, keys.seat(BUCKET, CUSTOMER, "seats"), self._now_us // 1000)
        self._favourite = choose.pick(("calls", "tokens"))
        self._single = choose.pick([True, False])
        self._held: dict[str, Use] = {}
        self._over: dict[str, Use] = {}
        self._sent: list[Call] = []
        self._seen: set[str] = set()
        self._use = keys.use(BUCKET, CUSTOMER)
        wire.ask([pack("FLUSHDB"), pack("HSET", keys.head(BUCKET), "line", LINE, GATEWAY, 0)])

    def check(self) -> None:
        """Ask for one thing, perhaps only to see."""
        self._ask(Call(LINE, GATEWAY, [self._order(peek=self._choose.whole(0, 9) == 0)], [0]))

    def batch(self) -> None:
        """Ask for several things at once, each for itself or all or none."""
        orders = [self._order() for _ in range(self._choose.whole(2, 6))]
        self._ask(Call(LINE, GATEWAY, orders, [0] * len(orders), atomic=self._choose.pick([False, True])))

    def reserve(self) -> None:
        """Hold something."""
        self._ask(Call(LINE, GATEWAY, [self._order(hold=True)], [0]))

    def again(self) -> None:
        """Have a call sent again whose answer was lost: under its numbers, as a gateway does."""
        if self._sent:
            self._send(self._choose.pick(self._sent))

    def end(self) -> None:
        """Commit, release or extend what is held, was held, or never was."""
        identity = self._choose.pick([*self._held, *self._held, *list(self._over)[-5:], "nobody-1"])
        action = self._choose.pick(["commit", "release", "extend", "commit"])
        amount = self._choose.pick(HELD_MS) if action == "extend" else self._choose.pick([0, 1, 2, 5, 40])
        self._number += 1
        told = Settling(LINE, GATEWAY, CUSTOMER, identity, action, amount, self._number)
        self._pass()
        said = scripts.read_settled(self._asked(scripts.settle_command(told)))[0].said
        self.kinds[f"{action} {said.kind}"] += 1
        use = self._held.get(identity) or self._over.get(identity)
        if use and said.kind == "X":
            use.due_us = max(use.due_us or 0, (self._now_us // 1000 + amount) * 1000)
        elif use and said.kind in ("E", "L"):
            self._let_go(identity, amount if action == "commit" else 0)

    def _let_go(self, identity: str, quantity: int) -> None:
        """Keep of a reservation what was really used; an answer that comes again says nothing new."""
        is_late = identity in self._over
        use = self._held.pop(identity, None) or self._over[identity]
        use.quantity, use.within, use.due_us = quantity, 0 if is_late else min(quantity, use.asked), 0
        self._over[identity] = use

    def _order(self, *, peek: bool = False, hold: bool = False) -> Order:
        choose = self._choose
        feature = choose.pick(("calls", "tokens", "jobs") if hold else FEATURES)
        if self._single or choose.whole(0, 2):
            feature = self._favourite
        model, subject = choose.pick(MODELS), choose.pick(SUBJECTS)
        quantity = choose.pick(QUANTITIES) if choose.whole(0, 19) else choose.pick(EXTREMES)
        limits = self._document.features[feature](self._now_us // 1000, model, subject)
        ttl_ms = choose.pick(HELD_MS) if hold else 0
        key = None
        if choose.whole(0, 2) == 0:
            asked = json.dumps([feature, quantity, model, subject, ttl_ms])
            fingerprint = hashlib.sha256(asked.encode()).hexdigest()[:22]
            key = Key(f"key{choose.whole(1, 9)}", fingerprint, REMEMBER_MS)
        return Order(
            bucket=BUCKET,
            customer=CUSTOMER,
            limits=limits,
            quantity=quantity,
            version=1,
            event=claim_of(CUSTOMER, feature, limits, quantity, 1, hold=hold),
            key=key,
            peek=peek,
            hold=Hold(ttl_ms) if hold else None,
        )

    def _ask(self, call: Call) -> None:
        numbers = []
        for order in call.orders:
            self._number += not order.peek
            numbers.append(PEEK if order.peek else self._number)
        self._sent = [*self._sent[-5:], call._replace(numbers=numbers)]
        self._pass()
        self._send(self._sent[-1])

    def _send(self, call: Call) -> None:
        heard = scripts.read_answers(self._asked(scripts.consume_command(call)), call)
        for order, number, answer in zip(call.orders, call.numbers, heard, strict=True):
            self.kinds[answer.kind] += 1
            identity = order.key.event_id if order.key else f"{GATEWAY}-{number}"
            if answer.kind != "C" or identity in self._seen:
                continue
            self._seen.add(identity)
            due_us = (self._now_us // 1000 + order.hold.ttl_ms) * 1000 if order.hold else None
            use = Use(self._now_us, order.quantity, order.limits, due_us)
            if order.hold:
                self._held[identity] = use
            gained = self.ledger.admit(use)
            if gained:
                raise GainedError(f"at {self._now_us} µs by {order}: {gained}")

    def _pass(self) -> None:
        way = self._choose.whole(0, 9)
        if way < 5:
            self._now_us += self._choose.whole(0, 2_000)
        elif way < 9:
            self._now_us += self._choose.pick(PAUSES_MS) * 1000
        else:
            length_us = self._choose.pick([*LENGTHS_MS.values()]) * 1000
            self._now_us += length_us - self._now_us % length_us - self._choose.pick([0, 1])
        for identity, use in list(self._held.items()):
            if use.due_us is not None and use.due_us // 1000 <= self._now_us // 1000:
                self._let_go(identity, 0)

    def _asked(self, command: bytes) -> object:
        lapses_ms = self._wire.call("PEXPIRETIME", self._use)
        assert isinstance(lapses_ms, int)
        if 0 < lapses_ms <= self._now_us // 1000:
            self._wire.call("DEL", self._use)  # as Redis does, by whose clock the attacker's time has not come
        reply = self._wire.ask([clock(self._now_us), command])[1]
        assert not isinstance(reply, Exception), reply
        return reply
