"""Workers of one gateway: started, replaced, drained and ended together. Each test runs a supervisor of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

SCRIPT = """
import os, select, signal, sys
from gateway.telemetry import configure
from gateway.workers import supervise

configure()

def work(number, leash):
    told = []
    {prepare}
    os.write(1, f"{{number}} {{os.getpid()}}\\n".encode())  # a line in one write
    while not told:
        if select.select([leash], [], [], 0.05)[0]:
            os.write(1, f"leash {{number}}\\n".encode())
            return

sys.exit(supervise(work, {workers}, grace_s={grace_s}))
"""
POLITE = "signal.signal(signal.SIGTERM, lambda *_: told.append(1))"
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


@contextmanager
def supervised(workers: int, *, prepare: str = POLITE, grace_s: float = 5.0) -> Iterator[subprocess.Popen[str]]:
    """Start a supervisor whose workers print their number and pid; it is ended with the test."""
    script = SCRIPT.format(prepare=prepare, workers=workers, grace_s=grace_s)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def started(process: subprocess.Popen[str], workers: int) -> dict[int, int]:
    """Read which workers started, by number, with their pids."""
    assert process.stdout is not None
    return {int(number): int(pid) for number, pid in (process.stdout.readline().split() for _ in range(workers))}


def gone(pid: int) -> bool:
    """Tell whether no process has this pid."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_told_to_stop_all_of_them_end_well() -> None:
    """SIGTERM reaches every worker, and the exit code is 0 when each of them ended well."""
    with supervised(3) as process:
        pids = started(process, 3)
        assert set(pids) == {0, 1, 2}
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
        assert all(gone(pid) for pid in pids.values())


def test_a_worker_that_dies_is_replaced_under_its_number() -> None:
    """The others go on, and nobody has to notice."""
    with supervised(2) as process:
        pids = started(process, 2)
        time.sleep(1.1)  # longer than SETTLED_S: what dies at once is not replaced
        os.kill(pids[1], signal.SIGKILL)
        again = started(process, 1)
        assert set(again) == {1}
        assert again[1] != pids[1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0


def test_a_worker_that_cannot_start_ends_them_all() -> None:
    """Nothing is restarted for ever: the exit code is that of the worker that failed."""
    with supervised(2, prepare="if number: sys.exit(7)\n    " + POLITE) as process:
        assert process.wait(5) == 7


def test_a_worker_that_does_not_stop_is_killed_after_the_grace() -> None:
    """The exit code says so."""
    with supervised(2, prepare=DEAF, grace_s=0.3) as process:
        pids = started(process, 2)
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == signal.SIGKILL
        assert all(gone(pid) for pid in pids.values())


def test_workers_do_not_outlive_a_killed_supervisor() -> None:
    """Their leash ends with it."""
    with supervised(2) as process:
        started(process, 2)
        process.kill()
        assert process.stdout is not None
        said = {process.stdout.readline().strip() for _ in range(2)}
        assert said == {"leash 0", "leash 1"}
