"""ARCHITECTURE.md and the house style, executed: what each check reports is proved in tests/tidy."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from tests.tidy import house, prose, purity, repository, stores
from tests.tidy.page import Page
from tests.tidy.source import OURS, Source

ROOT = Path(__file__).resolve().parents[1]
PAGE = Page((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
MIGRATIONS = "gateway/records/migrations/"
"""Applied in order by `migrate.py`; queries stand one folder higher."""


@cache
def paths() -> list[str]:
    """List every file that is or may come to be in git."""
    return repository.files(ROOT, repository.ignored_names(read(".gitignore")))


@cache
def read(path: str) -> str:
    """Read a file."""
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def source(path: str) -> Source:
    """Read a Python file, once for all tests."""
    return Source(path, read(path))


def sources(*folders: str, generated: bool = False) -> list[Source]:
    """List the Python files of some top-level folders, without generated ones unless they are asked for."""
    return [
        source(path)
        for path in paths()
        if path.endswith(".py") and path.startswith(tuple(f"{folder}/" for folder in folders))
        if generated or not (path.startswith("gateway/v1/") and "_pb2" in path)
    ]


def texts(suffix: str, under: str = "") -> dict[str, str]:
    """Read the files with a suffix, by path."""
    return {path: read(path) for path in paths() if path.endswith(suffix) and path.startswith(under)}


def queries() -> dict[str, str]:
    """Read the files of named queries."""
    return {path: text for path, text in texts(".sql").items() if not path.startswith(MIGRATIONS)}


def pyproject() -> dict[str, Any]:
    """Read pyproject.toml."""
    return tomllib.loads(read("pyproject.toml"))


def assert_none(violations: list[str]) -> None:
    """Fail with one violation a line."""
    assert not violations, "\n" + "\n".join(violations)


# where code stands


def test_every_room_is_on_the_page() -> None:
    """The rooms of ARCHITECTURE.md are the modules and folders that exist."""
    folders = {path.rpartition("/")[0] for path in paths()}
    built = {
        f"{top}.{name.removesuffix('.py')}"
        for top in OURS
        for name in {path.split("/")[1] for path in paths() if path.startswith(f"{top}/")}
        if name not in ("__init__.py", "py.typed")
        if name.endswith(".py") or f"{top}/{name}" in folders
    }
    assert_none(house.differences(PAGE.first_names("Rooms"), built, "room"))


def test_every_room_has_a_floor() -> None:
    """Each room that holds Python stands on one floor."""
    placed = [room for floor in PAGE.floors() for room in floor]
    assert len(placed) == len(set(placed))
    rooms = {module.room for module in sources(*OURS, generated=True)} - set(OURS)
    assert_none(house.differences(placed, rooms, "room with a floor"))


def test_imports_point_down() -> None:
    """No module imports from its own floor's other rooms or from above."""
    assert_none(house.upward_imports(sources(*OURS, generated=True), PAGE.floors()))


def test_the_money_core_declares_its_order() -> None:
    """What billing_core's page says of its order is how its floors lie."""
    floors = [room for floor in PAGE.floors() for room in floor if room.startswith("billing_core.")]
    assert house.declared_order(source("billing_core/__init__.py")) == floors[::-1]


def test_foreign_packages_come_in_through_their_doors() -> None:
    """A foreign package is imported exactly in the rooms of its row."""
    assert_none(house.closed_doors(sources(*OURS, generated=True), PAGE.doors()))


def test_every_dependency_has_a_door() -> None:
    """What is installed at run time is imported somewhere, and the page says where."""
    assert_none(house.dependencies_without_door(pyproject()["project"], PAGE.doors().values()))


def test_the_money_core_is_pure() -> None:
    """Nothing in billing_core can wait, look at a clock or make a float."""
    assert_none(purity.impurities(sources("billing_core")))


def test_every_process_has_a_command() -> None:
    """The commands of the page are there."""
    known = house.commands(sources("gateway"))
    assert_none([command for command in PAGE.first_names("Processes") if command.split()[-1] not in known])


# what a reader meets


def test_files_hold_one_idea() -> None:
    """No file has more than 300 lines."""
    python = {module.path: module.text for module in sources(*OURS, "tests", "benchmarks", "proto")}
    assert_none(prose.long_files(python | texts(".lua") | texts(".sql")))


def test_functions_fit_on_a_screen() -> None:
    """No function has more than 60 lines."""
    assert_none(prose.long_functions(sources(*OURS, "tests", "benchmarks", "proto")))


