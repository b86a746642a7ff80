"""Drives the real scripts and the oracle with the same steps, and demands the same answers and the same counters."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from gateway.counters import keys
from gateway.counters.consume import CLAIMS_MAX
from tests.model import scripts
from tests.model.oracle import HOLDS_MAX, PEEK, Oracle
from tests.model.reading import differences
from tests.model.situation import BUCKET, CUSTOMERS, Situation, hoard
from tests.model.stored import Count, Move, Slot
from tests.model.told import Call, Said, Settling
from tests.model.wire import Wire, clock, pack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.counters.order import Order
    from tests.model.choosing import Choosing

LINE = "deployment:1:replid"
BATCH_MAX = 40
SAME_CALLS_MAX = 8


class DiffersError(AssertionError):
    """What a real script answered or left behind is not what the oracle says."""


class Step(NamedTuple):
    """One call of a script: what was sent, what the oracle says, and how the reply is read."""

    kind: str
    told: object
    at_us: int
    command: bytes
    expected: Sequence[Said]
    read: Callable[[object], Sequence[scripts.Heard]]


class Driver:
    """A bucket from nothing on."""

    def __init__(self, wire: Wire, choose: Choosing) -> None:
        self.situation = Situation(choose)
        self.oracle = Oracle(LINE)
        self.kinds: Counter[str] = Counter()
        self.steps = 0
        self._wire = wire
        self._choose = choose
        self._waiting: list[Step] = []
        self._commands: list[bytes] = []
        self._calls: list[Call] = []
        self._settlings: list[Settling] = []
        self._ids: list[bytes] = []
        wire.call("FLUSHDB")
        self._write("HSET", keys.head(BUCKET), "line", LINE)
        self.restart()

    def take(self, kind: str) -> None:
        """Let time pass and take a step of that kind."""
        self.situation.travel()
        getattr(self, kind)()

    # the rules

    def consume(self) -> None:
        """Ask for one claim."""
        self._ask("consume", self._call([self.situation.order()]))

    def peek(self) -> None:
        """Ask for one claim and count nothing."""
        self._ask("peek", self._call([self.situation.order(peek=True)]))

    def reserve(self) -> None:
        """Hold a quantity."""
        self._ask("reserve", self._call([self.situation.order(hold=True)]))

    def hoard(self) -> None:
        """Hold more than a customer may."""
        name = self._choose.pick(CUSTOMERS)
        for _ in range(HOLDS_MAX // CLAIMS_MAX + 3):
            self._ask("hoard", self._call(hoard(name, self.situation.documents[name][-1].version)))

    def batch(self) -> None:
        """Ask for several claims in a call, each for itself."""
        self._ask("batch", self._call(self._orders()))

    def atomic(self) -> None:
        """Ask for several claims in a call, all or none."""
        self._ask("atomic", self._call(self._orders(), atomic=True))

    def again(self) -> None:
        """Send a call that was sent before once more, under its old numbers."""
        if self._calls:
            self._ask("again", self._choose.pick(self._calls))

    def barred(self) -> None:
        """Ask under a line that no longer holds, or as a gateway that nobody registered."""
        call = self._call([self.situation.order()])
        self._ask("barred", call._replace(**self._choose.pick([{"line": "deployment:0:replid"}, {"gateway": "stray"}])))

    def settle(self) -> None:
        """Commit, release or extend a reservation that is open, or was, or never was."""
        told = self._settling()
        expected = self.oracle.settle(told, self.situation.now_us)
        self._take("settle", told, scripts.settle_command(told), [expected], scripts.read_settled)
        self._settlings = [*self._settlings[1 - SAME_CALLS_MAX :], told]

    def sweep(self) -> None:
        """End what is due of a customer."""
        name, most, gateway = self._choose.pick(CUSTOMERS), self._choose.whole(1, 10), self.situation.gateway()
        command = scripts.sweep_command(LINE, gateway, name, most)
        expected = self.oracle.sweep(LINE, gateway, name, most, self.situation.now_us)
        read = partial(scripts.read_swept, now_ms=self.situation.now_ms)
        self._take("sweep", (name, most), command, [expected], read)

    def record(self) -> None:
        """Apply an outbox row: a refund, or usage that came late; seldom one that was applied before."""
        name = self._choose.pick(CUSTOMERS)
        number = max(1, self.oracle.outbox + self._choose.pick([1, 1, 1, 2, 0]))
        known = self.oracle.customers.get(name)
        stored = known.stored if known else {}
        windowed = [(counter, found) for counter, found in stored.items() if isinstance(found, Count | Slot)]
        moves = []
        for _ in range(self._choose.whole(1, 3) if windowed else 0):
            counter, found = self._choose.pick(windowed)
            start = found.ordinal if isinstance(found, Slot) else found.start_ms
            start = max(0, start - self._choose.pick([0, 0, 0, 1]))
            moves.append(Move(counter, start, self._choose.pick([-1, 1]) * self._choose.whole(0, min(found.used, 9))))
        command = scripts.record_command(LINE, name, number, moves)
        said = self.oracle.record(LINE, name, number, moves)
        self._take("record", (name, number, moves), command, [said], scripts.read_recorded)

    def change(self) -> None:
        """Give a customer a newer document."""
        self.situation.change()
        self.kinds["change"] += 1

    def restart(self) -> None:
        """Bring another gateway to life, beside those that still ask."""
        gateway = self.situation.restart()
        self.oracle.last[gateway] = 0
        self._write("HSET", keys.head(BUCKET), gateway, 0)
        self.kinds["restart"] += 1

    # what they are made of

    def _orders(self) -> list[Order]:
        few = self._choose.whole(2, 5) if self._choose.whole(0, 19) else self._choose.whole(6, 64)
        return [self.situation.order(peek=not self._choose.whole(0, 9)) for _ in range(few)]

    def _call(self, orders: Sequence[Order], *, atomic: bool = False) -> Call:
        gateway = self.situation.gateway()
        numbers = [PEEK if order.peek else self.situation.number(gateway) for order in orders]
        return Call(LINE, gateway, orders, numbers, atomic)

    def _ask(self, kind: str, call: Call) -> None:
        expected = self.oracle.consume(call, self.situation.now_us)
        self._take(kind, call, scripts.consume_command(call), expected, lambda reply: scripts.read_answers(reply, call))
        self._calls = [*self._calls[1 - SAME_CALLS_MAX :], call]

    def _settling(self) -> Settling:
        choose = self._choose
        remembered = self.oracle.remembered(self.situation.now_us)
        again = [told for told in self._settlings if (told.customer, told.reservation) in remembered]
        if again and choose.whole(0, 5) == 0:
            return choose.pick(again)
        name = choose.pick(CUSTOMERS)
        known = self.oracle.customers.get(name)
        open_now = list(known.holds) if known else []
        ended = [identity for owner, identity in remembered[-3:] if owner == name]
        choices = [*open_now, *open_now, *ended, "nobody-1"]
        identity = choose.pick(choices)
        action = choose.pick(["commit", "commit", "release", "extend"])
        amount = choose.pick([0, 1, 2, 3, 7, 25]) if action == "commit" else choose.pick([1_000, 60_000, 7_200_000])
        gateway = self.situation.gateway()
        return Settling(LINE, gateway, name, identity, action, amount, self.situation.number(gateway))

    # sending and comparing

    def _write(self, *command: str | int) -> None:
        self._commands.append(pack(*command))

    def _take(self, kind: str, told: object, command: bytes, expected: Sequence[Said], read: Callable) -> None:
        self.kinds[kind] += 1
        self.kinds.update(f"answer {said.kind}" for said in expected)
        self.steps += 1
        self._commands.append(clock(self.situation.now_us))
        self._waiting.append(Step(kind, told, self.situation.now_us, command, expected, read))
        self._commands.append(command)

    def flush(self) -> None:
        """Send what waits and compare every answer."""
        steps, commands = self._waiting, self._commands
        self._waiting, self._commands = [], []
        replies = self._wire.ask(commands)
        answered = [reply for command, reply in zip(commands, replies, strict=True) if b"EVALSHA" in command[:24]]
        for step, reply in zip(steps, answered, strict=True):
            if isinstance(reply, Exception):
                raise DiffersError(f"{step.kind} at {step.at_us} µs: {reply}\n{step.told}")
            for at, (expected, heard) in enumerate(zip(step.expected, step.read(reply), strict=True)):
                wrong = heard.differs(expected)
                if wrong:
                    raise DiffersError(f"{step.kind}[{at}] at {step.at_us} µs: {wrong}\n{told(step.told, at)}")
                if heard.stream_id:
                    self._ids.append(heard.stream_id)

    def check(self) -> None:
        """Compare every counter, hold, seat, key and event."""
        self.flush()
        wrong = differences(self._wire, self.oracle, self._ids)
        if wrong:
            raise DiffersError(f"at {self.situation.now_us} µs: {wrong}")
        self.oracle.events.clear()
        self._ids.clear()


def told(what: object, at: int) -> str:
    """Show what a step asked for up to one claim of it."""
    if not isinstance(what, Call):
        return str(what)
    asked = zip(what.numbers, what.orders, strict=True)
    rows = [
        f"{number}: {order.customer} {order.quantity} of {order.limits} by {order.version} {order.key} {order.hold}"
        for number, order in list(asked)[: at + 1]
    ]
    return "\n".join([f"{what.gateway} atomic={what.atomic}", *rows])
