"""Doors that are open while a client asks them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.doors.lane.both import both_doors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.conftest import Running
    from tests.doors.lane.both import Doors


@pytest.fixture
async def doors(office: Running, short_folder: Path) -> AsyncIterator[Doors]:
    """Both doors of a gateway; an office keeps its documents, with `acme` on the developer plan."""
    async with both_doors(office.redis_url, short_folder) as open_doors:
        yield open_doors
