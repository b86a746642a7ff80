"""A part of the office that dies before its n-th step: `office_zygote.py` as a test orders it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ZYGOTE = Path(__file__).parent / "office_zygote.py"


@contextmanager
def zygote() -> Iterator[Callable[[str], str]]:
    """A process that forks a part of the office for each order and says how it ended."""
    with subprocess.Popen([sys.executable, ZYGOTE], stdin=PIPE, stdout=PIPE, text=True, bufsize=1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        orders, endings = process.stdin, process.stdout

        def end(order: str) -> str:
            orders.write(order + "\n")
            return endings.readline().strip()

        try:
            yield end
        finally:
            process.kill()
