"""consume.lua against a model of its header: whatever is asked, alone or with others in a call, in whatever order."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.counters import keys
from gateway.counters.consume import PEEK, Key, Order
from tests.doors.test_consume import FAR_MS, HEAD, KINDS, LENGTH_MS, LINE, MAX, USAGE, Bucket, bucket

__all__ = ["bucket"]  # the fixture


@dataclass
class Model:
    """The rules of the script's header, said once more; TIME lies in every window but the one that ends at 2000."""

    head: dict[str, str] = field(default_factory=lambda: {"line": LINE, "one": "0", "two": "0"})
    use: dict[str, dict[str, str]] = field(default_factory=lambda: {"acme": {}, "bolt": {}})
    known: dict[tuple[str, str], str] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)

    def consume(self, gateway: str, number: int, order: Order) -> tuple[str, int, int]:
        """Answer kind, used and window_start_ms."""
        if gateway not in self.head:
            return "UNREGISTERED", 0, 0
        use = self.use[order.customer]
        used, window_ms = (int(use.get(order.counter + field, 0)) for field in ("", ".w"))
        if window_ms < (opened_ms := order.window_start_ms or LENGTH_MS):
            used, window_ms = 0, opened_ms
        own, event_id = f"{gateway}-{number}", order.key.event_id if order.key else f"{gateway}-{number}"
        name = order.customer, event_id
        first, by = self.known.get(name, " ").split(" ") if order.key and number else ("", "")
        if order.key and first:
            kind = "KEY_REUSED" if first != order.key.fingerprint else "COUNTED" if by == own else "REPLAYED"
        elif number and number <= int(self.head[gateway]):
            kind = "SEEN"
        elif order.version < int(use.get(".v", 0)):
            kind = "STALE"
        elif order.window_end_ms == 2000:
            kind = "WRONG_WINDOW"
        elif used + order.quantity > (MAX if order.ceiling is None else order.ceiling):
            kind = "REFUSED"
        elif number == PEEK:
            kind = "PEEKED"
        else:
            kind, used = "COUNTED", used + order.quantity
            self.head[gateway] = str(number)
            use |= {order.counter: str(used), f"{order.counter}.w": str(window_ms), ".v": str(order.version)}
            self.known |= {name: f"{order.key.fingerprint} {own}"} if order.key else {}
            self.events += [event_id] if order.event else []
        return kind, used, window_ms


ORDERS = st.builds(
    lambda window, **fields: Order(7, window_start_ms=window[0], window_end_ms=window[1], **fields),
    st.sampled_from([(1000, FAR_MS), (2000, FAR_MS), (0, LENGTH_MS), (1000, 2000)]),
    customer=st.sampled_from(["acme", "acme", "bolt"]),
    counter=st.sampled_from("ab"),
    quantity=st.integers(1, 4),
    version=st.sampled_from([3, 3, 3, 4, 5]),
    ceiling=st.none() | st.integers(0, 12),
    event=st.sampled_from([b"claim", None]),
    key=st.none() | st.builds(Key, st.sampled_from(["x", "y"]), st.sampled_from(["f", "g"]), st.just(60_000)),
)
AHEAD = st.sampled_from([1, 1, 1, 2, 0, -1, None])  # from the last one on; None peeks
CALLS = st.lists(
    st.tuples(
        st.sampled_from(["one", "one", "two", "three"]), st.lists(st.tuples(AHEAD, ORDERS), min_size=1, max_size=6)
    ),
    max_size=8,
)


@settings(max_examples=300, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=CALLS)
async def test_the_script_does_what_its_header_says(
    bucket: Bucket, calls: list[tuple[str, list[tuple[int | None, Order]]]]
) -> None:
    """Claims, peeks, repeats and older numbers: several in a call are what the model makes of them one by one."""
    await bucket.anew()
    model = Model()
    for gateway, asked in calls:
        claims, expected = [], []
        for ahead, order in asked:
            number = PEEK if ahead is None else max(1, int(model.head.get(gateway, 0)) + ahead)
            claims.append((number, replace(order, peek=number == PEEK)))
            expected.append(model.consume(gateway, number, order))
        answers = (
            await bucket.ask_many(claims, gateway)
            if len(claims) > 1
            else [await bucket.ask(*claims[0], gateway=gateway)]
        )
        assert [(KINDS[answer.kind], answer.used, answer.window_start_ms) for answer in answers] == expected
    for customer, use in model.use.items():
        assert await bucket.redis.hgetall(keys.use(7, customer)) == use
    assert await bucket.redis.hgetall(HEAD) == model.head
    assert [fields["id"] for _, fields in await bucket.redis.xrange(USAGE)] == model.events
    known = {keys.idempotency(7, *name): fingerprint for name, fingerprint in model.known.items()}
    assert {name: await bucket.redis.get(name) for name in await bucket.redis.keys("*:idem:*")} == known
