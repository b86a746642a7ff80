"""The lane does what the public suite h2spec asks of an HTTP/2 server, case by case, to requests that know no gRPC.

The suite itself is asked by `./dev clients` where it is installed. These rows are ours; they are stricter where it
lets a connection just end: the code of each error is said.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Final

import pytest

from tests.doors.lane.rows_frames import FRAMES, HPACK
from tests.doors.lane.rows_generic import GENERIC
from tests.doors.lane.rows_streams import STREAMS

if TYPE_CHECKING:
    from tests.doors.lane.steps import Rows
    from tests.doors.lane.wire import Served

PARTS: Final[dict[str, Rows]] = {"generic": GENERIC, "http2": STREAMS | FRAMES, "hpack": HPACK}
ALL: Final[Rows] = {f"{part}/{case}": steps for part, rows in PARTS.items() for case, steps in rows.items()}

CASES: Final = {
    "generic": "1:1 2:5 3.1:3 3.2:3 3.3:5 3.4:1 3.5:1 3.7:1 3.8:1 3.9:2 3.10:2 4:4 5:15",
    "http2": (
        "3.5:2 4.1:3 4.2:3 4.3:3 5.1:13 5.1.1:2 5.1.2:1 5.3.1:2 5.4.1:2 5.5:2 6.1:3 6.2:4 6.3:2 6.4:3 6.5:3 6.5.2:5 "
        "6.5.3:2 6.7:4 6.8:1 6.9:3 6.9.1:3 6.9.2:3 6.10:6 7:2 8.1:1 8.1.2:1 8.1.2.1:4 8.1.2.2:2 8.1.2.3:7 8.1.2.6:2 "
        "8.2:1"
    ),
    "hpack": "2.3.3:1 4.2:1 5.2:3 6.1:1 6.3:1",
}
"""How many cases each section of the suite has, its strict one included: 146 together."""


@pytest.mark.parametrize("case", ALL)
async def test_a_case_of_the_suite(served: Served, case: str) -> None:
    """What its row sends is answered as its row says, and a connection that need not end goes on."""
    async with served.peer(b"", greeting=b"") as peer:
        for step in ALL[case]:
            if isinstance(step, bytes):
                peer.send(step)
            else:
                await step(peer)
        if not peer.closed:
            await peer.silence()


def test_there_is_a_row_for_each_case_of_the_suite() -> None:
    """In each section they are numbered from 1, and none is left out."""
    counted = {}
    for part, rows in PARTS.items():
        numbered = [re.match(r"([0-9.]+)/([0-9]+) ", case) for case in rows]
        assert all(numbered)
        places = [(found[1], int(found[2])) for found in numbered if found]
        sections = {section: [number for _, number in group] for section, group in groupby(places, lambda one: one[0])}
        assert all(numbers == [*range(1, len(numbers) + 1)] for numbers in sections.values())
        counted[part] = " ".join(f"{section}:{len(numbers)}" for section, numbers in sections.items())
    assert counted == CASES
    assert len(ALL) == 146


def test_each_row_ends_with_what_must_be_heard() -> None:
    """A row that only sends would prove nothing."""
    assert all(callable(steps[-1]) for steps in ALL.values())
