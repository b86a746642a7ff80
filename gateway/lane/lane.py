"""What all connections of a lane share: its methods, its limits, and how much is under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.counters.deadlines import TICK_S, DeadlineWheel
from gateway.lane.limits import Limits
from gateway.turn import Turn

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from gateway.lane.call import Call, Method
    from gateway.lane.callers import Credentials
    from gateway.lane.connection import Connection

ANSWERED_BY_POLICY_S = 3 * TICK_S
"""A method that answers at a deadline in its own way, without its store for example, comes before the lane does."""


class Lane:
    """One lane of a process."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        methods: Mapping[bytes, Method],
        credentials: Credentials,
        *,
        deadline_ms: int,
        turn: Turn | None = None,
        limits: Limits | None = None,
    ) -> None:
        """No call is waited for longer than `deadline_ms`; answers leave at the end of `turn`."""
        self.loop = loop
        self.methods = methods
        self.credentials = credentials
        self.deadline_s = deadline_ms / 1000
        self.turn = turn or Turn(loop)
        self.limits = limits or Limits()
        self.in_flight = 0
        """Calls that were submitted and neither answered nor failed, whoever still waits for them."""
        self.connections: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._wheel: DeadlineWheel[Call] = DeadlineWheel(loop, _expire)

    def watch(self, call: Call) -> None:
        """See to it that a call is over some time after its deadline, whatever its method and its peer do."""
        self._wheel.add(call.deadline_s + ANSWERED_BY_POLICY_S, call)

    def start(self) -> None:
        """Begin to look after connections."""
        self._timer = self.loop.call_later(self.limits.look_s, self._look)

    def stop(self) -> None:
        """Look after nothing any more."""
        self._wheel.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now_s = self.loop.time()
        for connection in list(self.connections):
            connection.look(now_s)
        self.start()


def _expire(call: Call) -> None:
    call.streams.expired(call)
