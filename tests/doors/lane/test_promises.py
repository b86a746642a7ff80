"""Who promises to answer by the deadline is not watched; what comes of a promise that is broken all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.lane.limits import Limits
from tests.doors.lane.wire import CANCEL, fields_of, serving, settings

if TYPE_CHECKING:
    from pathlib import Path

PROMISE = fields_of("/test/Promise")
UNSEEN = Limits(look_s=600)
"""Nobody looks after broken promises while a test runs."""


async def test_a_promise_that_was_broken_ends_its_call(short_folder: Path) -> None:
    """As DEADLINE_EXCEEDED, when nobody can be about to answer any more; the answer that comes then goes nowhere."""
    limits = Limits(over_s=0.2, look_s=0.02)
    async with serving(short_folder, limits, deadline_ms=50) as served, served.peer() as peer:
        begun_s = served.lane.loop.time()
        peer.send(peer.request(1, b"x", PROMISE))
        assert (await peer.answer(1)).status == 4
        assert 0.25 <= served.lane.loop.time() - begun_s < 2
        assert served.lane.in_flight == 1
        served.held[0].answer(b"late")
        await peer.echoes(3)
        assert served.lane.in_flight == 0


def test_a_promise_is_broken_for_two_seconds_at_most() -> None:
    """However long nobody looks: what a bug keeps open is a caller's time."""
    limits = Limits()
    assert limits.over_s + limits.look_s <= 2


async def test_nothing_is_promised_of_a_request_that_is_not_whole(short_folder: Path) -> None:
    """The method has not seen it: the lane ends it at its deadline, as it does with any other."""
    async with serving(short_folder, UNSEEN, deadline_ms=50) as served, served.peer() as peer:
        peer.send(peer.opening(1, PROMISE))
        assert (await peer.answer(1)).status == 4
        assert served.held == []


async def test_a_promised_answer_that_its_peer_never_takes_ends_at_its_deadline(short_folder: Path) -> None:
    """The method has kept its word; from then on the lane watches what a window holds back."""
    async with serving(short_folder, UNSEEN, deadline_ms=50) as served, served.peer(settings(s4=0)) as peer:
        peer.send(peer.request(1, b"x", PROMISE))
        await peer.silence()
        served.held[0].answer(b"held back")
        assert await peer.reset_of(1) == CANCEL
