"""Frames that nobody in their right mind sends, by the million: no bug shows, nothing hangs, nothing grows.

    python -m tests.doors.lane.fuzz_frames --processes 2 --report tests/doors/lane/fuzz_frames_report.json

Conversations are valid ones, most with something wrong: a frame's flags, stream, length or payload changed, frames left
out, doubled or in another order, bytes cut or flipped, and frames of pure chance. One with nothing wrong must not end
its connection. Connections are fed directly, so that ten million frames, which it does unless asked for fewer, take
minutes and not a day. Frames are counted that were taken before their connection ended.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import uvloop
from hyperframe import frame as hyper
from structlog.testing import capture_logs

from gateway.lane.call import Call, Method
from gateway.lane.connection import Connection
from gateway.lane.lane import Lane
from tests.doors.lane.conversations import flipped, spoilt, valid
from tests.doors.lane.wire import Everybody

TURN_S_MAX: Final = 0.5
"""Of this process's time: what others do on the machine is not the lane's fault."""

GROWN_KIB_MAX: Final = 20_000
WARM_FRAMES: Final = 20_000
"""After so many a process has all that it needs."""


class Sink:
    """A transport that keeps nothing, and reads what it is given as a client would."""

    def __init__(self) -> None:
        self.closing = False

    def write(self, data: bytes) -> None:
        """See that every frame is one."""
        at, end = 0, len(data)
        while at < end:
            head, length = hyper.Frame.parse_frame_header(memoryview(data[at : at + 9]))
            head.parse_body(memoryview(data[at + 9 : at + 9 + length]))
            at += 9 + length
        assert at == end, "a frame is not whole"

    def is_closing(self) -> bool:
        """Say whether it was closed."""
        return self.closing

    def close(self) -> None:
        """Close."""
        self.closing = True

    abort = close

    def get_extra_info(self, _: str) -> None:
        """Know nothing."""

    def pause_reading(self) -> None:
        """Go on all the same."""

    resume_reading = pause_reading


@dataclass
class Found:
    """What was seen in one process."""

    seed: int
    frames: int = 0
    conversations: int = 0
    unspoilt: int = 0
    answered: int = 0
    slowest_s: float = 0.0
    cpu_s: float = 0.0
    grown_kib: int = 0
    failures: list[str] = field(default_factory=list)


class Fuzz:
    """One run: every conversation is drawn by the run's seed and its own number alone."""

    def __init__(self, seed: int) -> None:
        """Make a lane of three methods."""
        self.found = Found(seed)
        self._held: list[Call] = []
        table = {
            b"/test/Echo": Method(self._echo, "caller"),
            b"/test/Hold": Method(self._held.append, "caller"),
            b"/test/BlowUp": Method(lambda call: call.answer(b"m" * (len(call.message) * 50)), "caller"),
        }
        self.lane = Lane(asyncio.get_running_loop(), table, Everybody(), deadline_ms=1000)

    def _echo(self, call: Call) -> None:
        self.found.answered += 1
        call.answer(call.message)

    async def until(self, frames: int) -> None:
        """Hold conversations until so many frames were fed, or one fails."""
        found = self.found
        while found.frames < frames and not found.failures:
            try:
                with capture_logs() as logs:
                    self._converse(random.Random(f"{found.seed}/{found.conversations}"))  # noqa: S311 - to repeat it
                    await asyncio.sleep(0)
                assert not logs, logs[0]
                assert found.slowest_s < TURN_S_MAX, f"a turn took {found.slowest_s:.3f} s"
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what was looked for
                found.failures.append(f"seed {found.seed}, conversation {found.conversations}: {error!r}")
            found.conversations += 1

    def _converse(self, chance: random.Random) -> None:
        connection, sink = Connection(self.lane, lambda _: None), Sink()
        connection.connection_made(sink)  # type: ignore[arg-type] # all of a transport that is used
        places = chance.choice([0, 1, 1, 2, 5])
        said = spoilt(chance, list(valid(chance)), places)
        stream = b"".join(said)
        if bytes_too := places > 0 and chance.random() < 0.1:
            stream = flipped(chance, stream)
        fed = self._feed(connection, sink, stream, chance)
        self.found.frames += sum(end <= fed for end in accumulate(map(len, filter(None, said))))
        if not places and not bytes_too:
            self.found.unspoilt += 1
            assert not sink.closing, "a conversation with nothing wrong ended its connection"
        connection.connection_lost(None)
        for call in self._held:
            call.answer(b"")
        self._held.clear()
        assert not self.lane.connections, "a connection is kept"
        assert self.lane.in_flight == 0, "a call is kept"

    def _feed(self, connection: Connection, sink: Sink, stream: bytes, chance: random.Random) -> int:
        """Feed bytes in any pieces until the connection ends; returns how many it was fed."""
        at = 0
        while at < len(stream) and not sink.closing:
            size = chance.choice([1, 7, 50, 500, 5000, 100_000])
            late = chance.random() < 0.05  # the peer takes what it is owed only after it has said more
            begun = time.process_time()
            if late:
                connection.pause_writing()
            connection.data_received(stream[at : at + size])
            if late:
                connection.resume_writing()
            self.found.slowest_s = max(self.found.slowest_s, time.process_time() - begun)
            at += size
            while self._held and chance.random() < 0.5:
                self._held.pop(chance.randrange(len(self._held))).answer(b"held" * 5)
        return min(at, len(stream))


async def fuzz(frames: int, seed: int) -> Found:
    """Run in this process; what goes wrong is among what is found."""
    run = Fuzz(seed)
    await run.until(min(frames // 2, WARM_FRAMES))
    warm_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await run.until(frames)
    run.lane.stop()
    found = run.found
    found.grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - warm_kib
    found.cpu_s = time.process_time()
    if found.grown_kib >= GROWN_KIB_MAX:
        found.failures.append(f"seed {seed}: the process grew by {found.grown_kib} KiB")
    return found


def _fuzz_here(frames: int, seed: int) -> Found:
    return uvloop.run(fuzz(frames, seed))


def run(frames: int, first_seed: int, processes: int) -> list[Found]:
    """Run in so many processes, each with a seed and a share of its own."""
    share = -(-frames // processes)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return list(pool.map(_fuzz_here, [share] * processes, range(first_seed, first_seed + processes)))


def report(found: list[Found], first_seed: int, seconds: float) -> dict[str, Any]:
    """Say what came of a run."""
    return {
        "frames": sum(one.frames for one in found),
        "first_seed": first_seed,
        "processes": len(found),
        "python": platform.python_version(),
        "seconds": round(seconds),
        "cpu_seconds": round(sum(one.cpu_s for one in found)),
        "conversations": sum(one.conversations for one in found),
        "unspoilt": sum(one.unspoilt for one in found),
        "answered": sum(one.answered for one in found),
        "slowest_turn_ms": round(max(one.slowest_s for one in found) * 1000, 1),
        "grown_kib": [one.grown_kib for one in found],
        "failures": [failure for one in found for failure in one.failures],
    }


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for and write the report; 1 when anything failed."""
    parser = argparse.ArgumentParser(prog="fuzz_frames", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--report", type=Path, help="a file for what came of it")
    asked = parser.parse_args(arguments)
    began_s = time.monotonic()
    found = run(asked.frames, asked.seed, asked.processes)
    told = report(found, asked.seed, time.monotonic() - began_s)
    text = json.dumps(told, indent=2, ensure_ascii=False) + "\n"
    if asked.report:
        asked.report.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return 1 if told["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
