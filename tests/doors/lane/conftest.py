"""A lane of small test methods and a peer that speaks to it in frames; both doors of a gateway, with real stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import SAMPLE
from tests.doors.lane.both import both_doors
from tests.doors.lane.twins import TWINS, channels_to
from tests.doors.lane.wire import Peer, Served, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.conftest import Running
    from tests.doors.lane.both import Doors
    from tests.doors.lane.twins import Channels


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


@pytest.fixture
async def doors(office: Running, short_folder: Path) -> AsyncIterator[Doors]:
    """Both doors of a gateway; an office keeps its documents, with `acme` on the developer plan."""
    async with both_doors(office.redis_url, short_folder) as open_doors:
        yield open_doors


@pytest.fixture
async def channels(office: Running, doors: Doors) -> AsyncIterator[Channels]:
    """Both doors of one checker; the twins are on the developer plan, whose windows do not end in a test."""
    await office.client.apply_catalog(SAMPLE.replace("window: minute", "window: day"))
    for twin in TWINS:
        await office.client.create_customer(twin)
        await office.client.create_subscription(twin, "developer")
    async with channels_to(doors) as connected:
        yield connected
