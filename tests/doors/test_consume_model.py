"""consume.lua against a model of its header: whatever is asked, alone or with others in a call, in whatever order."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.counters import keys
from gateway.counters.consume import PEEK
from gateway.counters.order import Key, Order, Quota, Span
from tests.counters_seen import counters
from tests.doors.test_consume import FAR_MS, HEAD, KINDS, LENGTH_MS, LINE, MAX, USAGE, Bucket, bucket

__all__ = ["bucket"]  # the fixture

Said = tuple[str, int, tuple[tuple[int, int], ...]]
"""Kind, the limit that decided, and of each limit used and window_start_ms."""


@dataclass
class Model:
    """The rules of the script's header, said once more; TIME lies in every window but the one that ends at 2000."""

    head: dict[str, str] = field(default_factory=lambda: {"line": LINE, "one": "0", "two": "0"})
    use: dict[str, dict[str, tuple[int, int]]] = field(default_factory=lambda: {"acme": {}, "bolt": {}})
    version: dict[str, int] = field(default_factory=dict)
    known: dict[tuple[str, str], str] = field(default_factory=dict)
    events: list[tuple[str, str | None]] = field(default_factory=list)

    def consume(self, gateway: str, number: int, order: Order) -> Said:
        """Answer one claim."""
        if gateway not in self.head:
            return "UNREGISTERED", 0, ()
        use = self.use[order.customer]
        quotas = [limit for limit in order.limits if isinstance(limit, Quota)]
        states = [self.state(use, quota) for quota in quotas]
        refusing = [
            place
            for place, ((used, _), quota) in enumerate(zip(states, quotas, strict=True))
            if used + order.quantity > (MAX if quota.ceiling is None else quota.ceiling)
        ]
        own, event_id = f"{gateway}-{number}", order.key.event_id if order.key else f"{gateway}-{number}"
        name, decided = (order.customer, event_id), 0
        first, by = self.known.get(name, " ").split(" ") if order.key and number else ("", "")
        if order.key and first:
            kind = "KEY_REUSED" if first != order.key.fingerprint else "COUNTED" if by == own else "REPLAYED"
        elif number and number <= int(self.head[gateway]):
            kind = "SEEN"
        elif order.version < self.version.get(order.customer, 0):
            kind = "STALE"
        elif any(quota.span.end_ms == 2000 for quota in quotas):
            kind = "WRONG_WINDOW"
        elif refusing:
            kind, decided = "REFUSED", refusing[0]
        elif number == PEEK:
            kind = "PEEKED"
        else:
            kind = "COUNTED"
            states = [(used + order.quantity, start) for used, start in states]
            self.head[gateway] = str(number)
            use |= {quota.counter: state for quota, state in zip(quotas, states, strict=True)}
            self.version[order.customer] = order.version
            self.known |= {name: f"{order.key.fingerprint} {own}"} if order.key else {}
            self.events += [(event_id, self.moves(order, quotas, states))] if order.event else []
        return kind, decided, tuple(states)

    @staticmethod
    def state(use: dict[str, tuple[int, int]], quota: Quota) -> tuple[int, int]:
        """Tell used and start of the window that runs."""
        used, start_ms = use.get(quota.counter, (0, 0))
        opened_ms = quota.span.start_ms or LENGTH_MS
        return (used, start_ms) if start_ms >= opened_ms else (0, opened_ms)

    @staticmethod
    def moves(order: Order, quotas: list[Quota], states: list[tuple[int, int]]) -> str | None:
        """Tell what the event says of its moves; nothing when its claim says it."""
        kept = [(q.counter, start) for q, (_, start) in zip(quotas, states, strict=True) if q.kept]
        if kept == [(quotas[0].counter, quotas[0].span.start_ms or LENGTH_MS)]:
            return None
        return ";".join(f"{counter} {start} {order.quantity}" for counter, start in kept)


QUOTAS = st.builds(
    Quota,
    st.sampled_from("abc"),
    st.sampled_from([Span(1000, FAR_MS), Span(1000, FAR_MS), Span(2000, FAR_MS), Span(0, LENGTH_MS), Span(1000, 2000)]),
    st.none() | st.integers(0, 12),
    st.sampled_from([True, True, True, True, False]),
)


def orders(limits_max: int) -> st.SearchStrategy[Order]:
    """Draw claims against up to so many quotas."""
    return st.builds(
        Order,
        st.just(7),
        customer=st.sampled_from(["acme", "acme", "bolt"]),
        limits=st.lists(QUOTAS, min_size=1, max_size=limits_max, unique_by=lambda quota: quota.counter).map(tuple),
        quantity=st.integers(1, 4),
        version=st.sampled_from([3, 3, 3, 4, 5]),
        event=st.sampled_from([b"claim", None]),
        key=st.none() | st.builds(Key, st.sampled_from(["x", "y"]), st.sampled_from(["f", "g"]), st.just(60_000)),
    )


AHEAD = st.sampled_from([1, 1, 1, 2, 0, -1, None])  # from the last one on; None peeks
CALLS = st.lists(
    st.tuples(
        st.sampled_from(["one", "one", "two", "three"]),
        st.lists(st.tuples(AHEAD, orders(1)), min_size=1, max_size=6)  # the straight path, of quotas kept
        | st.lists(st.tuples(AHEAD, orders(3)), min_size=1, max_size=6),
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
        assert [(KINDS[answer.kind], answer.decided, answer.states) for answer in answers] == expected
    for customer, use in model.use.items():
        assert await counters(bucket.redis, 7, customer) == use
        held = await bucket.redis.hget(keys.use(7, customer), ".v")
        assert held == (str(model.version[customer]) if use else None)
    assert await bucket.redis.hgetall(HEAD) == model.head
    written = [(fields["id"], fields.get("moves")) for _, fields in await bucket.redis.xrange(USAGE)]
    assert written == model.events
    known = {keys.idempotency(7, *name): fingerprint for name, fingerprint in model.known.items()}
    assert {name: await bucket.redis.get(name) for name in await bucket.redis.keys("*:idem:*")} == known
