"""How what is true in Postgres reaches every gateway: changed documents are built, replaced in Redis, announced."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import msgspec

from gateway.counters import keys
from gateway.counters.publish import begin_publishing, mark_published, publish, published_by
from gateway.counters.reconnect import stay_connected
from gateway.customer_documents import customer_document_of
from gateway.documents import CustomerDocument, customer_document, plan_document
from gateway.errors import StoreUnavailableError
from gateway.plan_documents import InForce, read_plan_document
from gateway.records import catalogs, credentials, publications, terms
from gateway.records import deployment as deployments
from gateway.records.publications import Customer, PlanVersion
from gateway.telemetry import Event, log

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from billing_core.entitlements import Feature
    from gateway.counters.connection import Address, Connection
    from gateway.documents import PlanDocument
    from gateway.records.database import Connection as Transaction
    from gateway.records.database import Database

BATCH: Final = 500
BATCH_S_MAX: Final = 0.5
"""A batch ends with the document that takes it past this: far from where a transaction is given up (30 s), and soon
enough for a key that was revoked meanwhile."""

SOON_S_MAX: Final = 0.5
"""How long whoever changed something waits for it to be published, at most."""

LOOK_EVERY_S: Final = 0.2
"""A change that another office wrote is seen this soon; our own are published at once."""

FAILED_S: Final = 1.0
"""What could not be published is tried again this soon, or when something else changes."""


class Publisher:
    """Runs behind everything that changes what customers may do."""

    def __init__(self, database: Database, address: Address) -> None:
        self._database = database
        self._address = address
        self._connection: Connection | None = None
        self._first_try = asyncio.Event()
        self._wanted = asyncio.Event()
        self._next_round = asyncio.Event()
        """Set when the round that has not begun yet has ended."""
        self._in_force: dict[int, InForce] = {}
        """Of each catalog by which something waits, what all documents need of it."""
        self._deployment = ""
        self._begun_on: Connection | None = None
        self._credentials_version: int | None = None
        self._life: asyncio.Task[None] | None = None

    # start → publish → stop

    async def start(self) -> None:
        """Begin to publish what waits, and what will; returns when the first of it is done, or Redis is away."""
        self._life = asyncio.create_task(
            stay_connected(self._address, self._serve, on_down=lambda _: self._first_try.set())
        )
        await self._first_try.wait()

    async def stop(self) -> None:
        """Stop; what waits stays written down."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)

    async def publish_soon(self) -> None:
        """Have what was just committed published, and wait a little for it: what takes longer goes on behind."""
        if self._connection is None:
            return
        self._wanted.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SOON_S_MAX):
                await self._next_round.wait()

    async def _serve(self, connection: Connection) -> None:
        self._connection = connection
        self._credentials_version = None
        try:
            while not connection.lost:
                pause_s = LOOK_EVERY_S
                try:
                    with self._round():
                        await self._complete(connection)
                        await self._publish_waiting(connection)
                except StoreUnavailableError as error:
                    if not connection.lost:  # then it is Postgres that is away, or this Redis is somebody else's
                        log.warning(Event.PUBLISH_FAILED, error=str(error))
                        pause_s = FAILED_S
                self._first_try.set()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._wanted.wait()
        finally:
            self._connection = None

    @contextlib.contextmanager
    def _round(self) -> Iterator[None]:
        """Whoever asked before it began is told when it ends, well or not."""
        ended, self._next_round = self._next_round, asyncio.Event()
        self._wanted.clear()
        try:
            yield
        finally:
            ended.set()

    async def _complete(self, connection: Connection) -> None:
        """See that Redis has every document: one that lost them, or never had them, gets all of them again.

        The mark is set only over what was begun on this connection: a loss meanwhile takes both away.
        """
        holder = await published_by(connection)
        if holder is not None and holder == self._deployment:
            return
        async with self._database.transaction() as transaction:
            ours = self._deployment = (await deployments.read_or_create(transaction)).id
        if holder not in (None, keys.PUBLISHING, ours):
            raise StoreUnavailableError(f"this Redis holds the documents of deployment {holder}, not {ours}")
        if holder is None or (holder == keys.PUBLISHING and self._begun_on is not connection):
            await begin_publishing(connection)
            self._begun_on = connection
            self._credentials_version = None
            async with self._database.transaction() as transaction:
                await publications.all_again(transaction)
        await self._publish_waiting(connection)
        async with self._database.transaction() as transaction:
            if not await publications.any_left(transaction):
                await mark_published(connection, ours)

    async def _publish_waiting(self, connection: Connection) -> None:
        """Publish every document that waits, batch by batch: what was sent is struck off with its batch, for good.

        Credentials come before each batch, so that who is revoked does not wait for a thousand plans.
        """
        await self._publish_credentials(connection)
        while await self._publish_batch(connection):
            await self._publish_credentials(connection)
        self._in_force.clear()

    async def _publish_credentials(self, connection: Connection) -> None:
        """Publish who may call, when that is not what we published last: looked up, so that no change can be missed."""
        async with self._database.transaction() as transaction:
            if await credentials.version(transaction) == self._credentials_version:
                return
            document = await credentials.document(transaction)
        await publish(connection, keys.CREDENTIALS, document.version, msgspec.json.encode(document))
        self._credentials_version = document.version

    async def _publish_batch(self, connection: Connection) -> bool:
        """Publish what has waited longest, plans before the customers that are on them; tells whether more waits.

        However long a document takes, each batch has at least one.
        """
        now_s = asyncio.get_running_loop().time
        end_s, sent = now_s() + BATCH_S_MAX, 0
        async with self._database.transaction() as transaction:
            waiting = await publications.waiting(transaction, BATCH)
            for one in waiting:
                name, document = await self._document(transaction, one.subject)
                await publish(connection, name, document.version, msgspec.json.encode(document))
                sent += 1
                if now_s() >= end_s:
                    break
            await publications.done(transaction, waiting[:sent])
        return sent > 0

    async def _document(
        self, transaction: Transaction, subject: Customer | PlanVersion
    ) -> tuple[str, CustomerDocument | PlanDocument]:
        match subject:
            case Customer(customer):
                return customer_document(customer), await self._customer(transaction, customer)
            case PlanVersion(plan, version):
                return plan_document(plan, version), await self._plan(transaction, plan, version)

    async def _customer(self, transaction: Transaction, customer: str) -> CustomerDocument:
        """Build a customer's document; the few that have overrides are read by their product's catalog in force."""
        said = await terms.read(transaction, customer)
        features: Mapping[str, Feature] = {}
        if said.overrides and said.subscription is not None:
            plan = said.subscription
            stored = await catalogs.plan_version(transaction, plan.plan, plan.plan_version)
            assert stored is not None, f"customer {customer} is on plan {plan.plan}, which does not exist"
            features = (await self._catalog(transaction, stored.in_force)).features
        return customer_document_of(said, features)

    async def _plan(self, transaction: Transaction, plan: str, version: int) -> PlanDocument:
        """Build a plan's document. Parsing is done off the loop: checks go on."""
        stored = await catalogs.plan_version(transaction, plan, version)
        assert stored is not None, f"plan {plan} version {version} is to be published and does not exist"
        in_force = await self._catalog(transaction, stored.in_force)
        return await asyncio.to_thread(read_plan_document, stored.definition, plan, version, in_force)

    async def _catalog(self, transaction: Transaction, number: int) -> InForce:
        """Read a catalog once for all that is published by it."""
        if number not in self._in_force:
            source = await catalogs.source(transaction, number)
            self._in_force[number] = await asyncio.to_thread(InForce.read, number, source)
        return self._in_force[number]
