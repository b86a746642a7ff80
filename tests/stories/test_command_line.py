"""The command `tollkeeper` against a running dev gateway: what it prints, and what a script can rely on."""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.v1 import entitlement_pb2
from tests import terminal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.terminal import Dev

SAMPLE = Path(terminal.__file__).parents[1] / "gateway/catalogs/neural-language-engine.yaml"

ALLOWED, FAULT, MISUSE, DENIED = 0, 1, 2, 3


@pytest.fixture(scope="module")
async def folder() -> AsyncIterator[Path]:
    """A folder that is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="tk-test-") as made:
        yield Path(made)


@pytest.fixture(scope="module")
async def dev(folder: Path) -> AsyncIterator[Dev]:
    """One dev gateway for every test that does not stop it; that it stops cleanly is asserted at the end."""
    async with terminal.dev(folder / "state") as running:
        yield running


async def test_a_customer_is_created_subscribed_and_allowed(dev: Dev) -> None:
    """What `tollkeeper dev` tells a newcomer to try works, and says so in words."""
    created = await dev.run("customer", "create", "new", "--json")
    assert (created.exit_code, created.json["name"]) == (0, "customers/new")
    subscribed = await dev.run("subscription", "create", "new", "developer")
    assert (subscribed.exit_code, subscribed.out.split()[-1]) == (0, "plans/developer/versions/1")

    checked = await dev.run("check", "new", "input_tokens", "--quantity", "1000000")
    assert checked.exit_code == ALLOWED
    assert checked.out.startswith("allowed OK\n")
    assert "remaining    0 " in checked.out
    denied = await dev.run("check", "new", "input_tokens")
    assert denied.exit_code == DENIED
    assert denied.out.startswith("denied QUOTA_EXCEEDED\n")
    assert "upgrade plans  scale" in denied.out


async def test_check_prints_the_whole_decision(dev: Dev) -> None:
    """`check --json` has every field of the response under its proto name, and whole numbers are numbers."""
    await dev.subscribe("whole")
    decision = (await dev.run("check", "whole", "input_tokens", "--quantity", "999999", "--json")).json
    assert list(decision) == [field.name for field in entitlement_pb2.CheckEntitlementResponse.DESCRIPTOR.fields]
    asked = ("allowed", "reason", "limit", "used", "remaining", "replayed", "plan", "upgrade_plans")
    assert {name: decision[name] for name in asked} == {
        "allowed": True,
        "reason": "OK",
        "limit": 1_000_000,
        "used": 999_999,
        "remaining": 1,
        "replayed": False,
        "plan": "developer",
        "upgrade_plans": [],
    }
    assert type(decision["resets_at_ms"]) is int
    denied = await dev.run("check", "whole", "priority_queue", "--json")
    assert (denied.exit_code, denied.json["reason"], denied.json["limit"]) == (DENIED, "FEATURE_OFF", None)


async def test_misuse_and_faults_have_their_exit_codes(dev: Dev) -> None:
    """Misuse exits with 2 and a fault with 1: one complaint on standard error, nothing on standard output."""
    misuse = [
        ("check", "not an id", "input_tokens"),
        ("check", "acme", "in{put}", "--json"),
        *(("check", "acme", "input_tokens", "--quantity", text) for text in ("0", "-1", str(2**63), "1e3", "")),
        ("check", "acme", "input_tokens", "--surprise"),
        ("check", "acme"),
        ("check", "acme", "input_tokens", "--idempotency-key", "k" * 256),
        ("usage", "nobody"),
        ("subscription", "create", "nobody", "developer"),
        ("catalog", "apply", "no-such-file.yaml"),
    ]
    for command, ran in zip(misuse, await asyncio.gather(*(dev.run(*command) for command in misuse)), strict=True):
        assert (ran.exit_code, ran.out) == (MISUSE, ""), command
        assert ran.err.strip(), command
        assert "Traceback" not in ran.err, command

    nowhere = await terminal.run("check", "acme", "input_tokens", "--target", "unix:/no/such.sock", "--json")
    assert (nowhere.exit_code, nowhere.out) == (FAULT, "")
    assert nowhere.err == "tollkeeper: no gateway answers at unix:/no/such.sock; start one with: tollkeeper dev\n"


async def test_a_peek_counts_nothing(dev: Dev) -> None:
    """`check --peek` answers as a check would, exit code included, and leaves the counter alone."""
    await dev.subscribe("peeker")
    peek = ("check", "peeker", "input_tokens", "--peek", "--json", "--quantity")
    for _ in range(2):
        assert (await dev.run(*peek, "1000000")).exit_code == ALLOWED
    assert (await dev.run(*peek, "1000001")).exit_code == DENIED
    assert (await dev.run("check", "peeker", "input_tokens", "--json")).json["used"] == 1


async def test_an_idempotency_key_counts_once(dev: Dev) -> None:
    """The same key answers again with the first decision; with another quantity it is misuse."""
    await dev.subscribe("twice")
    check = ("check", "twice", "input_tokens", "--idempotency-key", "order 7", "--quantity")
    first = (await dev.run(*check, "40", "--json")).json
    again = (await dev.run(*check, "40", "--json")).json
    assert (first["replayed"], again["replayed"], again["used"]) == (False, True, 40)
    assert again["decision_id"] == first["decision_id"]
    assert "replayed     yes" in (await dev.run(*check, "40")).out
    assert (await dev.run(*check, "41")).exit_code == MISUSE


async def test_charges_are_exact(dev: Dev) -> None:
    """Usage is what was checked, and the charges are that usage at the plan's prices, to the cent."""
    await dev.subscribe("payer")
    for feature, quantity in (("input_tokens", "510000"), ("output_tokens", "250000")):
        assert (await dev.run("check", "payer", feature, "--quantity", quantity)).exit_code == ALLOWED

    async def written() -> bool:
        return bool(await dev.usage("payer") == {"input_tokens": 510_000, "output_tokens": 250_000})

    await terminal.eventually(written, "the usage of payer is not written down")
    charges = (await dev.run("charges", "payer", "--json")).json
    assert charges["plan_version"] == "plans/developer/versions/1"
    # 500,000 tokens above the free 10,000 at $0.002 for 1,000; 250,000 at $0.006 for 1,000; the month's fee
    assert charges["lines"] == [
        {"meter": "input_tokens", "description": "input_tokens (graduated)", "quantity": "510000", "amount": "1.00"},
        {"meter": "output_tokens", "description": "output_tokens (per_unit)", "quantity": "250000", "amount": "1.50"},
        {"meter": None, "description": "Platform", "quantity": "1", "amount": "49.99"},
    ]
    assert charges["total"] == "52.49"
    shown = (await dev.run("charges", "payer")).out
    assert shown.startswith("Charges of payer, ")
    assert "52.49" in shown.splitlines()[-2]


