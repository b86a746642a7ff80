"""How what is true in Postgres reaches every gateway: changed documents are built, replaced in Redis, announced."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import msgspec

from billing_core.entitlements import Limit, MeteredFeature, Overage, Setting, Switch
from billing_core.periods import milliseconds_of
from gateway.catalog_file import parse_catalog
from gateway.counters import keys
from gateway.counters.publish import begin_publishing, mark_published, publish, published_by
from gateway.counters.reconnect import stay_connected
from gateway.entitlements import (
    Boolean,
    Config,
    Counted,
    CustomerDocument,
    Missing,
    PlanDocument,
    customer_document,
    plan_document,
)
from gateway.errors import StoreUnavailableError
from gateway.records import catalogs, credentials, customers, publications
from gateway.records import deployment as deployments
from gateway.telemetry import Event, log

if TYPE_CHECKING:
    from billing_core.catalog import Catalog
    from billing_core.entitlements import Entitlement, Feature
    from gateway.counters.connection import Address, Connection
    from gateway.records.database import Connection as Transaction
    from gateway.records.database import Database

BATCH: Final = 500
SOON_S_MAX: Final = 0.5
"""How long whoever changed something waits for it to be published, at most."""

LOOK_EVERY_S: Final = 0.2
"""A change that another office wrote is seen this soon; our own are published at once."""


class Publisher:
    """Runs behind everything that changes what customers may do."""

    def __init__(self, database: Database, address: Address) -> None:
        self._database = database
        self._address = address
        self._connection: Connection | None = None
        self._one_at_a_time = asyncio.Lock()
        self._first_try = asyncio.Event()
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

    async def publish_waiting(self) -> int:
        """Publish every document that waits; returns how many. 0 while Redis is away: they wait on."""
        published = 0
        async with self._one_at_a_time:
            if self._connection is not None:
                await self._publish_credentials(self._connection)
            while self._connection is not None:
                count = await self._publish_batch(self._connection)
                published += count
                if count < BATCH:
                    break
        return published

    async def publish_soon(self) -> None:
        """Publish what was just committed, as far as that goes at once: what stays behind is published later."""
        with contextlib.suppress(StoreUnavailableError, TimeoutError):
            async with asyncio.timeout(SOON_S_MAX):
                await self.publish_waiting()

    async def _serve(self, connection: Connection) -> None:
        self._connection = connection
        self._credentials_version = None
        try:
            while not connection.lost:
                try:
                    await self._complete(connection)
                    await self.publish_waiting()
                except StoreUnavailableError as error:
                    if not connection.lost:  # then it is Postgres that is away, or this Redis is somebody else's
                        log.warning(Event.PUBLISH_FAILED, error=str(error))
                        await asyncio.sleep(1)
                self._first_try.set()
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            self._connection = None

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
        await self.publish_waiting()
        async with self._database.transaction() as transaction:
            if not await publications.any_left(transaction):
                await mark_published(connection, ours)

    async def _publish_credentials(self, connection: Connection) -> None:
        """Publish who may call, when that is not what we published last: looked up, so that no change can be missed."""
        async with self._database.transaction() as transaction:
            if await credentials.version(transaction) == self._credentials_version:
                return
            document = await credentials.document(transaction)
        await publish(connection, keys.CREDENTIALS, document.version, msgspec.json.encode(document))
        self._credentials_version = document.version

    async def _publish_batch(self, connection: Connection) -> int:
        """Publish what waits, plans before the customers that are on them."""
        async with self._database.transaction() as transaction:
            waiting = await publications.waiting(transaction, BATCH)
            in_force: dict[int, Catalog] = {}
            for plan, version in {(one.plan, one.version) for one in waiting if one.plan is not None}:
                assert version is not None
                content = await _plan(transaction, plan, version, in_force)
                name = plan_document(plan, version)
                await publish(connection, name, content.version, msgspec.json.encode(content))
            for customer in {one.customer for one in waiting if one.customer is not None}:
                document = await _customer(transaction, customer)
                name = customer_document(customer)
                await publish(connection, name, document.version, msgspec.json.encode(document))
            await publications.done(transaction, [one.number for one in waiting])
        return len(waiting)


async def _customer(transaction: Transaction, customer: str) -> CustomerDocument:
    row = await customers.read(transaction, customer)
    document = CustomerDocument(row.document_version, row.customer, row.root, row.bucket)
    if (subscription := row.subscription) is None:
        return document
    return msgspec.structs.replace(
        document,
        plan=subscription.plan,
        plan_version=subscription.plan_version,
        anchor_ms=milliseconds_of(subscription.anchor),
    )


async def _plan(transaction: Transaction, plan: str, version: int, in_force: dict[int, Catalog]) -> PlanDocument:
    """Build a plan's document; `in_force` remembers catalogs by version. Parsing is done off the loop: checks go on."""
    stored = await catalogs.plan_version(transaction, plan, version)
    assert stored is not None, f"plan {plan} version {version} is to be published and does not exist"
    if stored.catalog_version not in in_force:
        in_force[stored.catalog_version] = await asyncio.to_thread(parse_catalog, stored.catalog_source)
    sold = await asyncio.to_thread(parse_catalog, stored.definition)
    return document_of(sold, plan, version, in_force[stored.catalog_version], stored.catalog_version)


def document_of(sold: Catalog, plan: str, version: int, in_force: Catalog, catalog_version: int) -> PlanDocument:
    """Say of every feature of the product what this version of the plan gives, and which plans would give more.

    What the plan gives is as it was `sold`; which features there are and what other plans give is as it is `in_force`.
    """
    mine = sold.plans[plan].entitlements
    features: dict[str, Boolean | Config | Counted | Missing] = {}
    for name, feature in (dict(in_force.features) | dict(sold.features)).items():
        given = mine.get(name)
        upgrades = tuple(
            other.name
            for other in in_force.plans.values()
            if other.name != plan and gives_more(other.entitlements.get(name), given)
        )
        features[name] = _feature(feature, given, upgrades)
    return PlanDocument(catalog_version, plan, version, sold.plans[plan].billing_interval, features)


def gives_more(theirs: Entitlement | None, mine: Entitlement | None) -> bool:
    """Tell whether moving from `mine` to `theirs` would grant more of a feature.

    1. A switch that would be on. 2. Anything else that I do not have. 3. A limit: unlimited, then overage, then the
    higher ceiling; ceilings of unlike windows do not compare.
    """
    match theirs, mine:
        case Switch(on=on), None | Switch(on=False):
            return on
        case Setting() | Limit(), None:
            return True
        case Limit(ceiling=None), Limit(ceiling=ceiling):
            return ceiling is not None
        case Limit(ceiling=int(their)), Limit(ceiling=int(my)):
            more = (theirs.overage is Overage.ALLOW) - (mine.overage is Overage.ALLOW)
            return more > 0 or (more == 0 and theirs.window is mine.window and their > my)
        case _:
            return False


def _feature(
    feature: Feature, given: Entitlement | None, upgrades: tuple[str, ...]
) -> Boolean | Config | Counted | Missing:
    match given:
        case None:
            return Missing(upgrades)
        case Switch(on=on):
            return Boolean(on, upgrades)
        case Setting(json_text=text):
            return Config(msgspec.Raw(text.encode()))
        case Limit(ceiling=ceiling, window=window, overage=overage):
            meter = feature.meter if isinstance(feature, MeteredFeature) else None
            return Counted(window, meter, ceiling, overage is Overage.ALLOW, upgrades)
