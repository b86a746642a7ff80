"""How load is put on a server: so many calls in flight, or calls at fixed times; every reply is checked afterwards.

Closed loop, for what a call costs: each connection keeps so many calls in flight. Open loop, for latency: the n-th call
is due at a fixed time, is sent as soon as that has come, and its latency counts from when it was due, whoever was late.
"""

from __future__ import annotations

import gc
import itertools
import select
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from benchmarks.histogram import Histogram
from benchmarks.wire import Client

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.workload import Workload

Seen = TypeVar("Seen")

BUSY_MAX: Final = 0.8
"""A generator that computes for more of the time than this measures itself."""

CONNECT_S_MAX: Final = 5.0
DRAIN_S_MAX: Final = 5.0
LOOK_S_MAX: Final = 0.02
"""The end of a stretch is noticed this late at most."""

TIMER_SLACK_NS: Final = 1000
"""The system's own 50 µs would be a good part of a call."""


class LoadError(Exception):
    """What was measured means nothing: replies were wrong or missing, or the generator had too little time."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How many connections, and how many calls are kept in flight on each; or instead how many fall due in a second."""

    connections: int
    streams: int = 0
    rate_hz: float | None = None

    def __str__(self) -> str:
        return f"{self.connections} × {self.streams if self.rate_hz is None else f'{self.rate_hz:,.0f}/s'}"


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Seen]):
    """What happened between warm-up and end, and what `look` saw at these two moments."""

    calls: int
    seconds: float
    busy: float
    """For which part of that time the generator itself computed."""
    latency_ns: Histogram
    """Of the calls that fell due in that time; empty in the closed loop."""
    before: Seen
    after: Seen
    next_number: int
    """Of the request that comes next, should the same load go on."""


def put(
    target: str,
    workload: Workload,
    shape: Shape,
    *,
    warm_s: float,
    seconds: float,
    look: Callable[[], Seen],
    first_number: int = 0,
) -> Outcome[Seen]:
    """Put load on a server, from a request's number on.

    Raises LoadError when a reply is wrong or missing, WireError on what is no gRPC over HTTP/2.
    """
    _wake_in_time()
    clients = [Client(target, workload.blocks, workload.body) for _ in range(shape.connections)]
    run = _Run(clients, shape, first_number)
    try:
        gc.collect()
        gc.disable()
        outcome = run.measured(warm_s, seconds, look)
    finally:
        gc.enable()
        run.close()
    replies = itertools.chain.from_iterable(client.replies for client in clients)
    if mistakes := workload.mistakes(replies):
        raise LoadError("\n  ".join([f"{run.asked:,} calls to {target}, and among the replies:", *mistakes]))
    if outcome.busy > BUSY_MAX:
        raise LoadError(
            f"the generator computed for {outcome.busy:.0%} of the time; above {BUSY_MAX:.0%} it measures itself"
        )
    return outcome


