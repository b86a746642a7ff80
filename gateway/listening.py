"""The sockets a gateway listens on: bound once, before any worker starts, and never shared by accident."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gateway.errors import PreconditionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BACKLOG: Final = 4096
"""Connections that the kernel keeps for a worker that is busy, or is being replaced."""


def listen(address: str, workers: int = 1) -> list[socket.socket]:
    """Listen on unix:/path or host:port, with one socket for each worker.

    On TCP the workers share the port, and the kernel deals connections out; a port of 0 is drawn once for all of them.
    On unix a socket has one path: with several workers they are PATH.0, PATH.1 and so on. Raises PreconditionError
    where another process listens, also one that would let its port be shared.
    """
    if address.startswith("unix:"):
        path = Path(address.removeprefix("unix:"))
        paths = [path] if workers == 1 else [path.with_name(f"{path.name}.{number}") for number in range(workers)]
        return [_listen_on_path(each) for each in paths]
    host, _, port = address.rpartition(":")
    return _listen_on_port(host.strip("[]"), int(port), workers)


def name_of(listening: socket.socket) -> str:
    """Return the address as it is given to clients."""
    bound = listening.getsockname()
    if listening.family == socket.AF_UNIX:
        return f"unix:{bound}"
    host = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
    return f"{host}:{bound[1]}"


def close(listening: Iterable[socket.socket], names: Iterable[str]) -> None:
    """Stop listening where that was not done already, and remove the paths among the names."""
    for each in listening:
        each.close()
    for name in names:
        if name.startswith("unix:"):
            Path(name.removeprefix("unix:")).unlink(missing_ok=True)


def refuse_taken_path(path: Path) -> None:
    """Take over a socket that a dead process left, never one that is served or a file that is no socket."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise PreconditionError(f"cannot listen on {path}: there is no folder {path.parent}") from None
        return
    if not stat.S_ISSOCK(mode):
        raise PreconditionError(f"cannot listen on {path}: it is a file, not a socket")
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise PreconditionError(f"cannot listen on {path}: another process serves it")


def _listen_on_path(path: Path) -> socket.socket:
    refuse_taken_path(path)
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    with _refused(f"unix:{path}", listening):
        listening.bind(str(path))
        os.chmod(path, 0o660)  # noqa: PTH101 - the owner and its group, nobody else
        listening.listen(BACKLOG)
    return listening


def _listen_on_port(host: str, port: int, workers: int) -> list[socket.socket]:
    """Claim the port alone first: the kernel lets any process of this user join one that is shared."""
    where = f"{host}:{port}"
    family, _, _, _, bound = _resolved(host, port)
    with socket.socket(family, socket.SOCK_STREAM) as alone, _refused(where, alone):
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        alone.bind(bound)
        if workers == 1:
            alone.listen(BACKLOG)
            return [alone.dup()]
        taken = alone.getsockname()
    made = []
    for _ in range(workers):
        shared = socket.socket(family, socket.SOCK_STREAM)
        with _refused(where, shared):
            shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            shared.bind(taken)
            shared.listen(BACKLOG)
        made.append(shared)
    return made


def _resolved(host: str, port: int) -> tuple[int, int, int, str, tuple[Any, ...]]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise PreconditionError(f"cannot listen on {host}:{port}: {error.strerror}") from error


@contextlib.contextmanager
def _refused(where: str, listening: socket.socket) -> Iterator[None]:
    """Say where it cannot be listened, and leave no socket behind."""
    try:
        yield
    except OSError as error:
        listening.close()
        raise PreconditionError(f"cannot listen on {where}: {error.strerror}; is another process there?") from error
