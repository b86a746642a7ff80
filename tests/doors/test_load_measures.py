"""What a benchmark tells of a server is what that server does: its computing, its delay, its limit, its core."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from benchmarks.blocks import Session, Subject
from benchmarks.claims import Claims
from benchmarks.evalsha import Script
from benchmarks.load import LoadError, Shape
from benchmarks.processes import PYTHON, apart, free_address, serving
from benchmarks.saturation import saturation_hz
from benchmarks.workload import Draw, checks
from gateway.counters.connection import ReplyError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from benchmarks.processes import Cores, Server
    from benchmarks.wire import Body, Reply

WORK = checks(Draw(20), "calls", counted=False)


@pytest.fixture
def on() -> Iterator[Cores]:
    """Where who is; we ourselves are on the other core."""
    with apart() as cores:
        yield cores


def slow(folder: Path, on: Cores, compute_ms: float = 0, sleep_ms: float = 0) -> AbstractContextManager[Server]:
    """Run a service of known slowness on the measured core."""
    address = free_address()
    command = [*PYTHON, "tests.doors.slow_service", address, str(compute_ms), str(sleep_ms)]
    return serving("slow", command, address, core=on.measured, log=folder / "slow.log")


def nothing() -> None:
    """Behind these servers there is nothing to empty."""


def test_what_a_server_computes_more_is_measured(tmp_path: Path, on: Cores) -> None:
    """Two milliseconds of computing for each claim are found, within a quarter; sleeping costs next to nothing."""
    with ExitStack() as stack:
        plain, busy, asleep = (stack.enter_context(slow(tmp_path, on, *more)) for more in ((0, 0), (2, 0), (0, 2)))
        named = {"plain": plain, "busy": busy, "asleep": asleep}
        subjects = [Subject(name, server, WORK, Shape(1, 4)) for name, server in named.items()]
        found = Session(20, lambda _: None).compare(subjects, 6, 0.2)
    assert found.cpu_us("busy") - found.cpu_us("plain") == pytest.approx(2000, rel=0.25)
    assert abs(found.cpu_us("asleep") - found.cpu_us("plain")) < 600
    assert found.cpu_ratio("busy", "plain").value == pytest.approx(found.cpu_us("busy") / found.cpu_us("plain"))


def test_what_a_server_takes_longer_is_measured(tmp_path: Path, on: Cores) -> None:
    """Sleeping four milliseconds for each claim makes the middle one that much slower, at a rate it can keep."""
    shape = Shape(2, rate_hz=60)
    with ExitStack() as stack:
        plain, asleep = (stack.enter_context(slow(tmp_path, on, 0, sleep_ms)) for sleep_ms in (0, 4))
        subjects = [Subject("plain", plain, WORK, shape), Subject("asleep", asleep, WORK, shape)]
        found = Session(0, lambda _: None).compare(subjects, 2, 0.8)
    longer_us = found.middle("asleep", "p50_us") - found.middle("plain", "p50_us")
    assert longer_us == pytest.approx(4000, rel=0.25)
    assert found.added("asleep", "plain", "p50_us").value == pytest.approx(
        longer_us / found.middle("plain", "p50_us"), rel=0.5
    )


def test_saturation_is_the_rate_that_a_server_keeps_up_with(tmp_path: Path, on: Cores) -> None:
    """One that takes four milliseconds a claim does not quite 250 a second; none where an eighth is too many."""
    with slow(tmp_path, on, sleep_ms=4) as server:

        def at(rate_hz: float) -> Subject:
            return Subject("slow", server, WORK, Shape(2, rate_hz=rate_hz))

        assert 160 < saturation_hz(at, 500, 0.7, nothing) < 255  # a busy machine sleeps longer, never shorter
        with pytest.raises(LoadError, match="are not kept up with"):
            saturation_hz(at, 4000, 0.2, nothing)


def test_what_is_measured_has_a_core_of_its_own(tmp_path: Path) -> None:
    """We, and who is started beside it, are on the other one until the measuring ends."""
    before = os.sched_getaffinity(0)
    with apart() as on, slow(tmp_path, on) as server:
        assert os.sched_getaffinity(server.pid) == {on.measured}
        assert os.sched_getaffinity(0) == {on.others} != {on.measured}
    assert os.sched_getaffinity(0) == before


@pytest.mark.usefixtures("on")
def test_a_machine_of_one_core_is_refused() -> None:
    """There, everybody would wait for everybody."""
    with pytest.raises(RuntimeError, match="two cores"), apart():
        pass


def test_a_load_asks_from_the_core_that_it_is_told(tmp_path: Path, on: Cores) -> None:
    """The bare script is asked from the core of the product, and only while it is asked."""
    asked_on: list[set[int]] = []
    with slow(tmp_path, on) as server:
        (its,) = os.sched_getaffinity(server.pid)

        def noting(number: int) -> Body:
            asked_on.append(os.sched_getaffinity(0))
            return WORK.body(number)

        subject = Subject("from there", server, replace(WORK, body=noting), Shape(1, 1), load_on=its)
        Session(0, lambda _: None).compare([subject], 1, 0.05)
        assert {its} == set().union(*asked_on)
        assert its not in os.sched_getaffinity(0)


def test_customers_come_by_zipfs_law() -> None:
    """The first comes twice as often as the second, and ten times as often as the tenth."""
    draw = Draw(1000)
    seen = Counter(draw[number] for number in range(100_000))
    for rank in (2, 5, 10):
        assert seen["c0000000"] / seen[f"c{rank - 1:07}"] == pytest.approx(rank, rel=0.15)


def test_a_bare_call_that_counts_nothing_is_a_mistake() -> None:
    """An error of Redis, or a script that says no."""
    script = Script(Claims("a line", "calls", Draw(20)))
    wrong: list[Reply] = [(7, ReplyError("NOSCRIPT"), ""), (8, b"FENCED", "")]  # type: ignore[list-item]
    assert [mistake.partition(":")[0] for mistake in script.mistakes(wrong)] == ["call 7", "call 8"]
