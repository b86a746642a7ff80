"""Become another program, as whom it was told to, and die with the process that asked for it; run as a script.

A script, not a `preexec_fn`: between fork and exec Python is not safe once there are threads. Arguments: the parent's
pid, the signal to die by, whom to become (see `become`), and the command.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Change identity first: the kernel forgets the death signal when credentials change."""
    parent, signal_number, identity, *command = sys.argv[1:]
    become(identity)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal_number))
    if os.getppid() != int(parent):
        sys.exit("the parent died before its child was on the leash")
    os.execv(command[0], command)  # noqa: S606 - the command is ours, and no shell is wanted


def become(identity: str) -> None:
    """Stay who we are (`self`), become another user (`user:UID:GID`), or look like one (`namespace:UID`)."""
    kind, *numbers = identity.split(":")
    if kind == "user":
        uid, gid = map(int, numbers)
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    elif kind == "namespace":
        uid, gid = os.geteuid(), os.getegid()
        if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER) != 0:
            sys.exit(f"no user namespace: {os.strerror(ctypes.get_errno())}")
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{numbers[0]} {uid} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{numbers[0]} {gid} 1", encoding="ascii")


if __name__ == "__main__":
    main()
