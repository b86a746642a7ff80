"""A connection on which scripts are run at the time that the model says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.model.scripts import SCRIPTS
from tests.model.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def wire(redis_url: str) -> Iterator[Wire]:
    """A connection with steered scripts to a database of this test's own."""
    made = Wire.steering(redis_url, SCRIPTS)
    yield made
    made.close()
