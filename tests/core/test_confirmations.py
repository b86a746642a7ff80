"""Each rule of what is believed, and of what counts as heard, alone; together they stand in test_heard_and_believed."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from gateway.confirmations import GONE_S, Confirmations
from gateway.counters.hearing import Hearing

FRESH_S, USABLE_S = 30.0, 1000.0


@pytest.fixture
def held() -> Confirmations:
    """Confirmations of documents that are read at 100."""
    return Confirmations(fresh_for_s=FRESH_S, usable_for_s=USABLE_S)


def test_what_is_confirmed_is_fresh_and_usable_from_then_on(held: Confirmations) -> None:
    """For its time after it was last confirmed, or read if that was later."""
    held.confirm(150)
    for read_s, last_s in ((100, 150), (160, 160)):
        assert held.fresh(read_s, last_s + FRESH_S - 0.1)
        assert not held.fresh(read_s, last_s + FRESH_S)
        assert held.usable(read_s, last_s + USABLE_S - 0.1)
        assert not held.usable(read_s, last_s + USABLE_S)


def test_what_was_replaced_is_never_confirmed(held: Confirmations) -> None:
    """Neither before nor after a doubt, with Redis or without."""
    for _ in range(2):
        held.confirm(150)
        assert not held.fresh(GONE_S, 150)
        assert not held.usable(GONE_S, 150)
        held.doubt(150)


def test_what_is_doubted_is_confirmed_by_being_read_alone(held: Confirmations) -> None:
    """Read in the same tick as the doubt, but later, it is fresh; read before, it is not, however often."""
    before_s = held.read_at(100)
    for _ in range(3):
        held.doubt(100)
        held.confirm(100)
        after_s = held.read_at(100)
        assert not held.fresh(before_s, 100)
        assert held.fresh(after_s, 100)
        before_s = after_s


def test_what_is_doubted_is_usable_since_it_was_last_confirmed(held: Confirmations) -> None:
    """Whatever was confirmed later; and two doubts with nothing confirmed between them are as one."""
    held.confirm(400)
    held.doubt(450)
    held.doubt(460)
    held.confirm(800)
    held.doubt(900)
    held.confirm(1200)
    for read_s, last_s in ((100, 400), (455, 455), (470, 800), (850, 850), (900.1, 1200)):
        assert held.usable(read_s, last_s + USABLE_S - 0.1), read_s
        assert not held.usable(read_s, last_s + USABLE_S), read_s


def test_doubts_of_long_ago_are_forgotten_and_rescue_nothing(held: Confirmations) -> None:
    """A gateway that loses its channel each minute for a year remembers those that still say something."""
    for minute in range(10_000):
        held.confirm(minute * 60.0 + 30)
        held.doubt(minute * 60.0 + 60)
    now_s = 10_000 * 60.0
    assert len(held._doubts) < 2 + USABLE_S / 60
    assert [held.usable(now_s - ago_s, now_s) for ago_s in (5000, 1020, 990, 60)] == [False, False, True, True]


class Told:
    """What a hearing tells."""

    def __init__(self) -> None:
        self.changes: list[str] = []
        self.missed = 0
        self.confirmed: list[float] = []
        self.hearing = Hearing(
            on_change=self.changes.append, on_missed=self.count_missed, on_confirmed=self.confirmed.append
        )

    def count_missed(self) -> None:
        """Remember that something was missed."""
        self.missed += 1


@pytest.fixture
def told() -> Told:
    """A hearing that begins with 7."""
    made = Told()
    made.hearing.announced("7 early")
    made.hearing.counted(7, 1.0)
    assert (made.missed, made.confirmed) == (0, [])
    return made


def test_the_next_number_is_no_news_and_the_same_one_confirms(told: Told) -> None:
    """As of the moment at which it was asked."""
    told.hearing.announced("8 doc:l:a b")
    told.hearing.announced("9 line")
    told.hearing.counted(9, 2.5)
    assert (told.changes, told.missed, told.confirmed) == (["early", "doc:l:a b", "line"], 0, [2.5])


@pytest.mark.parametrize("message", ["9 acme", "7 acme", "6 acme", "0 acme", "1700000000000000 acme"])
def test_any_other_number_is_a_miss_and_hearing_goes_on_from_there(told: Told, message: str) -> None:
    """A gap, a repeat and a step back: the name is passed on, and the log says so."""
    with capture_logs() as logs:
        told.hearing.announced(message)
    assert [(one["event"], one["last"], one["heard"]) for one in logs] == [("announcements.missed", 7, message)]
    assert (told.changes, told.missed) == (["early", "acme"], 1)
    told.hearing.counted(int(message.split(maxsplit=1)[0]), 2.0)
    assert (told.missed, told.confirmed) == (1, [2.0])


@pytest.mark.parametrize("number", [8, 6, 0, 10**15])
def test_a_counter_that_says_otherwise_is_a_miss(told: Told, number: int) -> None:
    """More or fewer, and nothing is confirmed until it says the same again."""
    told.hearing.counted(number, 2.0)
    assert (told.missed, told.confirmed) == (1, [])
    told.hearing.counted(number, 3.0)
    assert (told.missed, told.confirmed) == (1, [3.0])


@pytest.mark.parametrize("message", ["doc:l:acme", "x doc:l:acme", "²3 doc:l:acme", "8 ", ""])
def test_who_does_not_count_may_go_unheard(told: Told, message: str) -> None:
    """What is announced without a number is passed on as it is, and is a miss."""
    told.hearing.announced(message)
    assert (told.changes, told.missed) == (["early", message], 1)


def test_a_new_subscription_begins_anew(told: Told) -> None:
    """Its first number is compared with none of an earlier one, and confirms nothing."""
    told.hearing.begin()
    assert not told.hearing.begun
    told.hearing.counted(7, 2.0)
    assert told.hearing.begun
    assert (told.missed, told.confirmed) == (0, [])


def test_the_first_announcement_of_all_is_doubted_in_silence() -> None:
    """It follows on no number: that is how every deployment begins, and no trouble to tell of."""
    made = Told()
    made.hearing.counted(0, 1.0)
    with capture_logs() as logs:
        made.hearing.announced("1700000000000000 doc:l:acme")
    assert (made.missed, logs) == (1, [])
