"""Commands that run things: the dev gateway on stores of its own, the office on yours, and migrations."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import shutil
import tempfile
from dataclasses import replace
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from gateway.cli.journal import FOLDER, journal_folder
from gateway.cli.options import STATE, Json, State
from gateway.cli.reach import NOTE, running_dev, settings
from gateway.cli.show import emit, out, say
from gateway.errors import PreconditionError
from gateway.settings import Proof

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from gateway.app import Office
    from gateway.embedded import Stores

SAMPLE = files("gateway").joinpath("catalogs/neural-language-engine.yaml")
SOCKET = "gateway.sock"
SOCKET_PATH_BYTES_MAX = 100
STOP_S_MAX = 10.0
"""A worker that takes longer to stop than its doors, its counters and its documents together may, is killed."""

Listen = Annotated[
    list[str] | None,
    typer.Option("--listen", help="unix:/path or host:port; may be given more than once.", metavar="ADDRESS"),
]


def dev(context: typer.Context, state: State = STATE, listen: Listen = None) -> None:
    """Run a gateway on stores of its own, with the sample catalog, until Ctrl-C."""
    if context.invoked_subcommand is not None:
        context.obj = state
        return
    from gateway import app

    folder = state.absolute()

    async def serve() -> None:
        async with dev_gateway(folder, listen) as office:
            _say_serving(office.listen)
            where = "" if state == STATE else f" --state {shlex.quote(str(folder))}"
            asked = ("customer create acme", "subscription create acme developer", "check acme input_tokens")
            one_command = " &&\n  ".join(f"tollkeeper {command}{where}" for command in asked)
            out.print(f"try, in another terminal and this folder:\n  {one_command}", markup=False, soft_wrap=True)
            out.print("stop with Ctrl-C", style="dim")
            await app.until_told_to_stop()

    app.run(serve(), quiet=True)


def dev_reset(context: typer.Context, state: State = STATE) -> None:
    """Empty the dev gateway's state folder: every customer, counter and event in it."""
    from gateway import embedded

    folder: Path = context.obj if context.obj and state == STATE else state
    if folder.exists():
        if not all((folder / name).exists() for name in ("lock", "children")):
            raise PreconditionError(f"{folder} does not look like a dev gateway's state folder; nothing was removed")
        asyncio.run(embedded.reset(folder))  # refuses while a gateway runs on it
        for name in (NOTE, SOCKET):  # what a killed gateway left
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / FOLDER, ignore_errors=True)
    out.print(f"[bold green]emptied[/] {escape(str(folder))}", soft_wrap=True)


def office(listen: Listen = None) -> None:
    """Run every service, the flusher, the publisher and the keeper on your Redis and Postgres, until SIGTERM."""
    from gateway import app

    chosen = settings()
    if not (chosen.redis_url and chosen.postgres_url):
        raise PreconditionError(
            "an office needs your stores: set TOLLKEEPER_REDIS_URL and TOLLKEEPER_POSTGRES_URL; "
            "or run one on stores of its own with: tollkeeper dev"
        )
    redis_url, postgres_url = chosen.redis_url, chosen.postgres_url
    kept_in = journal_folder(chosen)

    async def serve() -> None:
        async with app.office(chosen, redis_url, postgres_url, listen or chosen.listen, journal=kept_in) as running:
            _say_serving(running.listen)
            await app.until_told_to_stop()

    app.run(serve())


