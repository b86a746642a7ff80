"""Every use that was admitted is in the gateway's journal before its caller knows, and survives the gateway's end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.client import Gateway, GatewayError
from gateway.counters import keys
from gateway.journal import kept, read
from gateway.v1.entitlement_pb2 import Reason
from tests import terminal
from tests.conftest import SAMPLE, running_office
from tests.counters_seen import counters

if TYPE_CHECKING:
    from pathlib import Path

    import redis.asyncio

BUCKET = keys.bucket_of("acme")


async def subscribe(client: Gateway) -> None:
    """Apply the sample catalog and put acme on the developer plan."""
    await client.apply_catalog(SAMPLE)
    await client.create_customer("acme")
    await client.create_subscription("acme", "developer")


async def test_what_is_admitted_is_in_the_journal_when_its_reply_arrives(
    short_folder: Path, redis_url: str, postgres_url: str, redis_client: redis.asyncio.Redis
) -> None:
    """Each counted event, once, as the stream has it and with the line it was counted under; nothing else."""
    folder = short_folder / "state" / "journal"
    async with running_office(short_folder, redis_url, postgres_url, journal=folder) as office:
        await subscribe(office.client)
        (own,) = kept(folder)
        admitted = []
        for quantity, key in ((5, ""), (7, "order 1"), (7, "order 1"), (11, "order 2"), (2, "")):
            decision = await office.client.check("acme", "input_tokens", quantity, idempotency_key=key)
            if not decision.replayed:
                admitted.append(decision.decision_id)
            assert [entry.event_id for entry in read(own.path)] == admitted
        assert len(admitted) == 4
        batch = await asyncio.gather(*(office.client.check("acme", "output_tokens", 1) for _ in range(50)))
        denied = await office.client.check("acme", "input_tokens", 1_000_000)
        assert denied.reason == Reason.QUOTA_EXCEEDED
        assert not (await office.client.check("acme", "priority_queue")).allowed
        await office.client.check("acme", "input_tokens", 3, peek=True)

        reading, line = read(own.path), office.office.keeper.line
        stream = await redis_client.xrange(keys.usage(BUCKET))
        known = {fields["id"]: (int(fields["at"]), fields["claim"]) for _, fields in stream}
        found = {entry.event_id: (entry.at_ms, entry.event.decode()) for entry in reading}
        assert found == known
        assert len(reading) == len(found) == len(admitted) + len(batch)
        assert {entry.line for entry in reading} == {line}
        assert {entry.bucket for entry in reading} == {BUCKET}
        used = await counters(redis_client, BUCKET, "acme")
        for entry in reading:
            assert used[entry.counter][1] == entry.window_start_ms
        assert reading.gateway in await redis_client.hkeys(keys.head(BUCKET))
        assert own.path.stem == reading.gateway
    assert not read(own.path).written


async def test_a_killed_office_leaves_every_reply_in_its_journal(
    short_folder: Path, redis_url: str, postgres_url: str
) -> None:
    """SIGKILL in the midst of many checks: each whose answer came is read back, and a new office adds a new journal."""
    folder, address = short_folder / "journals", f"unix:{short_folder / 'killed.sock'}"
    stores = {
        "TOLLKEEPER_REDIS_URL": redis_url,
        "TOLLKEEPER_POSTGRES_URL": postgres_url,
        "TOLLKEEPER_JOURNAL": str(folder),
        "TOLLKEEPER_AUTH": "none",
    }
    process = await terminal.start("office", "--listen", address, **stores)
    answered: list[str] = []
    try:
        assert process.stdout is not None
        assert b"serving" in await process.stdout.readline()
        async with Gateway(address) as client:
            await subscribe(client)

            async def ask() -> None:
                while True:
                    answered.append((await client.check("acme", "output_tokens", 1)).decision_id)
                    if len(answered) == 300:
                        process.kill()

            asked = await asyncio.gather(*(ask() for _ in range(8)), return_exceptions=True)
            assert all(isinstance(outcome, GatewayError) for outcome in asked), asked
    finally:
        await terminal.ended(process)
    (left,) = kept(folder)
    found = {entry.event_id for entry in read(left.path)}
    assert len(answered) >= 300
    assert set(answered) <= found
    assert len(found) <= len(answered) + 8, "no more than what was on its way"

    async with running_office(short_folder, redis_url, postgres_url, journal=folder):
        assert {journal.path for journal in kept(folder)} > {left.path}
        assert {entry.event_id for entry in read(left.path)} == found


async def test_the_doctor_looks_at_the_journals(short_folder: Path) -> None:
    """A dev gateway keeps one in its state folder; off is advised against; a folder that cannot be one is wrong."""
    state = short_folder / "state"

    async def row(**environment: str) -> dict[str, object]:
        ran = await terminal.run("doctor", "--json", "--state", str(state), **environment)
        return next(one for one in ran.json["checks"] if one["name"] == "journal")

    async with terminal.dev(state) as dev:
        (own,) = kept(state / "journal")
        assert own.written
        assert own.path.stat().st_size == 2**24
        told = await row()
        assert told["found"] == f"1 being written, 0 kept of gateways that ended, in {state}/journal"
        assert (told["ok"], told["mend"]) == (True, None)
        await dev.subscribe("acme")
        for _ in range(3):
            await dev.run("check", "acme", "input_tokens")
        entries = list(read(own.path))
        data = own.path.read_bytes()
        with own.path.open("r+b") as file:  # as a disk that forgets the one in the midst
            file.seek(data.index(entries[1].event_id.encode()))
            file.write(b"?")
        told = await row()
        assert told["found"] == (
            f"1 being written, 0 kept of gateways that ended, in {state}/journal; 1 entries are missing"
        )
        assert "journal.failed" in str(told["mend"])
    off = await row(TOLLKEEPER_JOURNAL="off")
    assert (off["ok"], off["found"]) == (True, "off")
    assert off["mend"]
    elsewhere = await row(XDG_STATE_HOME=str(short_folder))
    assert str(elsewhere["found"]).endswith(f"0 kept of gateways that ended, in {short_folder}/tollkeeper/journal")
    wrong = await row(TOLLKEEPER_JOURNAL=str(own.path))
    assert (wrong["ok"], bool(wrong["mend"])) == (False, True)

    reset = await terminal.run("dev", "reset", "--state", str(state))
    assert reset.exit_code == 0
    assert kept(state / "journal") == []


async def test_an_office_says_why_it_cannot_keep_a_journal(
    short_folder: Path, redis_url: str, postgres_url: str
) -> None:
    """A journal that was asked for and cannot be made stops the start: with the reason, not later with a loss."""
    (short_folder / "file").touch()
    ran = await terminal.run(
        "office",
        "--listen",
        f"unix:{short_folder / 'never.sock'}",
        TOLLKEEPER_REDIS_URL=redis_url,
        TOLLKEEPER_POSTGRES_URL=postgres_url,
        TOLLKEEPER_JOURNAL=str(short_folder / "file"),
    )
    assert (ran.exit_code, ran.out) == (1, "")
    assert "file cannot hold a journal" in ran.err
    assert "TOLLKEEPER_JOURNAL" in ran.err
    assert "Traceback" not in ran.err
