"""A process that writes a journal until it is killed: adds, and replies to standard output as a door does.

Arguments: the journal's path, its bytes.
"""

from __future__ import annotations

import asyncio
import os
import sys
from itertools import count
from pathlib import Path

from gateway.journal import Journal
from tests.doors.journal_made import add, counted


async def main(path: Path, bytes_max: int) -> None:
    """Admit one to eight uses a turn, for ever."""
    journal = Journal.open(path, bytes_max=bytes_max, gateway="gateway")
    loop = asyncio.get_running_loop()
    numbers = count(1)
    for turn in count():
        for _ in range(turn % 8 + 1):
            number = next(numbers)
            add(journal, counted(number, padding=number % 50))
            loop.call_soon(os.write, 1, b"%d\n" % number)
        await asyncio.sleep(0)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