async def test_a_catalog_is_applied_whole_and_once(dev: Dev, folder: Path) -> None:
    """What is in force already changes nothing; a changed plan alone gets a version; a bad file changes nothing."""
    changed = folder / "changed.yaml"
    changed.write_text(SAMPLE.read_text(encoding="utf-8").replace('"499.00"', '"599.00"'), encoding="utf-8")
    for file, created in ((SAMPLE, (False, False)), (changed, (False, True)), (changed, (False, False))):
        applied = (await dev.run("catalog", "apply", str(file), "--json")).json
        assert tuple(plan["created"] for plan in applied["plans"]) == created
    broken = folder / "broken.yaml"
    broken.write_text(changed.read_text(encoding="utf-8").replace("month}", "moon}", 1), encoding="utf-8")
    refused = await dev.run("catalog", "apply", str(broken))
    assert (refused.exit_code, refused.out) == (MISUSE, "")
    assert "line " in refused.err
    assert "unchanged" in (await dev.run("catalog", "apply", str(changed))).out


async def test_the_gateway_is_found_in_order(dev: Dev, folder: Path) -> None:
    """`--target` goes before TOLLKEEPER_TARGET, and that before the state folder of a dev gateway."""
    check = ("check", "nobody", "input_tokens")
    target, nowhere = dev.note["target"], "unix:/no/such.sock"
    (folder / "empty").mkdir()
    ran = await asyncio.gather(
        dev.run(*check, "--target", target, TOLLKEEPER_TARGET=nowhere),
        terminal.run(*check, TOLLKEEPER_TARGET=target),
        dev.run(*check, TOLLKEEPER_TARGET=nowhere),
        dev.run(*check),
        terminal.run(*check, folder=folder / "empty"),
    )
    assert [one.exit_code for one in ran] == [DENIED, DENIED, FAULT, DENIED, MISUSE]
    for way in ("--target", "TOLLKEEPER_TARGET", "tollkeeper dev"):
        assert way in ran[-1].err


