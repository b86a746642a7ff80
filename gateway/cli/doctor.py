"""What there is, from where, what is wrong with it, and how to mend it."""

from __future__ import annotations

import asyncio
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from gateway.cli import diagnosis
from gateway.cli.diagnosis import Row
from gateway.cli.journal import journal_row
from gateway.cli.options import STATE, Json, State, Target
from gateway.cli.reach import find_target, gateway_at, running_dev, settings
from gateway.cli.show import emit, out
from gateway.embedded import External, locate_postgres, locate_redis
from gateway.entrances import entrances
from gateway.errors import PreconditionError, StoreCorruptError, StoreUnavailableError
from gateway.settings import PREFIX, Settings, SettingsError, shown
from gateway.tls import client_tls, server_tls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.counters.examine import Server
    from gateway.embedded import Binary, Found
    from gateway.records.examine import Content

ANSWER_S_MAX = 2.0
WRONG = 1


def doctor(target: Target = None, state: State = STATE, json: Json = False) -> None:
    """Which stores, which versions, from where, what is wrong and how to mend it. Exits with 1 when something is."""
    rows = asyncio.run(_examine(target, state))
    well = all(row.ok for row in rows)
    if json:
        shown = [{"name": row.name, "ok": row.ok, "found": row.found, "mend": row.mend} for row in rows]
        emit({"ok": well, "checks": shown})
    else:
        _print(rows)
    if not well:
        raise typer.Exit(WRONG)


async def _examine(target: str | None, state: Path) -> list[Row]:
    """Look at everything once, from the ground up; what depends on what is not there is left out."""
    software = f"tollkeeper {version('tollkeeper')}, Python {platform.python_version()}"
    rows = [Row("software", ok=True, found=f"{software}, {platform.system()} {platform.machine()}")]
    try:
        chosen = settings()
        entrances(chosen.listen, chosen.auth, tls=server_tls(chosen) is not None)
        client_tls(chosen)
    except SettingsError as error:
        mend = "correct the variable, or unset it"
        return rows + [Row("settings", ok=False, found=problem, mend=mend) for problem in error.problems]
    ours = {name.removeprefix(PREFIX): value for name, value in os.environ.items() if name.startswith(PREFIX)}
    given = [f"{PREFIX}{name}={shown(name.lower(), value)}" for name, value in ours.items()]
    rows.append(Row("settings", ok=True, found="  ".join(sorted(given)) or "none set"))
    try:
        running = running_dev(state)
    except PreconditionError as error:
        rows.append(Row("state folder", ok=False, found=str(error), mend="see who owns it, or give another --state"))
        running = None
    of_stores, of_gateway = await asyncio.gather(_stores(chosen, running or {}), _gateway(target, state))
    of_journals = journal_row(chosen, state if running else None)
    return [*rows, *of_stores, of_journals, of_gateway]


async def _stores(chosen: Settings, running: Mapping[str, str]) -> list[Row]:
    """Look at both stores, and then at what is only known from both: whether the counters may be believed."""
    from gateway.counters import examine

    redis = _place("redis", chosen.redis_url, running.get("redis_url"), lambda: locate_redis(chosen))
    postgres = _place("postgres", chosen.postgres_url, running.get("postgres_url"), lambda: locate_postgres(chosen))
    (rows, server), (more, content) = await asyncio.gather(_redis(redis), _postgres(postgres))
    rows += more
    if content is None or server is None or not isinstance(redis, External):
        return rows
    try:
        buckets = await examine.buckets(redis.url, content.watermarks)
    except (StoreCorruptError, StoreUnavailableError) as error:
        return [*rows, Row("counters", ok=False, found=str(error), mend=diagnosis.MEND_COUNTERS)]
    return rows + diagnosis.counting_rows(content, buckets, server.replid)


def _place(name: str, given: str | None, running: str | None, locate: Callable[[], Found]) -> Found | Row:
    """Say where a store is: as the environment says, else the dev gateway's, else where one would come from."""
    if running and not given:
        return External(running, "of the dev gateway")
    try:
        return locate()
    except StoreUnavailableError as error:
        found, _, ways_out = str(error).partition("ways out: ")
        return Row(name, ok=False, found=" ".join(found.split()), mend=ways_out)


async def _redis(place: Found | Row) -> tuple[list[Row], Server | None]:
    from gateway.counters import examine

    if not isinstance(place, External):
        return [_unstarted("redis", place)], None
    try:
        server = await examine.server(place.url)
    except StoreUnavailableError as error:
        return [_silent("redis", place, error)], None
    return diagnosis.redis_rows(server, str(place)), server


async def _postgres(place: Found | Row) -> tuple[list[Row], Content | None]:
    from gateway.records import examine

    if not isinstance(place, External):
        return [_unstarted("postgres", place)], None
    try:
        told = await examine.examine(place.url)
    except StoreUnavailableError as error:
        return [_silent("postgres", place, error)], None
    rows = diagnosis.postgres_rows(told.server, told.schema, str(place))
    return rows + (diagnosis.backlog_rows(told.content) if told.content else []), told.content


def _unstarted(name: str, place: Binary | Row) -> Row:
    return place if isinstance(place, Row) else Row(name, ok=True, found=f"{place}; tollkeeper dev would start it")


def _silent(name: str, place: External, error: StoreUnavailableError) -> Row:
    mend = f"start it, or correct TOLLKEEPER_{name.upper()}_URL; a dev gateway starts its own: tollkeeper dev"
    return Row(name, ok=False, found=f"{place}: {error}", mend=mend)


async def _gateway(target: str | None, state: Path) -> Row:
    """1. None is known, which is no fault. 2. It answers. 3. It stops. 4. Nobody answers."""
    from gateway.client import GatewayError

    try:
        address = find_target(target, state)
    except PreconditionError:
        mend = "start one with: tollkeeper dev; or say where it is: --target, TOLLKEEPER_TARGET"
        return Row("gateway", ok=True, found="none is known here", mend=mend)
    try:
        async with gateway_at(target, state, timeout_s=ANSWER_S_MAX) as gateway:
            serving = await gateway.serving()
    except GatewayError as error:
        found = f"{address}: {error}" if error.cause else f"no gateway answers at {address}"
        mend = "start it with tollkeeper dev or tollkeeper office, or correct --target or TOLLKEEPER_TARGET"
        return Row("gateway", ok=False, found=found, mend=mend)
    mend = "wait until it has stopped, and start it again"
    return Row("gateway", serving, f"{address} {'serves' if serving else 'is stopping'}", None if serving else mend)


def _print(rows: Sequence[Row]) -> None:
    """One line a finding: a cross for what is wrong, an exclamation mark for advice."""
    laid = Table.grid(padding=(0, 2, 0, 0))
    for _ in ("mark", "name", "found"):
        laid.add_column(overflow="fold")
    for row in rows:
        mark, style = ("✗", "bold red") if not row.ok else ("!", "bold yellow") if row.mend else ("✓", "bold green")
        told = Text(row.found)
        if row.mend:
            told.append(f"\n→ {row.mend}", "red" if not row.ok else "yellow")
        laid.add_row(Text(mark, style), Text(row.name), told)
    out.print(laid)
    wrong = sum(not row.ok for row in rows)
    out.print()
    out.print(f"[bold red]{wrong} wrong[/]" if wrong else "[bold green]nothing is wrong[/]")
