"""Frames that nobody in their right mind sends, by the million: no bug shows, nothing hangs, nothing grows.

    python -m tests.doors.lane.fuzz_frames --frames 10000000 [--seed 1]

Conversations are valid ones with something wrong: a frame's flags, stream, length or payload changed, frames left out,
doubled or in another order, bytes cut or flipped, and frames of pure chance. Connections are fed directly, so that ten
million frames take an hour and not a day.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import sys
import time
from dataclasses import dataclass, field
from struct import pack
from typing import TYPE_CHECKING, Any

import hpack
import uvloop
from hyperframe import frame as hyper
from structlog.testing import capture_logs

from gateway.lane.call import Call, Method
from gateway.lane.connection import Connection
from gateway.lane.lane import Lane
from tests.doors.lane.wire import PREFACE, Everybody, fields_of, message, raw, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

FRAMES_PER_CONVERSATION = 40
TURN_S_MAX = 0.5
"""Of this process's time: what others do on the machine is not the lane's fault."""


class Sink:
    """A transport that keeps nothing, and reads what it is given as a client would."""

    def __init__(self) -> None:
        self.closing = False
        self.frames = 0

    def write(self, data: bytes) -> None:
        """See that every frame is one."""
        at, end = 0, len(data)
        while at < end:
            head, length = hyper.Frame.parse_frame_header(memoryview(data[at : at + 9]))
            head.parse_body(memoryview(data[at + 9 : at + 9 + length]))
            at += 9 + length
            self.frames += 1
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
class Fuzz:
    """One run: where chance comes from, and what is seen on the way."""

    seed: int
    frames: int = 0
    answered: int = 0
    slowest_s: float = 0.0
    connections: int = 0
    _held: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311 - to repeat a failure
        table = {
            b"/test/Echo": Method(self._echo, "caller"),
            b"/test/Hold": Method(self._held.append, "caller"),
            b"/test/BlowUp": Method(lambda call: call.answer(b"m" * (len(call.message) * 5000)), "caller"),
        }
        self.lane = Lane(asyncio.get_running_loop(), table, Everybody(), deadline_ms=1000)

    def _echo(self, call: Call) -> None:
        self.answered += 1
        call.answer(call.message)

    async def run(self, frames: int) -> None:
        """Hold conversations until so many frames were fed."""
        while self.frames < frames:
            self._converse()
            await asyncio.sleep(0)

    def _converse(self) -> None:
        connection, sink = Connection(self.lane, lambda _: None), Sink()
        connection.connection_made(sink)  # type: ignore[arg-type] # all of a transport that is used
        self.connections += 1
        stream = b"".join(self._spoilt(list(self._valid())))
        if self._chance.random() < 0.1:
            stream = self._flipped(stream)
        at = 0
        while at < len(stream) and not sink.closing:
            size = self._chance.choice([1, 7, 50, 500, 5000, 100_000])
            begun = time.process_time()
            connection.data_received(stream[at : at + size])
            self.slowest_s = max(self.slowest_s, time.process_time() - begun)
            at += size
            if self._chance.random() < 0.05:
                self._pause(connection)
            while self._held and self._chance.random() < 0.5:
                self._held.pop(self._chance.randrange(len(self._held))).answer(b"held" * 5)
        connection.connection_lost(None)
        for call in self._held:
            call.answer(b"")
        self._held.clear()
        assert not self.lane.connections, "a connection is kept"
        assert self.lane.in_flight == 0, "a call is kept"

    def _pause(self, connection: Connection) -> None:
        connection.pause_writing()
        connection.data_received(raw(6, 0, 0, bytes(8)))
        connection.resume_writing()

    def _valid(self) -> Iterator[bytes]:
        """Yield the frames of a conversation with nothing wrong in it."""
        chance, encoder = self._chance, hpack.Encoder()
        yield PREFACE + settings(s4=chance.choice([0, 1, 100, 65_535, 2**31 - 1]), s1=chance.choice([0, 100, 4096]))
        stream_id = 1
        for _ in range(FRAMES_PER_CONVERSATION // 4):
            fields = fields_of(chance.choice(["/test/Echo", "/test/Hold", "/test/BlowUp", "/x"]))
            if chance.random() < 0.3:
                fields.append(("grpc-timeout", f"{chance.randrange(1000)}m"))
            if chance.random() < 0.1:
                encoder.header_table_size = chance.choice([0, 100, 4096])
            block = encoder.encode(fields, huffman=chance.random() < 0.5)
            cut = chance.randrange(len(block))
            if chance.random() < 0.3:
                yield raw(1, 0x0, stream_id, block[:cut])
                yield raw(9, 0x4, stream_id, block[cut:])
            else:
                yield raw(1, 0x4, stream_id, block)
            body = message(chance.randbytes(chance.choice([0, 1, 20, 3000])))
            yield raw(0, 0x1, stream_id, body)
            yield chance.choice(
                [
                    raw(8, 0, chance.choice([0, stream_id]), pack(">I", chance.randrange(1, 2000))),
                    raw(6, 0, 0, bytes(8)),
                    settings(s4=chance.randrange(70_000)),
                    raw(3, 0, stream_id, pack(">I", 8)),
                    b"",
                ]
            )
            stream_id += 2 * chance.choice([1, 1, 1, 5])

    def _spoilt(self, frames: list[bytes]) -> list[bytes]:
        """Spoil a conversation in some places."""
        chance = self._chance
        for _ in range(chance.choice([0, 1, 1, 2, 5])):
            at = chance.randrange(1, len(frames))
            match chance.randrange(6):
                case 0:
                    frames.insert(at, self._random_frame())
                case 1:
                    frames[at] = self._mutated(frames[at])
                case 2:
                    frames.insert(at, frames[at])
                case 3 if len(frames) > 2:
                    del frames[at]
                case 4:
                    frames.insert(chance.randrange(1, len(frames)), frames.pop(at))
                case _:
                    frames[at] = self._flipped(frames[at])
        self.frames += len(frames)
        return frames

    def _random_frame(self) -> bytes:
        chance = self._chance
        stream_id = chance.choice([0, 1, 2, 3, 5, 2**31 - 1, chance.randrange(2**32)])
        size = chance.choice([0, 1, 4, 5, 6, 8, chance.randrange(200)])
        return raw(chance.randrange(12), chance.randrange(256), stream_id, chance.randbytes(size))

    def _mutated(self, one: bytes) -> bytes:
        """Change flags, type or stream of a frame, and leave its payload."""
        if len(one) < 9:
            return one
        at = self._chance.choice([3, 4, 4, 4, 8])
        return one[:at] + bytes((self._chance.choice([0, 1, 4, 5, 8, 0x20, 0x2D, 255]),)) + one[at + 1 :]

    def _flipped(self, data: bytes) -> bytes:
        """Change some bytes wherever they are."""
        changed = bytearray(data)
        for _ in range(self._chance.choice([1, 3])):
            if changed:
                changed[self._chance.randrange(len(changed))] = self._chance.randrange(256)
        return bytes(changed)


async def fuzz(frames: int, seed: int) -> Fuzz:
    """Run, and see that no bug was logged and that the process did not grow."""
    run = Fuzz(seed)
    with capture_logs() as logs:
        await run.run(min(frames // 2, 20_000))
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await run.run(frames)
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - grown_kib
    assert not logs, logs[0]
    assert run.slowest_s < TURN_S_MAX, f"a turn took {run.slowest_s:.3f} s"
    assert grown_kib < 20_000, f"the process grew by {grown_kib} KiB"
    run.lane.stop()
    return run


def main(arguments: list[str]) -> Any:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    begun = time.monotonic()
    run = uvloop.run(fuzz(asked.frames, asked.seed))
    took_s = time.monotonic() - begun
    sys.stdout.write(
        f"{run.frames} frames in {run.connections} conversations, {run.answered} answered, no unhandled exception, "
        f"slowest turn {run.slowest_s * 1000:.1f} ms, {took_s:.0f} s, seed {asked.seed}\n"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