async def test_migrate_and_office_say_what_they_need(dev: Dev) -> None:
    """`migrate` finds the dev gateway's database and has nothing to do; without stores both say what to set."""
    migrated, no_database, no_stores = await asyncio.gather(
        dev.run("migrate", "--json"), terminal.run("migrate", "--state", "/none"), terminal.run("office")
    )
    assert (migrated.exit_code, migrated.json) == (0, {"applied": []})
    assert (no_database.exit_code, no_stores.exit_code) == (MISUSE, MISUSE)
    assert "TOLLKEEPER_POSTGRES_URL" in no_database.err
    assert "TOLLKEEPER_REDIS_URL and TOLLKEEPER_POSTGRES_URL" in no_stores.err


async def test_a_second_dev_and_a_reset_are_refused_while_one_runs(dev: Dev) -> None:
    """What one gateway runs on is neither shared with another nor emptied under it, and its process is named."""
    for ran in await asyncio.gather(dev.run("dev"), dev.run("dev", "reset")):
        assert (ran.exit_code, ran.out) == (MISUSE, "")
        assert f"in use by process {dev.process.pid}" in ran.err


async def test_random_use_is_summed_exactly_over_a_restart(folder: Path) -> None:
    """Random quantities until the limit denies, half before a restart, sum up exactly; then a reset forgets them."""
    state = folder / "restarted"
    draw = random.Random(20_260_131)  # noqa: S311 - the same quantities in every run
    quantities = [draw.randint(40_000, 160_000) for _ in range(12)]
    assert sum(quantities) > 1_000_000
    check = ("check", "acme", "input_tokens", "--json", "--quantity")
    ran = []
    async with terminal.dev(state) as first:
        await first.subscribe("acme")
        ran += await asyncio.gather(*(first.run(*check, str(quantity)) for quantity in quantities[:6]))
    async with terminal.dev(state) as second:
        ran += await asyncio.gather(*(second.run(*check, str(quantity)) for quantity in quantities[6:]))
        assert {(one.exit_code, one.json["reason"]) for one in ran} == {(ALLOWED, "OK"), (DENIED, "QUOTA_EXCEEDED")}
        allowed = [n for n, one in zip(quantities, ran, strict=True) if one.json["allowed"]]

        async def written() -> bool:
            return bool(await second.usage("acme") == {"input_tokens": sum(allowed), "output_tokens": 0})

        await terminal.eventually(written, f"usage is not {sum(allowed)}")
        assert max(one.json["used"] for one in ran) == sum(allowed) <= 1_000_000
    emptied, refused = await asyncio.gather(
        terminal.run("dev", "reset", "--state", str(state)), terminal.run("dev", "reset", "--state", str(folder))
    )
    assert (emptied.exit_code, refused.exit_code) == (0, MISUSE)
    assert {path.name for path in state.iterdir()} <= {"lock", "children"}
    assert "nothing was removed" in refused.err
