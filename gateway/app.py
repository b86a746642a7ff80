"""The composition root: builds everything in the order in which it starts, and stops it in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import uvloop

from gateway import telemetry
from gateway.checker import Checker
from gateway.counters import keys
from gateway.counters.connection import Address
from gateway.counters.counting import Counters
from gateway.counters.documents import Documents
from gateway.counters.hearing import Hearing
from gateway.counters.standing import draw_gateway
from gateway.credentials import Credentials, Peer, Role
from gateway.entitlements import Entitlements
from gateway.entrances import entrances
from gateway.errors import PreconditionError
from gateway.flusher import Flusher
from gateway.ingesting import Ingesting
from gateway.journal import open_in
from gateway.keeper import Keeper
from gateway.keyring import Keyring
from gateway.lane import methods as methods_of_lane
from gateway.lane.entitlements import Entitlements as EntitlementsOnLane
from gateway.lane.lane import Lane
from gateway.lane.server import LaneDoor, tls_context
from gateway.listening import name_of
from gateway.outbox import Outbox
from gateway.publisher import Publisher
from gateway.records.database import Database
from gateway.records.migrate import migrate, pending
from gateway.rpc import services
from gateway.rpc.afterwards import Afterwards
from gateway.rpc.entitlements import Entitlements as EntitlementsOnRpc
from gateway.rpc.server import RpcDoor
from gateway.settings import Proof
from gateway.sweeper import Sweeper
from gateway.tls import server_tls
from gateway.turn import Turn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Sequence
    from pathlib import Path
    from socket import socket
    from ssl import SSLContext

    from gateway.entrances import Entrance
    from gateway.settings import Settings

Result = TypeVar("Result")

GARBAGE_AFTER: Final = (500_000, 50, 100)
"""A check leaves no cycles: looking for some every 700 objects took a third of its time."""


@dataclass(frozen=True, slots=True)
class Office:
    """A running office: where it listens, and whether the counters may be believed."""

    listen: tuple[str, ...]
    keeper: Keeper


def run(main: Coroutine[None, None, Result], *, quiet: bool = False) -> Result:
    """Run a process's main coroutine on uvloop; `quiet` logs only what is wrong."""
    telemetry.configure(quiet=quiet)
    gc.set_threshold(*GARBAGE_AFTER)

    async def stoppable() -> Result:
        """Let SIGTERM unwind what was started, as Ctrl-C does."""
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await main

    try:
        return uvloop.run(stoppable())
    except asyncio.CancelledError:
        raise SystemExit(128 + signal.SIGTERM) from None


@contextlib.asynccontextmanager
async def office(
    settings: Settings, redis_url: str, postgres_url: str, listen: Sequence[str], *, journal: Path | None = None
) -> AsyncIterator[Office]:
    """Everything that one process needs to decide, to write down and to publish; `journal` is the folder of its own.

    Raises SettingsError when it may not listen there, PreconditionError when the database lacks a migration,
    StoreUnavailableError when Postgres does not answer or the disk does not take a journal.
    """
    address = Address.parse(redis_url)
    tls = server_tls(settings)
    places = checked_entrances(listen, settings)
    async with contextlib.AsyncExitStack() as stack:
        database = await Database.open(postgres_url)
        stack.push_async_callback(database.close)
        if missing := await pending(database):
            raise PreconditionError(f"the database lacks {', '.join(missing)}; run: tollkeeper migrate")

        keeper = Keeper(database, address)
        stack.push_async_callback(keeper.stop)
        await keeper.start()

        deciding = await stack.enter_async_context(_deciding(settings, address, journal))

        publisher = Publisher(database, address)
        stack.push_async_callback(publisher.stop)
        await publisher.start()

        flusher = Flusher(
            database,
            address,
            lambda: keeper.line,
            delay_ms_max=settings.flush_delay_ms_max,
            batch_max=settings.flush_batch_max,
        )
        stack.push_async_callback(flusher.stop)
        await flusher.start()

        outbox = Outbox(database, address, lambda: keeper.line)
        stack.push_async_callback(outbox.stop)
        await outbox.start()

        sweeper = Sweeper(address)
        stack.push_async_callback(sweeper.stop)
        await sweeper.start()

        methods = services.methods(
            EntitlementsOnRpc(deciding.checker),
            services.Plane(database, publisher),
            Afterwards(database, Ingesting(database)),
        )
        door = RpcDoor(methods, deciding.credentials, deadline_ms=settings.check_deadline_ms, tls=tls)
        stack.push_async_callback(door.stop)
        bound = await door.start(places)
        telemetry.log.info(telemetry.Event.OFFICE_STARTED, listen=bound)
        yield Office(tuple(bound), keeper)
    telemetry.log.info(telemetry.Event.OFFICE_STOPPED)


