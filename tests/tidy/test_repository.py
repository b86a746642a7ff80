"""Proof that a leaky lock, a skipped test, a stale file and a path of one machine are reported."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tidy import repository
from tests.tidy.source import Source

ROOT = Path(__file__).resolve().parents[2]
LOCK = """# written by ./dev lock
hiredis==3.5.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via tollkeeper
pyyaml==6.0.3 ; sys_platform != 'win32' \\
    --hash=sha256:cc
pytest==9.2.0 \\
    --hash=sha256:dd
hatchling==1.27.0 \\
    --hash=sha256:ee
"""
PYPROJECT = {
    "build-system": {"requires": ["hatchling>=1.27"]},
    "project": {"dependencies": ["hiredis>=3"], "optional-dependencies": {"local": ["PyYAML"]}},
    "dependency-groups": {"test": ["pytest>=9"], "all": [{"include-group": "test"}]},
}


def test_a_complete_lock_passes() -> None:
    """Pins with hashes, markers and comments."""
    assert repository.lock_violations(LOCK, PYPROJECT) == []


@pytest.mark.parametrize(
    ("old", "new", "reported"),
    [
        ("# written", "--index-url https://pypi.example/simple\n# written", "names a host"),
        ("# written", "-i internal\n# written", "names a host"),
        ("# via tollkeeper", "# from https://pypi.example", "names a host"),
        ("hiredis==3.5.0", "hiredis @ https://files.example/hiredis.whl", "names a host"),
        ("pytest==9.2.0 \\\n    --hash=sha256:dd", "pytest==9.2.0", "has no hash"),
        ("pyyaml==6.0.3", "pyyaml>=6.0.3", "is no pin"),
        ("hatchling", "setuptools", "hatchling is not pinned"),
        ("pytest==", "pytest-timeout==", "pytest is not pinned"),
        ("pyyaml==", "ruamel==", "pyyaml is not pinned"),
    ],
)
def test_a_leaky_lock_is_reported(old: str, new: str, reported: str) -> None:
    """A host, a pin without a hash, and a dependency of any kind that is left out."""
    assert old in LOCK
    violations = repository.lock_violations(LOCK.replace(old, new, 1), PYPROJECT)
    assert any(reported in violation for violation in violations)


@pytest.mark.parametrize(
    "text",
    [
        "@pytest.mark.skip\ndef f(): ...",
        "@pytest.mark.skipif(True, reason='x')\ndef f(): ...",
        "@mark.xfail\ndef f(): ...",
        "def f():\n    pytest.skip('no server')",
        "yaml = pytest.importorskip('yaml')",
        "from pytest import skip",
        "@unittest.skip('x')\ndef f(): ...",
    ],
)
def test_a_skipped_test_is_reported(text: str) -> None:
    """By a mark, a call, a forgiving import or a name brought in."""
    assert len(repository.skipped_tests([Source("tests/a.py", text)])) == 1


def test_other_skips_pass() -> None:
    """The word alone skips nothing."""
    assert repository.skipped_tests([Source("tests/a.py", "reader.skip(4)\nx = 'pytest.skip'")]) == []


@pytest.mark.parametrize("folder", ["work/main", "root/.cache/x", "home/bob/src", "Users/bob/src"])
@pytest.mark.parametrize("before", ["", '"', "cd ", "file://", "PATH="])
def test_a_path_of_one_machine_is_reported(folder: str, before: str) -> None:
    """Homes and checkouts, wherever they stand in a line."""
    violations = repository.machine_paths("a.md", f"first\n{before}/{folder}/x.py")
    assert len(violations) == 1
    assert violations[0].startswith("a.md:2: ")


@pytest.mark.parametrize(
    "line",
    [
        "/home/<user>/x",
        "/home/you/x",
        "$HOME/x",
        "https://example.org/root/x",
        "tmp/root/x",
        "~/root/x",
        "as /root",
        "</root>",
    ],
)
def test_paths_of_every_machine_pass(line: str) -> None:
    """Placeholders, parts of longer paths and of URLs."""
    assert repository.machine_paths("a.md", line) == []


def test_what_git_ignores_is_not_read(tmp_path: Path) -> None:
    """Folders and files that match .gitignore, at any depth, and git's own."""
    for path in (".git/config", ".venv/x.py", "a/__pycache__/x.pyc", "a/b.egg-info/x", "a/kept.py", "kept.md"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    ignored = repository.ignored_names(".venv/\n\n# a comment\n__pycache__/\n*.egg-info/\n")
    assert repository.files(tmp_path, ignored) == ["a/kept.py", "kept.md"]


def test_stale_generated_code_is_reported(tmp_path: Path) -> None:
    """A generated file that was edited fails the check that test_tidy runs."""
    for folder in ("proto", "gateway/v1"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "gateway/v1/usage_pb2.py").open("a", encoding="utf-8") as edited:
        edited.write("# edited\n")
    command = [sys.executable, tmp_path / "proto/generate.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "usage_pb2.py: stale" in done.stderr
