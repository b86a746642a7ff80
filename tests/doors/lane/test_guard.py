"""What one peer may do is counted to the last one, within a second, and each kind for itself."""

from __future__ import annotations

import pytest

from gateway.lane.frames import ConnectionFault
from gateway.lane.guard import PER_SECOND_MAX, UPDATES_PER_CALL, Guard
from gateway.lane.limits import FORSAKEN_MAX
from gateway.lane.past import Past


class Clock:
    """Time as a value."""

    now_s = 100.0

    def __call__(self) -> float:
        """Return it."""
        return self.now_s


@pytest.mark.parametrize("what", PER_SECOND_MAX)
def test_so_many_a_second_are_allowed_and_not_one_more(what: str) -> None:
    """The next second begins anew; what else is sent counts for itself."""
    clock = Clock()
    guard = Guard(clock)
    for second in (0.0, 0.99, 1.0, 5.0):
        clock.now_s = 100.0 + second
        if second != 0.99:
            for _ in range(PER_SECOND_MAX[what]):
                guard.count(what)
        else:
            with pytest.raises(ConnectionFault, match=f"more than {PER_SECOND_MAX[what]} of {what} within a second"):
                guard.count(what)
        for other in PER_SECOND_MAX.keys() - {what}:
            guard.count(other)


def test_calls_of_the_same_second_allow_more_updates() -> None:
    """Four for each call that was begun since the second began; those of earlier seconds allow none."""
    clock, most = Clock(), PER_SECOND_MAX["WINDOW_UPDATE"]
    guard = Guard(clock)
    calls = 5000
    guard.count("WINDOW_UPDATE", calls)
    calls += 10
    for _ in range(most + 10 * UPDATES_PER_CALL - 1):
        guard.count("WINDOW_UPDATE", calls)
    with pytest.raises(ConnectionFault):
        guard.count("WINDOW_UPDATE", calls)
    assert UPDATES_PER_CALL == 4


def test_what_was_ended_early_is_remembered_within_bounds() -> None:
    """The oldest is forgotten first, and each once its peer has said all."""
    past = Past()
    streams = range(1, 2 * FORSAKEN_MAX + 3, 2)
    for stream_id in streams:
        past.begin(stream_id)
        past.forsake(stream_id)
    remembered = [stream_id for stream_id in streams if past.overlooks(stream_id, last=False)]
    assert remembered == [*streams[1:]]
    assert past.overlooks(3, last=True)
    assert not past.overlooks(3, last=True)
