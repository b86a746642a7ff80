"""Who asks for what in the model, and when: customers and their documents, gateways and their numbers, and the time."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.counters import keys
from gateway.counters.consume import CLAIMS_MAX
from gateway.counters.order import LIFETIME, Hold, Key, Limit, Member, Order, Pool, Quota
from tests.model.documents import FEATURES, LENGTHS_MS, MODELS, SUBJECTS, Document, document
from tests.model.stored import MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.model.choosing import Choosing

BUCKET = 7
CUSTOMERS = ("acme", "bolt")
BEGINS_US = 4_000_000_000_000_000
"""In 2096, so that nothing expires by Redis's own clock while the model's time goes on."""

REMEMBER_MS = 600_000
HOARDED_MS = 60_000
METERED = ("calls", "tokens", "seats")
QUANTITIES = (1, 1, 2, 3, 5, 8, 20)
EXTREMES = (MAX, MAX - 1, 2**52, 2**32)
PAUSES_MS = (0, 1, 3, 40, 250, 1_000, 7_000, 60_000, 900_000, 5_000_000, 43_200_000, 86_400_000, 40 * 86_400_000)
DAY_MS, MONTH_MS = LENGTHS_MS["day"], LENGTHS_MS["month"]


@dataclass
class Situation:
    """What a step is chosen from."""

    choose: Choosing
    now_us: int = BEGINS_US
    documents: dict[str, list[Document]] = field(default_factory=dict)
    gateways: dict[str, int] = field(default_factory=dict)
    born: int = 0

    def __post_init__(self) -> None:
        self.now_us += self.choose.whole(0, MONTH_MS) * 1000
        for name in CUSTOMERS:
            self.documents[name] = [document(self.choose, keys.seat(BUCKET, name, "seats"), self.now_ms)]

    @property
    def now_ms(self) -> int:
        """Tell the time as answers do."""
        return self.now_us // 1000

    def travel(self) -> None:
        """Let time pass: mostly hardly any, sometimes up to the edge of a window, seldom a little back."""
        way = self.choose.whole(0, 99)
        if way < 60:
            self.now_us += self.choose.whole(0, 3_000)
        elif way < 85:
            most_ms = self.choose.pick(PAUSES_MS[:9])
            self.now_us += self.choose.whole(0, most_ms * 1000)
        elif way < 89:
            most_ms = self.choose.pick(PAUSES_MS)
            self.now_us += self.choose.whole(0, most_ms * 1000)
        elif way < 97:
            length_ms = self.choose.pick([*LENGTHS_MS.values(), DAY_MS])
            edge_ms = self.now_ms - self.now_ms % length_ms + length_ms
            self.now_us = edge_ms * 1000 + self.choose.pick([0, 0, 0, -1, 1, -1_000, 1_000])
        else:
            self.now_us -= self.choose.whole(0, self.choose.pick([2_000, 2_000_000]))

    def change(self) -> str:
        """Give a customer a newer document."""
        name = self.choose.pick(CUSTOMERS)
        held = self.documents[name]
        held.append(document(self.choose, keys.seat(BUCKET, name, "seats"), self.now_ms, held[-1]))
        del held[:-3]
        return name

    def restart(self) -> str:
        """Bring a gateway to life."""
        self.born += 1
        gateway = f"gateway{self.born}"
        self.gateways[gateway] = 0
        return gateway

    def gateway(self) -> str:
        """Choose who asks: mostly the youngest."""
        alive = list(self.gateways)
        return alive[-1] if self.choose.whole(0, 4) else self.choose.pick(alive[-3:])

    def number(self, gateway: str) -> int:
        """Give a claim its number: the next, seldom one that was given before, or one farther on."""
        way = self.choose.whole(0, 29)
        if way == 0 and self.gateways[gateway]:
            return self.choose.whole(1, self.gateways[gateway])
        self.gateways[gateway] += 2 if way == 1 else 1
        return self.gateways[gateway]

    def order(self, *, peek: bool = False, hold: bool = False) -> Order:
        """Choose a claim: mostly by the newest document and the window that is open."""
        choose = self.choose
        name, feature = choose.pick(CUSTOMERS), choose.pick(FEATURES if not hold else ("tokens", "calls", "jobs"))
        held = self.documents[name]
        chosen = held[-1] if choose.whole(0, 19) else choose.pick(held)
        at_ms = self.now_ms
        if feature != "seats" and at_ms % DAY_MS == 0 and choose.whole(0, 1) == 0:
            at_ms -= 1
        elif feature != "seats" and choose.whole(0, 14) == 0:
            at_ms += choose.pick([-1, 1]) * choose.pick([1, *LENGTHS_MS.values()])
        model, subject = choose.pick(MODELS), choose.pick(SUBJECTS)
        limits = chosen.features[feature](at_ms, model, subject)
        quantity = choose.pick(QUANTITIES) if choose.whole(0, 49) else choose.pick(EXTREMES)
        key = None
        if choose.whole(0, 3) == 0 and not peek:
            key = Key(f"key{choose.whole(1, 40)}", choose.pick(["same", "same", "same", "other"]), REMEMBER_MS)
        return Order(
            bucket=BUCKET,
            customer=name,
            limits=limits,
            quantity=quantity,
            version=chosen.version,
            event=claim_of(name, feature, limits, quantity, chosen.version, hold=hold) if feature in METERED else None,
            key=key,
            peek=peek,
            hold=Hold(choose.pick([60_000, 1_000, 5_000, 3_600_000, 86_400_000])) if hold else None,
        )


def hoard(customer: str, version: int) -> list[Order]:
    """Make claims that hold as much as one call can hold."""
    limits = (Quota("calls:hoard", LIFETIME, None),)
    return [Order(BUCKET, customer, limits, 1, version, hold=Hold(HOARDED_MS)) for _ in range(CLAIMS_MAX)]


def claim_of(customer: str, feature: str, limits: Sequence[Limit], quantity: int, version: int, *, hold: bool) -> bytes:
    """Pack the claim of a usage event: schema 2, its counter and window those of the first limit, or of its base."""
    first = limits[0].members[limits[0].base] if isinstance(limits[0], Pool) else limits[0]
    windowed = isinstance(first, Quota | Member)
    where = [first.counter, first.span.start_ms] if windowed else ["", 0]
    claim = [2, customer, feature, feature, quantity, version, *where, None, None, int(hold)]
    return json.dumps(claim, separators=(",", ":")).encode()
