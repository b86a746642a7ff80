"""How load is put on a server: so many calls in flight, or calls at fixed times; every reply is checked afterwards.

Closed loop, for what a call costs: each connection keeps so many calls in flight. Open loop, for latency: the n-th call
is due at a fixed time, is sent as soon as that has come, and its latency counts from when it was due, whoever was late.
Connections stay, and load comes in stretches; behind each we wait for every reply, so that none is paid in the next.
"""

from __future__ import annotations

import gc
import itertools
import select
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from benchmarks.histogram import Histogram

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

    from benchmarks.wire import Reply

Seen = TypeVar("Seen")

WARM_SHARE: Final = 0.2
"""In the open loop the first part of a stretch is not clocked: its first calls find everybody asleep."""

CONNECT_S_MAX: Final = 5.0
DRAIN_S_MAX: Final = 5.0
LOOK_S_MAX: Final = 0.02
"""The end of a stretch is noticed this late at most."""

TIMER_SLACK_NS: Final = 1000
"""The system's own 50 µs would be a good part of a call."""


class LoadError(Exception):
    """What was measured means nothing: replies were wrong or missing."""


class OverloadError(LoadError):
    """More was asked than could be answered."""


class Caller(Protocol):
    """One connection with many calls in flight; we poll its socket, and read `replies` as they come."""

    replies: list[Reply]

    @property
    def socket(self) -> socket.socket:
        """To be polled."""

    @property
    def unsent(self) -> bytearray:
        """What the socket did not take yet."""

    @property
    def ready(self) -> bool:
        """Whether the server has greeted us."""

    def ask(self, numbers: Iterable[int]) -> None:
        """Send these requests in one write."""

    def receive(self) -> None:
        """Read what is there; calls that ended are appended to `replies`."""

    def flush(self) -> None:
        """Go on writing what the socket did not take."""

    def close(self) -> None:
        """Hang up."""


class Work(Protocol):
    """What is asked, over what kind of connection, and what is wrong with the replies."""

    def connect(self, target: str) -> Caller:
        """Open one connection."""

    def mistakes(self, replies: Iterable[Reply]) -> list[str]:
        """Name what is wrong."""


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
    """What happened in a stretch, and what `look` saw before its first call and behind its last reply."""

    calls: int
    in_time: float
    """Which part of the calls had ended when the last one had fallen due: the others were queueing."""
    seconds: float
    busy: float
    """For which part of that time the generator itself computed."""
    latency_ns: Histogram
    """Empty in the closed loop."""
    lateness_ns: Histogram
    """How long after its time a call was sent; that is in its latency, too."""
    before: Seen
    after: Seen