def test_modules_say_what_they_decide() -> None:
    """Each module begins with one sentence on one line."""
    assert_none(prose.silent_modules(sources(*OURS, "tests", "benchmarks", "proto")))


def test_packages_say_what_they_own() -> None:
    """Each folder of Python has a page that says what it owns and what it does not own."""
    modules = sources(*OURS, generated=True)
    folders = {module.path.rpartition("/")[0] for module in modules}
    missing = [f"{folder}: has no __init__.py" for folder in folders if f"{folder}/__init__.py" not in paths()]
    assert_none(missing + prose.pages_without_owner(modules))


def test_tests_say_what_they_promise() -> None:
    """Each test has a docstring of one paragraph."""
    assert_none(prose.silent_tests(sources("tests")))


def test_names_name_a_task() -> None:
    """Nothing is called a manager, helper, util, base, impl or handler."""
    assert_none(prose.banned_names(sources(*OURS, "tests", "benchmarks", "proto")))


def test_one_word_per_idea() -> None:
    """No identifier holds a word that the glossary replaces by another."""
    banned = PAGE.banned_words()
    elsewhere = prose.banned_words_elsewhere(texts(".sql") | texts(".lua") | texts(".proto"), banned)
    assert_none(prose.banned_words(sources(*OURS, "tests", "benchmarks", "proto"), banned) + elsewhere)


# the stores


def test_scripts_are_contracts() -> None:
    """Each script stands beside its caller, says what it takes and gives, and takes every key through KEYS."""
    scripts = texts(".lua")
    assert scripts
    broken = [found for path, text in scripts.items() for found in stores.lua_violations(path, text)]
    included = stores.parts(scripts.values())
    assert included <= {PurePosixPath(path).name for path in scripts}
    whole = [path for path in scripts if PurePosixPath(path).name not in included]
    assert_none(stores.without_companion(whole, paths()) + broken)


def test_queries_have_names() -> None:
    """Each query stands beside its caller under a name and a description."""
    assert queries()
    broken = [found for path, text in queries().items() for found in stores.query_violations(path, text)]
    assert_none(stores.without_companion(queries(), paths()) + broken)


def test_migrations_leave_no_gap() -> None:
    """Migrations are numbered from 0001 on and say what they bring."""
    migrations = texts("", MIGRATIONS)
    assert migrations
    assert_none(stores.migration_violations({path.removeprefix(MIGRATIONS): text for path, text in migrations.items()}))


def test_keys_are_those_of_the_page() -> None:
    """Every function that names a key builds the pattern it shows, and the page has these patterns and no others."""
    built = stores.channels(source("gateway/counters/keys.py"))
    for module in sources("gateway"):
        for name, pattern in stores.key_patterns(module).items():
            function = getattr(importlib.import_module(module.module), name)
            sample = {parameter: f"<{parameter}>" for parameter in inspect.signature(function).parameters}
            assert function(**(sample | {"bucket": 17} if "bucket" in sample else sample)) == pattern
            built.append(pattern)
    assert_none(house.differences(PAGE.first_names("Keys"), built, "key"))


def test_events_are_those_of_the_page() -> None:
    """A usage event has the fields of the page, in its order."""
    packed = stores.struct_fields(source("gateway/counters/usage.py"), "PackedClaim")
    entries = [stores.entry_fields(call) for text in texts(".lua").values() for call in stores.calls_of(text, "XADD")]
    assert entries
    assert all(fields in (["id", "at", "claim"], ["id", "at", "claim", "moves"]) for fields in entries)
    assert ["id", "at", "moves", *(f"claim.{field}" for field in packed)] == PAGE.first_names("Events")


# the repository


def test_generated_code_is_fresh() -> None:
    """What is committed in gateway/v1 is what the protos say."""
    done = subprocess.run(
        [sys.executable, ROOT / "proto" / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_lock_is_complete() -> None:
    """Every direct dependency is pinned with hashes, and no pin says where to fetch it."""
    assert_none(repository.lock_violations(read("requirements.lock"), pyproject()))


def test_no_test_is_skipped() -> None:
    """A missing server fails a test; nothing is skipped or expected to fail."""
    assert_none(repository.skipped_tests(sources("tests")))


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    """No file names a path of a developer's machine."""
    kept = {path: (ROOT / path).read_bytes() for path in paths()}
    readable = {path: data.decode("utf-8", "replace") for path, data in kept.items() if b"\0" not in data}
    assert_none([found for path, text in readable.items() for found in repository.machine_paths(path, text)])
