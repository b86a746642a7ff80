"""An operator makes a key, a caller uses it, the operator lists and revokes it, all at the command line."""

from __future__ import annotations

import asyncio
import re
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from gateway.cli import commands
from gateway.credentials import is_key
from gateway.errors import InvalidRequestError
from tests import terminal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.terminal import Dev

ALLOWED, FAULT, MISUSE, DENIED = 0, 1, 2, 3


@pytest.fixture(scope="module")
async def dev() -> AsyncIterator[Dev]:
    """A dev gateway, whose stores an office can share."""
    with tempfile.TemporaryDirectory(prefix="tk-test-") as folder:
        async with terminal.dev(Path(folder) / "state") as running:
            yield running


@asynccontextmanager
async def office(dev: Dev, *listen: str) -> AsyncIterator[str]:
    """Run `tollkeeper office` on its stores, with nothing said about who is let in; yields where it serves."""
    stores = {f"TOLLKEEPER_{name.upper()}": dev.note[name] for name in ("redis_url", "postgres_url")}
    process = await terminal.start("office", *(word for address in listen for word in ("--listen", address)), **stores)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(terminal.WAIT_S_MAX):
            said = (await process.stdout.readline()).decode()
        yield said.removeprefix("serving on ").strip()
    finally:
        process.terminate()
        ended = await terminal.ended(process)
    assert ended.exit_code == 0, ended


async def test_a_key_is_made_used_listed_and_revoked(dev: Dev) -> None:
    """It is printed alone on standard output, works from the environment, and is refused after it was revoked."""
    await dev.subscribe("acme")
    made = await dev.run("key", "create", "--role", "check", "--customer", "acme", "--name", "the api")
    assert made.exit_code == 0
    key = made.out.strip()
    assert is_key(key)
    assert made.out == f"{key}\n"
    number = re.search(r"key (\d+) for role check", made.err)
    assert number
    assert key not in made.err

    async with office(dev, "127.0.0.1:0") as target:
        mine = {"TOLLKEEPER_TARGET": target, "TOLLKEEPER_KEY": key}
        without = await terminal.run("check", "acme", "input_tokens", TOLLKEEPER_TARGET=target)
        assert (without.exit_code, without.out) == (MISUSE, "")
        assert "no key was sent" in without.err
        assert (await terminal.run("check", "acme", "input_tokens", **mine)).exit_code == ALLOWED
        for command in (("check", "umbrella", "input_tokens"), ("usage", "acme"), ("customer", "create", "umbrella")):
            ran = await terminal.run(*command, **mine)
            assert (ran.exit_code, ran.out) == (MISUSE, "")
            assert "may not do this" in ran.err
        looked = await terminal.run("doctor", "--json", **mine)
        assert key not in looked.out + looked.err
        assert f"{target} serves" in looked.out

        listed = (await dev.run("key", "list", "--json")).json
        assert key not in str(listed)
        (shown,) = (one for one in listed if one["id"] == int(number[1]))
        assert (shown["prefix"], shown["role"], shown["mode"]) == (key[:12], "check", "live")
        assert (shown["customers"], shown["name"], shown["revoked_at"]) == (["acme"], "the api", None)
        assert key[:12] in (await dev.run("key", "list")).out

        assert (await dev.run("key", "revoke", number[1], "--json")).json == {"id": int(number[1]), "revoked": True}
        ran = await terminal.run("check", "acme", "input_tokens", **mine)  # it takes longer to start than may pass
        assert (ran.exit_code, ran.out) == (MISUSE, "")
        assert "unknown or revoked" in ran.err
        again = await dev.run("key", "revoke", number[1])
        assert (again.exit_code, "revoked before" in again.out) == (0, True)


async def test_the_dev_gateway_asks_nobody_and_is_told_no_key(dev: Dev) -> None:
    """A key for elsewhere stays in the environment: a dev gateway is found by its folder and lets its owner in."""
    ran = await dev.run("check", "nobody", "input_tokens", TOLLKEEPER_KEY="tk_live_for_somewhere_else")
    assert ran.exit_code == DENIED


async def test_a_certificate_s_name_and_a_test_key_are_made(dev: Dev) -> None:
    """A name has no key to print; that test mode is not served yet is said when its key is made."""
    named = (await dev.run("key", "create", "--role", "admin", "--san", "spiffe://example.org/ops", "--json")).json
    assert (named["san"], named["key"], named["role"]) == ("spiffe://example.org/ops", None, "admin")
    twice = await dev.run("key", "create", "--role", "check", "--san", "spiffe://example.org/ops")
    assert (twice.exit_code, f"credential {named['id']} is for" in twice.err) == (MISUSE, True)
    tested = await dev.run("key", "create", "--role", "billing", "--mode", "test", "--json")
    assert tested.json["key"].startswith("tk_test_")
    assert "not served yet" in tested.err


CREATE = ("key", "create", "--role")


@pytest.mark.parametrize(
    "command",
    [
        ("key", "create"),
        (*CREATE, "root"),
        (*CREATE, "check", "--mode", "sandbox"),
        (*CREATE, "check", "--customer", "{acme}"),
        (*CREATE, "check", "--customer", ""),
        (*CREATE, "check", *("--customer", "acme") * 101),
        (*CREATE, "check", "--name", "two\nlines"),
        (*CREATE, "check", "--name", "n" * 65),
        (*CREATE, "check", "--san", ""),
        (*CREATE, "check", "--san", "two words"),
        (*CREATE, "check", "--san", "s" * 256),
        ("key", "revoke"),
        ("key", "revoke", "one"),
        ("key", "revoke", "-1"),
        ("key", "revoke", str(2**63)),
    ],
    ids=lambda command: " ".join(command)[:50],
)
def test_what_cannot_be_a_credential_is_refused(command: tuple[str, ...]) -> None:
    """A role there is not, an ill-formed customer or name, no number: said before any database is asked."""
    ran = CliRunner().invoke(commands.app, command)
    assert ran.stdout == ""
    assert ran.exit_code == MISUSE or isinstance(ran.exception, InvalidRequestError)


async def test_what_is_not_there_is_said(dev: Dev) -> None:
    """A number that nobody has, and no database at all."""
    unknown, nowhere = await asyncio.gather(
        dev.run("key", "revoke", "999999"), terminal.run("key", "list", "--state", "/none")
    )
    assert (unknown.exit_code, "credential 999999" in unknown.err) == (MISUSE, True)
    assert (nowhere.exit_code, "TOLLKEEPER_POSTGRES_URL" in nowhere.err) == (MISUSE, True)
