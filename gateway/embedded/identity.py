"""As whom Postgres runs: it refuses to be root, and we neither create users nor open folders that are not ours."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import zlib
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from gateway.embedded.child import ENVIRONMENT, leashed
from gateway.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_TRIAL_S_MAX: Final = 10.0


class Way(StrEnum):
    """How Postgres is run."""

    SELF = "self"
    NOBODY = "nobody"
    NAMESPACE = "user namespace"
    COPY = "copied binaries"


ROOT_WAYS: Final = (
    Way.NOBODY,  # 1. its binaries and our folders can be reached by everyone
    Way.NAMESPACE,  # 2. something lies under a home of mode 700, but the kernel lets us call ourselves another
    Way.COPY,  # 3. only the binaries do, and a container forbids the second: they are copied once (40 MB)
)


def choose_way(binaries: Path, folders: Sequence[Path]) -> Way:
    """Choose by trying: whoever it is must run the binaries and enter our folders. Raises StoreUnavailableError."""
    if os.geteuid() != 0:
        return Way.SELF
    for way in ROOT_WAYS:
        if _works(way, binaries, folders):
            return way
    where = " and ".join(map(str, folders))
    raise StoreUnavailableError(
        f"Postgres refuses to run as root, and user nobody cannot enter {where}; use a state folder that others may "
        "enter, such as one under /var/tmp, or run as an ordinary user, or set TOLLKEEPER_POSTGRES_URL"
    )


def leash_identity(way: Way) -> str:
    """Return what leash.py has to become."""
    match way:
        case Way.SELF:
            return "self"
        case Way.NAMESPACE:
            return f"namespace:{_nobody().pw_uid}"
        case Way.NOBODY | Way.COPY:
            return f"user:{_nobody().pw_uid}:{_nobody().pw_gid}"


def hand_over(folder: Path, way: Way) -> None:
    """Give a folder of ours to whom Postgres runs as; an earlier start may have run it in another way."""
    if way is Way.SELF:
        return
    nobody = _nobody()
    uid, gid = (0, 0) if way is Way.NAMESPACE else (nobody.pw_uid, nobody.pw_gid)
    owner = folder.stat().st_uid
    if owner == uid:
        return
    if owner not in {0, nobody.pw_uid}:
        raise StoreUnavailableError(f"{folder} belongs to user {owner}; run as that user, or use another state folder")
    for parent, _, files in os.walk(folder):
        for path in (parent, *(os.path.join(parent, file) for file in files)):  # noqa: PTH118 - os.walk gives strings
            os.chown(path, uid, gid, follow_symlinks=False)


def copy_binaries(binaries: Path, state: Path) -> Path:
    """Copy an installation to where nobody can run it, once for each version of it; returns its bin folder."""
    installation = binaries.resolve().parent
    package = installation.parent
    libraries = package.with_name(package.name + ".libs")  # a wheel's binaries look for theirs beside their package
    stat = (installation / "bin" / "postgres").stat()
    copies = state / "binaries"
    copy = copies / f"{zlib.crc32(f'{installation} {stat.st_mtime_ns} {stat.st_size}'.encode()):08x}"
    if not copy.exists():
        shutil.rmtree(copies, ignore_errors=True)
        unfinished = copies / "unfinished"
        shutil.copytree(installation, unfinished / package.name / installation.name, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        for path in (copies, *copies.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        unfinished.rename(copy)
    return copy / package.name / installation.name / binaries.resolve().name


def _works(way: Way, binaries: Path, folders: Sequence[Path]) -> bool:
    program = "/bin/true" if way is Way.COPY else str(binaries / "postgres")
    script = '"$0" --version && for folder; do cd "$folder" || exit; done'
    trial = leashed(["/bin/sh", "-c", script, program, *map(str, folders)], leash_identity(way))
    try:
        done = subprocess.run(trial, env=ENVIRONMENT, cwd="/", capture_output=True, timeout=_TRIAL_S_MAX, check=False)  # noqa: S603 - ours
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _nobody() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise StoreUnavailableError(
            "Postgres refuses to run as root, and there is no user nobody; run as an ordinary user, or set "
            "TOLLKEEPER_POSTGRES_URL"
        ) from None
