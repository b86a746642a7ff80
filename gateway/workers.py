"""How many processes do one work: started together, one that dies replaced, and drained together."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Final

from gateway.telemetry import Event, log

if TYPE_CHECKING:
    from collections.abc import Callable

SETTLED_S: Final = 1.0
"""A worker that ends sooner than this after its start would do so again: it ends them all."""


_HEARD: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)


def supervise(work: Callable[[int, int], None], workers: int, *, grace_s: float) -> int:
    """Run `work(number, leash)` in so many processes until SIGTERM or SIGINT; returns the exit code.

    Each worker is told to stop by SIGTERM and killed `grace_s` later. One that dies on its own is replaced, under its
    number. Its `leash` is a file descriptor that becomes readable when this process is gone, however it ended. Call it
    before there are threads or an event loop, for it forks; it is the last that a process does.
    """
    return _Supervisor(work, workers, grace_s).run()


class _Supervisor:
    def __init__(self, work: Callable[[int, int], None], workers: int, grace_s: float) -> None:
        self._work = work
        self._workers = workers
        self._grace_s = grace_s
        self._alive: dict[int, tuple[int, float]] = {}
        self._stopping = False
        self._leash, self._held = os.pipe()

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told_to_stop)
        signal.signal(signal.SIGALRM, self._out_of_patience)
        try:
            for worker in range(self._workers):
                self._start(worker)
            return self._wait()
        finally:
            for number in _HEARD:
                signal.signal(number, signal.SIG_IGN)  # this process ends: to be told once more changes nothing
            os.close(self._leash)
            os.close(self._held)

    def _wait(self) -> int:
        code = 0
        while self._alive:
            pid, status = os.waitpid(-1, 0)
            worker, started_s = self._alive.pop(pid)
            ended_with = os.waitstatus_to_exitcode(status)
            if self._stopping:
                code = code or ended_with
                continue
            log.warning(Event.WORKER_ENDED, worker=worker, exit_code=ended_with)
            if time.monotonic() - started_s < SETTLED_S:
                code = ended_with or 1
                self._told_to_stop()
            else:
                self._start(worker)
        return abs(code)

    def _start(self, worker: int) -> None:
        """Fork with signals held back, so that none finds a child that is not known yet, or not itself yet."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        if pid := os.fork():
            self._alive[pid] = worker, time.monotonic()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)
            return
        code = 1  # from here on this is the child, which must never return into its parent's stack
        try:
            for number in _HEARD:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)
            os.close(self._held)
            self._work(worker, self._leash)
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException as error:  # noqa: BLE001 - as above
            log.error(Event.UNEXPECTED, exc_info=error)
        finally:
            os._exit(code)

    def _told_to_stop(self, *_: object) -> None:
        if not self._stopping:
            self._stopping = True
            signal.setitimer(signal.ITIMER_REAL, self._grace_s)
        self._tell(signal.SIGTERM)

    def _out_of_patience(self, *_: object) -> None:
        self._tell(signal.SIGKILL)

    def _tell(self, number: signal.Signals) -> None:
        for pid in self._alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
