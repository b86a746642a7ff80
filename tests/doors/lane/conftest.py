"""A lane of small test methods on a unix socket, and a peer that speaks to it in frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.doors.lane.wire import Peer, Served, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def served(short_folder: Path) -> AsyncIterator[Served]:
    """A lane with the limits that it has."""
    async with serving(short_folder) as lane:
        yield lane


@pytest.fixture
async def peer(served: Served) -> AsyncIterator[Peer]:
    """A connection to it that has said hello."""
    async with served.peer() as connected:
        yield connected
