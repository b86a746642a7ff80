"""The other end of idle connections, in a process of its own, so that its open files and its memory are nobody else's.

    python -m tests.doors.lane.idlers SOCKET COUNT

Opens so many connections to a unix socket, says hello on each, writes a line when all are open, and keeps them until
its input ends.
"""

from __future__ import annotations

import resource
import socket
import sys
from contextlib import ExitStack

from tests.doors.lane.wire import PREFACE, settings


def open_files_max() -> int:
    """Allow this process as many open files as it may have at all; returns how many those are."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def main(path: str, count: int) -> None:
    """Connect, and stay."""
    open_files_max()
    with ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            connection.connect(path)
            connection.sendall(PREFACE + settings())
        sys.stdout.write("open\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
