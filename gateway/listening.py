"""Where a door may listen: whose place nobody else has."""

from __future__ import annotations

import socket
import stat
from typing import TYPE_CHECKING

from gateway.errors import PreconditionError

if TYPE_CHECKING:
    from pathlib import Path


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