class _Run:
    """One stretch of load, from connecting to the last reply."""

    def __init__(self, clients: list[Client], shape: Shape, first_number: int) -> None:
        self.clients = clients
        self._first_number = first_number
        self.asked = 0
        self._ended = 0
        self._shape = shape
        self._begun_ns = 0
        self._measured_from_ns = 0
        self._latency_ns = Histogram()
        self._by_descriptor = {client.socket.fileno(): client for client in clients}
        self._poll = select.epoll()
        for descriptor in self._by_descriptor:
            self._poll.register(descriptor, select.EPOLLIN)

    def close(self) -> None:
        """Hang up."""
        self._poll.close()
        for client in self.clients:
            client.close()

    def measured(self, warm_s: float, seconds: float, look: Callable[[], Seen]) -> Outcome[Seen]:
        """Connect, warm up, measure, and wait for what is still under way."""
        self._wait(lambda: all(client.ready for client in self.clients), CONNECT_S_MAX, "a server's settings")
        self._begun_ns = time.perf_counter_ns()
        go_on = self._keep_in_flight if self._shape.rate_hz is None else self._keep_to_times
        self._measured_from_ns = self._begun_ns + int(warm_s * 1e9)
        go_on(self._measured_from_ns)
        before, ended, computed_s, begun_s = look(), self._ended, time.thread_time(), time.perf_counter()
        go_on(time.perf_counter_ns() + int(seconds * 1e9))
        lasted_s, busy_s, calls = time.perf_counter() - begun_s, time.thread_time() - computed_s, self._ended - ended
        after = look()
        self._wait(lambda: self._ended == self.asked, DRAIN_S_MAX, "the last replies")
        return Outcome(
            calls, lasted_s, busy_s / lasted_s, self._latency_ns, before, after, self._first_number + self.asked
        )

    def _keep_in_flight(self, until_ns: int) -> None:
        """Closed loop: each call that ends makes room for the next one on its connection."""
        if not self.asked:
            for client in self.clients:
                self._ask(client, self._shape.streams)
        while time.perf_counter_ns() < until_ns:
            for client, ended in self._receive(LOOK_S_MAX):
                self._ask(client, ended)

    def _ask(self, client: Client, count: int) -> None:
        number = self._first_number + self.asked
        client.ask(range(number, number + count))
        self._until_written(client)
        self.asked += count

    def _keep_to_times(self, until_ns: int) -> None:
        """Open loop: what has fallen due is sent, over the connections in turn; then until the next one we listen."""
        assert self._shape.rate_hz is not None
        interval_ns = 1e9 / self._shape.rate_hz
        while (now_ns := time.perf_counter_ns()) < until_ns:
            due = int((now_ns - self._begun_ns) / interval_ns) + 1
            for place in range(self.asked, min(due, self.asked + len(self.clients))):
                client = self.clients[place % len(self.clients)]
                client.ask(range(self._first_number + place, self._first_number + due, len(self.clients)))
                self._until_written(client)
            self.asked = max(self.asked, due)
            next_ns = self._begun_ns + self.asked * interval_ns
            wait_s = max(0.0, min(next_ns, until_ns) - time.perf_counter_ns()) / 1e9
            for client, ended in self._receive(wait_s):
                self._clock(client, ended, interval_ns)

    def _clock(self, client: Client, ended: int, interval_ns: float) -> None:
        """Note how long after their time these calls ended."""
        now_ns = time.perf_counter_ns()
        for number, _, _ in client.replies[-ended:] if ended else ():
            due_ns = self._begun_ns + int((number - self._first_number) * interval_ns)
            if due_ns >= self._measured_from_ns:
                self._latency_ns.add(now_ns - due_ns)

    def _wait(self, reached: Callable[[], bool], seconds_max: float, what: str) -> None:
        until_s = time.perf_counter() + seconds_max
        while not reached():
            if time.perf_counter() > until_s:
                raise LoadError(
                    f"{self.asked - self._ended} calls under way, and {what} did not come in {seconds_max} s"
                )
            for client, ended in self._receive(LOOK_S_MAX):
                if self._shape.rate_hz is not None:
                    self._clock(client, ended, 1e9 / self._shape.rate_hz)

    def _receive(self, wait_s: float) -> list[tuple[Client, int]]:
        """Wait for replies, at most so long; returns how many calls ended on each connection that brought some."""
        select.select((self._poll,), (), (), wait_s)  # epoll itself counts in milliseconds
        heard = []
        for descriptor, events in self._poll.poll(0):
            client = self._by_descriptor[descriptor]
            if events & select.EPOLLOUT:
                client.flush()
                self._poll.modify(descriptor, select.EPOLLIN)
            if events & ~select.EPOLLOUT:
                before = len(client.replies)
                client.receive()
                heard.append((client, len(client.replies) - before))
                self._ended += heard[-1][1]
            self._until_written(client)
        return heard

    def _until_written(self, client: Client) -> None:
        """Have ourselves told when a socket that was full takes more."""
        if client.unsent:
            self._poll.modify(client.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)


def _wake_in_time() -> None:
    """Let a wait end when it is over, not when the system finds it convenient."""
    slack = Path("/proc/self/timerslack_ns")
    if slack.exists():
        slack.write_text(str(TIMER_SLACK_NS), encoding="ascii")