def sidecar(
    listen: Annotated[
        list[str] | None,
        typer.Option(
            "--listen",
            help="unix:/path or host:port; may be given more than once. Else TOLLKEEPER_LANE.",
            metavar="ADDRESS",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", help="Processes; on unix sockets they are PATH.0, PATH.1, …", min=1, max=64)
    ] = 1,
) -> None:
    """Answer checks on the fast lane, with your Redis alone, until SIGTERM; run it next to each API server."""
    from gateway import app, listening, telemetry
    from gateway.workers import supervise

    chosen = settings()
    if not chosen.redis_url:
        raise PreconditionError("a sidecar needs your Redis: set TOLLKEEPER_REDIS_URL")
    redis_url, kept_in = chosen.redis_url, journal_folder(chosen)
    telemetry.configure()
    places = app.checked_entrances(listen or chosen.lane, chosen)
    sockets = [listening.listen(place.address, workers) for place in places]

    async def serve(worker: int, leash: int | None) -> None:
        own = [(place, each[worker]) for place, each in zip(places, sockets, strict=True)]
        async with app.sidecar(chosen, redis_url, own, journal=kept_in):
            await app.until_told_to_stop(leash)

    names = tuple(dict.fromkeys(listening.name_of(each) for shared in sockets for each in shared))
    _say_serving(names)
    try:
        if workers == 1:
            app.run(serve(0, None))
        elif code := supervise(lambda worker, leash: app.run(serve(worker, leash)), workers, grace_s=STOP_S_MAX):
            raise typer.Exit(code)
    finally:
        listening.close(chain.from_iterable(sockets), names)


def _say_serving(addresses: tuple[str, ...]) -> None:
    out.print(f"[bold green]serving[/] on {escape(', '.join(addresses))}", soft_wrap=True)


def migrate(state: State = STATE, json: Json = False) -> None:
    """Bring the database to this version's schema: TOLLKEEPER_POSTGRES_URL, else the running dev gateway's."""
    from gateway import app

    url = settings().postgres_url or (running_dev(state) or {}).get("postgres_url")
    if not url:
        raise PreconditionError("no database is known here: set TOLLKEEPER_POSTGRES_URL; a dev gateway migrates itself")
    applied = app.run(app.migrate_database(url))
    if json:
        emit({"applied": applied})
    else:
        out.print("\n".join(f"[bold green]applied[/] {name}" for name in applied) or "nothing to do")


@contextlib.asynccontextmanager
async def dev_gateway(state: Path, listen: list[str] | None = None) -> AsyncIterator[Office]:
    """An office on embedded stores, migrated, with the sample catalog applied; `dev.json` says where it is.

    `state` is an absolute path. Who is on this machine is asked nothing.
    """
    from gateway import app, embedded

    chosen = settings()
    chosen = replace(chosen, auth=tuple({Proof.NONE, *chosen.auth}))
    async with contextlib.AsyncExitStack() as stack:
        stores = await stack.enter_async_context(embedded.stores(state, chosen, say))
        for name in await app.migrate_database(stores.postgres_url):
            say(f"applied {name}")
        folder = stack.enter_context(_socket_folder(state))
        addresses = [f"unix:{folder / SOCKET}", *(listen or ())]
        kept_in = journal_folder(chosen, state)
        office = await stack.enter_async_context(
            app.office(chosen, stores.redis_url, stores.postgres_url, addresses, journal=kept_in)
        )
        await _apply_sample(office.listen[0])
        stack.enter_context(_noted(state, office, stores))
        yield office


@contextlib.contextmanager
def _socket_folder(state: Path) -> Iterator[Path]:
    """The state folder, or a shorter one that lives as long as the gateway: the system takes no long socket paths."""
    state.mkdir(parents=True, exist_ok=True)
    if len(os.fsencode(state / SOCKET)) <= SOCKET_PATH_BYTES_MAX:
        yield state
        return
    with tempfile.TemporaryDirectory(prefix="tk-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def _noted(state: Path, office: Office, stores: Stores) -> Iterator[None]:
    """Write down where it is: whole or not at all, and for its owner only, since a URL may hold a password."""
    note = state / NOTE
    where = {"target": office.listen[0], "redis_url": stores.redis_url, "postgres_url": stores.postgres_url}
    new = state / f"{NOTE}.new"
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(where | {"pid": os.getpid()}, file)
    new.replace(note)
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


async def _apply_sample(target: str) -> None:
    from gateway.client import Gateway

    async with Gateway(target) as gateway:
        await gateway.apply_catalog(SAMPLE.read_text(encoding="utf-8"))