@contextlib.asynccontextmanager
async def sidecar(
    settings: Settings, redis_url: str, places: Sequence[tuple[Entrance, socket]], *, journal: Path | None = None
) -> AsyncIterator[None]:
    """Decide on the lane, with Redis alone: whether there is an office or a Postgres, it never asks.

    `places` are entrances with the sockets that listen there. Raises as an office does.
    """
    async with contextlib.AsyncExitStack() as stack:
        deciding = await stack.enter_async_context(_deciding(settings, Address.parse(redis_url), journal))
        health = methods_of_lane.Health()
        table = methods_of_lane.methods(EntitlementsOnLane(deciding.checker), health, Role.CHECK)
        lane = Lane(
            asyncio.get_running_loop(),
            table,
            deciding.credentials,
            deadline_ms=settings.check_deadline_ms,
            turn=deciding.turn,
        )
        door = LaneDoor(lane)
        stack.push_async_callback(door.stop)
        for place, listening in places:
            await door.serve(listening, partial(_peer, place.proofs), tls=_lane_tls(place, settings))
        bound = [name_of(listening) for _, listening in places]
        telemetry.log.info(telemetry.Event.SIDECAR_STARTED, listen=bound)
        yield
        health.serving = False
    telemetry.log.info(telemetry.Event.SIDECAR_STOPPED)


@dataclass(frozen=True, slots=True)
class _Deciding:
    checker: Checker
    credentials: Credentials
    turn: Turn


@contextlib.asynccontextmanager
async def _deciding(settings: Settings, address: Address, journal: Path | None) -> AsyncIterator[_Deciding]:
    """What every gateway has, whatever its doors: counters, documents, credentials, and a checker that uses them."""
    async with contextlib.AsyncExitStack() as stack:
        kept = None
        if journal is not None:
            kept = open_in(journal, bytes_max=settings.journal_bytes_max, gateway=draw_gateway())
            stack.callback(kept.close)

        turn = Turn(asyncio.get_running_loop())
        counters = Counters(address, timeout_ms=settings.redis_timeout_ms, journal=kept, turn=turn)
        stack.push_async_callback(counters.stop)
        await counters.start()

        entitlements = Entitlements(
            fresh_for_s=settings.document_fresh_for_s, usable_for_s=settings.document_usable_for_s
        )
        credentials = Credentials()
        keyring = _keyring(credentials, settings)
        documents = _documents(address, entitlements, counters, keyring, settings)
        stack.push_async_callback(documents.stop)
        await documents.start()

        stack.callback(keyring.stop)
        await keyring.start(documents)

        ttl_ms = settings.idempotency_ttl_s * 1000
        checker = Checker(entitlements, documents, counters, idempotency_ttl_ms=ttl_ms)
        yield _Deciding(checker, credentials, turn)


def checked_entrances(listen: Sequence[str], settings: Settings) -> list[Entrance]:
    """Say of each address what is asked there, and warn of keys that cross a network in clear. Raises SettingsError."""
    places = entrances(listen, settings.auth, tls=settings.tls_certificate is not None)
    if clear := [place.address for place in places if place.in_clear]:
        telemetry.log.warning(telemetry.Event.KEYS_IN_CLEAR, listen=clear)
    return places


def _lane_tls(place: Entrance, settings: Settings) -> SSLContext | None:
    if not place.tls:
        return None
    server_tls(settings)  # says of each file what is wrong with it
    assert settings.tls_certificate is not None
    assert settings.tls_key is not None
    callers = settings.tls_client_ca if Proof.MTLS in place.proofs else None
    return tls_context(settings.tls_certificate, settings.tls_key, callers=callers)


def _peer(proofs: frozenset[Proof], transport: asyncio.Transport) -> Peer:
    """Say how a connection came: the names are those of its certificate, which TLS has verified."""
    certificate = transport.get_extra_info("peercert") or {}
    names = (name for kind, name in certificate.get("subjectAltName", ()) if kind in {"URI", "DNS"})
    return Peer(proofs, tuple(names))


def _keyring(credentials: Credentials, settings: Settings) -> Keyring:
    """They are documents like any other, and believed as long."""
    fresh_for_s, usable_for_s = settings.document_fresh_for_s, settings.document_usable_for_s
    return Keyring(credentials, fresh_for_s=fresh_for_s, usable_for_s=usable_for_s)


def _documents(
    address: Address, entitlements: Entitlements, counters: Counters, keyring: Keyring, settings: Settings
) -> Documents:
    time = asyncio.get_running_loop().time

    def changed(name: str) -> None:
        if name == keys.LINE_CHANGED:
            counters.check_lines()
        elif name == keys.CREDENTIALS:
            keyring.read_again()
        else:
            entitlements.forget(name)

    def missed() -> None:
        counters.check_lines()
        entitlements.doubt(time())
        keyring.read_again()

    hearing = Hearing(on_change=changed, on_missed=missed, on_confirmed=entitlements.confirm)
    return Documents(address, hearing, timeout_ms=settings.redis_timeout_ms)


async def migrate_database(postgres_url: str) -> list[str]:
    """Bring a database to this version's schema; returns the names of what was applied."""
    database = await Database.open(postgres_url)
    try:
        return await migrate(database)
    finally:
        await database.close()


async def until_told_to_stop(leash: int | None = None) -> None:
    """Wait for Ctrl-C or SIGTERM; from then on neither interrupts the stopping, which is bounded in time.

    A `leash` that becomes readable says that the process is gone that would have told.
    """
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    if leash is not None:
        loop.add_reader(leash, told.set)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    await told.wait()
    if leash is not None:
        loop.remove_reader(leash)
