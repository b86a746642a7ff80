"""The script `dev`: it sets up once, says what is missing in one line, and never takes half an environment for one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("sh", "cat", "cksum", "dirname", "ln", "mkdir", "mv", "rm", "sed", "sleep", "uname")

UV = """#!/bin/sh
echo "$@" >>"$CALLS"
case $1 in
venv) for folder; do :; done && mkdir -p "$folder/bin" && ln -s "$REAL_PYTHON" "$folder/bin/python" ;;
pip) [ ! -e "$BROKEN" ] ;;
esac
"""
"""Stands for uv, which these tests do not judge: it notes its arguments, and makes a folder that looks like a venv."""

OLD_PYTHON = "#!/bin/sh\nexit 1\n"
PYTHON_WITHOUT_VENV = """#!/bin/sh
case $* in *sys.executable*) echo "$0" ;; *ensurepip*) exit 1 ;; esac
"""


class Tree:
    """A checkout with nothing but the script and what it reads, and a PATH with only what is put there."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a checkout"
        self.tools = folder / "tools"
        self.elsewhere = folder / "elsewhere"
        self.calls = folder / "calls"
        self.broken = folder / "broken"
        self.stamp = self.root / ".venv" / "set-up-for"
        for made in (self.root, self.tools, self.elsewhere):
            made.mkdir()
        for name in ("dev", "pyproject.toml", "requirements.lock"):
            shutil.copy(ROOT / name, self.root / name)
        for name in TOOLS:
            found = shutil.which(name)
            assert found is not None
            (self.tools / name).symlink_to(found)

    def put(self, name: str, text: str) -> None:
        """Put a program on PATH."""
        (self.tools / name).write_text(text, encoding="ascii")
        (self.tools / name).chmod(0o755)

    def dev(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Call the script from another folder."""
        environment = {
            "PATH": str(self.tools),
            "HOME": str(self.elsewhere),
            "CALLS": str(self.calls),
            "BROKEN": str(self.broken),
            "REAL_PYTHON": sys.executable,
            **variables,
        }
        command = ["sh", str(self.root / "dev"), *arguments]
        return subprocess.run(command, env=environment, cwd=self.elsewhere, capture_output=True, text=True, check=False)

    def called(self) -> list[str]:
        """Return what uv was called with."""
        return self.calls.read_text(encoding="utf-8").splitlines() if self.calls.exists() else []


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A checkout that was never set up, on a machine without Python and uv."""
    return Tree(tmp_path)


@pytest.mark.parametrize("arguments", [[], ["dance"], ["bench"], ["bench", "everything"]])
def test_it_says_how_it_is_used(tree: Tree, arguments: list[str]) -> None:
    """Without a command, or with an unknown one, there is the usage on standard error and status 2."""
    done = tree.dev(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: ./dev COMMAND")


def test_help_is_no_mistake(tree: Tree) -> None:
    """Who asks gets the usage on standard output."""
    done = tree.dev("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ./dev COMMAND")
    told = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}
    assert told == {"demo", "test", "check", "clients", "mutants", "bench", "run", "lock"}


def test_run_finds_the_environment_first_and_stays_where_it_was_called(tree: Tree) -> None:
    """The environment's programs come first on PATH, and a file named on the command line is the caller's."""
    tree.put("uv", UV)
    done = tree.dev("run", "sh", "-c", 'command -v python; echo "$PATH"; cat note', "python")
    assert done.returncode == 1
    (tree.elsewhere / "note").write_text("here\n", encoding="ascii")
    done = tree.dev("run", "sh", "-c", 'command -v python; echo "$PATH"; cat note')
    first = f"{tree.root}/.venv/bin"
    assert done.stdout.splitlines() == [f"{first}/python", f"{first}:{tree.tools}", "here"]


def test_a_second_call_does_nothing(tree: Tree) -> None:
    """Set-up speaks on standard error, once; after that there is only the command."""
    tree.put("uv", UV)
    first = tree.dev("run", "sh", "-c", "echo ran")
    stamped_ns, calls = tree.stamp.stat().st_mtime_ns, tree.called()
    assert (first.returncode, first.stdout) == (0, "ran\n")
    assert "setting up .venv" in first.stderr
    second = tree.dev("run", "sh", "-c", "echo ran")
    assert (second.returncode, second.stdout, second.stderr) == (0, "ran\n", "")
    assert (tree.stamp.stat().st_mtime_ns, tree.called()) == (stamped_ns, calls)


def test_it_installs_what_is_locked_and_nothing_else(tree: Tree) -> None:
    """Every package is checked by its hash; the project brings in no other and builds with the locked tools."""
    tree.put("uv", UV)
    tree.dev("run", "true")
    _, synced, installed = tree.called()
    assert {"--require-hashes", "requirements.lock"} <= set(synced.split())
    assert {"--no-deps", "--no-build-isolation", "--editable"} <= set(installed.split())


@pytest.mark.parametrize("changed", ["requirements.lock", "pyproject.toml"])
def test_a_changed_lock_is_set_up_again(tree: Tree, changed: str) -> None:
    """Who pulls a new lock gets its packages without thinking of it."""
    tree.put("uv", UV)
    tree.dev("run", "true")
    before = len(tree.called())
    with (tree.root / changed).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert "setting up" in tree.dev("run", "true").stderr
    assert len(tree.called()) == 2 * before


def test_a_set_up_that_failed_is_made_anew(tree: Tree) -> None:
    """Half an environment has no stamp: the command does not run, and the next call starts over."""
    tree.put("uv", UV)
    tree.broken.touch()
    failed = tree.dev("run", "sh", "-c", "echo ran")
    assert failed.returncode != 0
    assert failed.stdout == ""
    assert (tree.root / ".venv" / "bin" / "python").exists()
    assert not tree.stamp.exists()
    tree.broken.unlink()
    assert tree.dev("run", "sh", "-c", "echo ran").stdout == "ran\n"


def test_a_set_up_that_was_killed_blocks_nobody(tree: Tree) -> None:
    """The turn of a process that is gone is over."""
    tree.put("uv", UV)
    (tree.root / ".venv.busy").mkdir()
    (tree.root / ".venv.busy" / "pid").write_text("4194305\n", encoding="ascii")  # above the highest there can be
    assert tree.dev("run", "sh", "-c", "echo ran").stdout == "ran\n"
    assert not (tree.root / ".venv.busy").exists()


def test_a_missing_venv_module_is_one_clear_line(tree: Tree) -> None:
    """Debian's Python comes without it: the line says what to install."""
    tree.put("python3", PYTHON_WITHOUT_VENV)
    done = tree.dev("test")
    expected = "python3 has no venv module: apt-get install python3-venv, or put uv on PATH\n"
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(expected)
    assert done.stderr.count("\n") == 1
    assert not (tree.root / ".venv").exists()


def test_a_python_that_is_too_old_is_not_taken(tree: Tree) -> None:
    """Neither an old one nor a shim that does not run is taken for a Python; the one asked for is named."""
    tree.put("python3", OLD_PYTHON)
    assert "there is no Python 3.11 or newer" in tree.dev("check").stderr
    assert tree.dev("check", PYTHON="/bin/false").stderr == "dev: /bin/false is no Python 3.11 or newer\n"


def test_a_machine_without_wheels_is_told_what_to_set(tree: Tree) -> None:
    """Elsewhere one brings one's own stores; set-up goes on."""
    tree.put("uv", UV)
    (tree.tools / "uname").unlink()
    tree.put("uname", "#!/bin/sh\ncase $1 in -s) echo FreeBSD ;; -m) echo riscv64 ;; *) echo FreeBSD riscv64 ;; esac\n")
    done = tree.dev("run", "sh", "-c", "echo ran")
    assert "for FreeBSD riscv64: set TOLLKEEPER_REDIS_URL and TOLLKEEPER_POSTGRES_URL" in done.stderr
    assert done.stdout == "ran\n"


@pytest.mark.parametrize("missing", ["node", "npm", "nghttp", "h2load"])
def test_a_missing_client_is_one_clear_line(tree: Tree, missing: str) -> None:
    """What clients need beyond wheels is named before anything is set up."""
    for name in {"node", "npm", "nghttp", "h2load"} - {missing}:
        tree.put(name, "#!/bin/sh\n")
    done = tree.dev("clients")
    expected = f"dev: clients needs {missing} on PATH: apt-get install nodejs npm nghttp2-client\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected)
    assert not (tree.root / ".venv").exists()


def test_clients_that_cannot_be_installed_are_not_asked(tree: Tree) -> None:
    """Set-up goes on as for every command; then npm's own failure ends it."""
    tree.put("uv", UV)
    for name in ("node", "nghttp", "h2load"):
        tree.put(name, "#!/bin/sh\n")
    tree.put("npm", '#!/bin/sh\necho "npm $*" >>"$CALLS"\nexit 1\n')
    done = tree.dev("clients")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("dev: npm ci failed in tests/clients\n")
    assert tree.called()[-1].startswith("npm ci --prefix tests/clients --ignore-scripts")


def test_no_lock_names_a_registry() -> None:
    """Where npm's packages come from is the machine's affair, too; each has its hash."""
    packages = json.loads((ROOT / "tests/clients/package-lock.json").read_text(encoding="utf-8"))["packages"]
    installed = [package for name, package in packages.items() if name]
    assert len(installed) > 10
    assert all("resolved" not in package and package["integrity"].startswith("sha512-") for package in installed)


def test_the_lock_is_written_by_uv(tree: Tree) -> None:
    """Without uv that is said in one line, and the lock stays as it is."""
    done = tree.dev("lock")
    assert (done.returncode, done.stderr) == (1, "dev: lock needs uv on PATH\n")
    assert (tree.root / "requirements.lock").read_bytes() == (ROOT / "requirements.lock").read_bytes()


def test_the_lock_names_no_host() -> None:
    """Where packages come from is the machine's affair, and each has its hash."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if "://" in line or line.startswith("--")]
    assert all(line.endswith("\\") for line in lines if "==" in line)


def test_it_is_plain_sh(tree: Tree) -> None:
    """It parses under the strictest shell there is, and may be executed."""
    shell = shutil.which("dash") or "/bin/sh"
    subprocess.run([shell, "-n", str(tree.root / "dev")], check=True)
    assert os.access(ROOT / "dev", os.X_OK)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