class Load:
    """Connections to one server, and the requests that go over them in the order of their numbers."""

    def __init__(self, target: str, work: Work, shape: Shape) -> None:
        """Connect. Raises OSError, or LoadError when the server does not greet us."""
        _wake_in_time()
        self.asked = 0
        self._target = target
        self._work = work
        self._shape = shape
        self._interval_ns = 1e9 / shape.rate_hz if shape.rate_hz is not None else 0.0
        self._ended = 0
        self._first = 0
        self._begun_ns = self._clocked_from_ns = 0
        self._latency_ns, self._lateness_ns = Histogram(), Histogram()
        self._poll = select.epoll()
        self._callers: list[Caller] = []
        self._by_descriptor: dict[int, Caller] = {}
        try:
            for _ in range(shape.connections):
                self._callers.append(work.connect(target))
            self._by_descriptor = {caller.socket.fileno(): caller for caller in self._callers}
            for descriptor in self._by_descriptor:
                self._poll.register(descriptor, select.EPOLLIN)
            self._wait(lambda: all(caller.ready for caller in self._callers), CONNECT_S_MAX, "a server's settings")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Hang up."""
        self._poll.close()
        for caller in self._callers:
            caller.close()

    def put(self, seconds: float, look: Callable[[], Seen]) -> Outcome[Seen]:
        """Ask for so long, wait for what is still under way, and look at every reply.

        Raises LoadError when a reply is wrong, OverloadError when one is missing, WireError on what is no gRPC.
        """
        gc.disable()
        try:
            outcome = self._stretch(seconds, look)
        finally:
            gc.enable()
        replies = list(itertools.chain.from_iterable(caller.replies for caller in self._callers))
        for caller in self._callers:
            caller.replies.clear()
        if mistakes := self._work.mistakes(replies):
            raise LoadError(
                "\n  ".join([f"{outcome.calls:,} calls to {self._target}, and among the replies:", *mistakes])
            )
        return outcome

    def _stretch(self, seconds: float, look: Callable[[], Seen]) -> Outcome[Seen]:
        self._first = self.asked
        self._latency_ns, self._lateness_ns = Histogram(), Histogram()
        before, computed_s = look(), time.thread_time()
        self._begun_ns = time.perf_counter_ns()
        self._clocked_from_ns = self._begun_ns + int(seconds * WARM_SHARE * 1e9)
        until_ns = self._begun_ns + int(seconds * 1e9)
        if self._interval_ns:
            self._keep_to_times(until_ns)
        else:
            self._keep_in_flight(until_ns)
        calls = self.asked - self._first
        in_time = (calls - (self.asked - self._ended)) / max(calls, 1)
        self._wait(lambda: self._ended == self.asked, DRAIN_S_MAX, "the last replies")
        lasted_s, busy_s = (time.perf_counter_ns() - self._begun_ns) / 1e9, time.thread_time() - computed_s
        return Outcome(calls, in_time, lasted_s, busy_s / lasted_s, self._latency_ns, self._lateness_ns, before, look())

    def _keep_in_flight(self, until_ns: int) -> None:
        """Closed loop: each call that ends makes room for the next one on its connection."""
        for caller in self._callers:
            self._ask(caller, self._shape.streams)
        while time.perf_counter_ns() < until_ns:
            for caller, ended in self._receive(LOOK_S_MAX):
                self._ask(caller, ended)

    def _ask(self, caller: Caller, count: int) -> None:
        caller.ask(range(self.asked, self.asked + count))
        self._until_written(caller)
        self.asked += count

    def _keep_to_times(self, until_ns: int) -> None:
        """Open loop: what has fallen due is sent, over the connections in turn; then until the next one we listen."""
        while (now_ns := time.perf_counter_ns()) < until_ns:
            due = self._first + int((now_ns - self._begun_ns) / self._interval_ns) + 1
            for number in range(self.asked, min(due, self.asked + len(self._callers))):
                caller = self._callers[number % len(self._callers)]
                caller.ask(range(number, due, len(self._callers)))
                self._until_written(caller)
            self._clock(self._lateness_ns, range(self.asked, due))
            self.asked = max(self.asked, due)
            next_ns = self._due_ns(self.asked)
            self._receive(max(0.0, min(next_ns, until_ns) - time.perf_counter_ns()) / 1e9)

    def _due_ns(self, number: int) -> int:
        return self._begun_ns + int((number - self._first) * self._interval_ns)

    def _clock(self, into: Histogram, numbers: Iterable[int]) -> None:
        """Note how long after their time it is."""
        now_ns = time.perf_counter_ns()
        for number in numbers:
            if (due_ns := self._due_ns(number)) >= self._clocked_from_ns:
                into.add(now_ns - due_ns)

    def _wait(self, reached: Callable[[], bool], seconds_max: float, what: str) -> None:
        until_s = time.perf_counter() + seconds_max
        while not reached():
            if time.perf_counter() > until_s:
                left = self.asked - self._ended
                raise OverloadError(f"{left} calls under way, and {what} did not come in {seconds_max} s")
            self._receive(LOOK_S_MAX)

    def _receive(self, wait_s: float) -> list[tuple[Caller, int]]:
        """Wait for replies, at most so long; returns how many calls ended on each connection that brought some."""
        select.select((self._poll,), (), (), wait_s)  # epoll itself counts in milliseconds
        heard = []
        for descriptor, events in self._poll.poll(0):
            caller = self._by_descriptor[descriptor]
            if events & select.EPOLLOUT:
                caller.flush()
                self._poll.modify(descriptor, select.EPOLLIN)
            if events & ~select.EPOLLOUT:
                before = len(caller.replies)
                caller.receive()
                ended = len(caller.replies) - before
                self._ended += ended
                heard.append((caller, ended))
                if self._interval_ns and ended:
                    self._clock(self._latency_ns, (number for number, _, _ in caller.replies[-ended:]))
            self._until_written(caller)
        return heard

    def _until_written(self, caller: Caller) -> None:
        """Have ourselves told when a socket that was full takes more."""
        if caller.unsent:
            self._poll.modify(caller.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)


def _wake_in_time() -> None:
    """Let a wait end when it is over, not when the system finds it convenient."""
    slack = Path("/proc/self/timerslack_ns")
    if slack.exists():
        slack.write_text(str(TIMER_SLACK_NS), encoding="ascii")
