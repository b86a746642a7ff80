"""A pytest plugin for mutated copies: only the copy is tested, and hypothesis tries the same examples each time."""

from __future__ import annotations

from pathlib import Path

from hypothesis import Phase, settings

import billing_core
import gateway


def pytest_configure() -> None:
    """Refuse to judge code of another place; once a conftest has chosen how hypothesis runs, choose again."""
    for package in (billing_core, gateway):
        assert Path(package.__file__).is_relative_to(Path.cwd()), f"{package.__file__} is not the copy in {Path.cwd()}"
    # What fails is counted and not explained, so that no time goes into finding the smallest example.
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutants", deadline=None, database=None, derandomize=True, phases=phases)
    settings.load_profile("mutants")
