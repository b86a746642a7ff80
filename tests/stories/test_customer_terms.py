"""What one customer has besides its plan is given at the command line, checked against the catalog, and published."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from billing_core.errors import BillingError
from gateway.catalog_file import parse_catalog, write_catalog
from gateway.cli import commands
from gateway.counters.keys import bucket_of
from gateway.errors import InvalidRequestError, NotFoundError, PreconditionError, TollkeeperError
from gateway.records import catalogs, customers, terms
from gateway.records.database import Database
from gateway.records.grants import GrantKind
from gateway.records.terms import Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

CATALOG = """
product: kinds
currency: EUR
meters: {calls: {unit: calls, aggregation: sum}, peak: {unit: calls, aggregation: max}}
features:
  beta: {type: boolean}
  regions: {type: config}
  calls: {type: metered, meter: calls}
  extra_calls: {type: metered, meter: calls}
  peak: {type: metered, meter: peak}
  editors: {type: licence}
plans:
  basic:
    billing_interval: month
    entitlements:
      calls: {limit: 10, window: month}
      editors: {limit: per_subscription}
add_ons:
  pack: {entitlements: {calls: {limit: 5, window: month}}}
"""


@dataclass(frozen=True)
class Desk:
    """An operator's terminal, and the records behind it."""

    url: str
    database: Database

    async def run(self, *command: str) -> str:
        """Run a command; returns what it printed, raises what main would complain of."""
        environment = {"TOLLKEEPER_POSTGRES_URL": self.url, "COLUMNS": "120", "NO_COLOR": "1"}
        ran = await asyncio.to_thread(CliRunner().invoke, commands.app, command, env=environment)
        if isinstance(ran.exception, TollkeeperError | BillingError):
            assert ran.stdout == ""
            raise ran.exception
        assert ran.exit_code == 0, ran.output
        return ran.output

    async def json(self, *command: str) -> Any:
        """Run a command for a program."""
        return json.loads(await self.run(*command, "--json"))

    async def terms(self, customer: str = "acme") -> terms.CustomerTerms:
        """Read what the customer's document is made of."""
        async with self.database.transaction() as transaction:
            return await terms.read(transaction, customer)


@pytest.fixture
async def desk(postgres_url: str) -> AsyncIterator[Desk]:
    """Sell the catalog to `acme`; `umbrella` has no subscription. Nothing waits to be published."""
    database = await Database.open(postgres_url)
    catalog = parse_catalog(CATALOG)
    async with database.transaction() as transaction:
        definitions = {plan: write_catalog(catalog.narrowed_to(plan)) for plan in catalog.plans}
        await catalogs.apply(transaction, catalog.product, CATALOG, definitions, validate_only=False)
        for customer in ("acme", "umbrella"):
            await customers.add(transaction, customer, bucket_of(customer))
        await customers.subscribe(transaction, "acme", "basic")
        await transaction.execute("DELETE FROM publications")
    yield Desk(postgres_url, database)
    await database.close()


async def test_grants_are_given_listed_and_voided(desk: Desk) -> None:
    """Each has its amount, kind, priority and moments; a voided one is listed and in no document any more."""
    first = await desk.json("grant", "add", "acme", "calls", "500", "--expires", "2099-12-31")
    assert (first["amount"], first["kind"], first["priority"]) == (500, "top_up", 100)
    assert (first["expires_at"], first["voided_at"]) == ("2099-12-31T00:00:00+00:00", None)
    told = await desk.run(
        *("grant", "add", "acme", "extra_calls", "12345", "--kind", "promotional", "--priority", "0"),
        *("--effective", "2050-01-01T12:00+02:00"),
    )
    assert "12,345 extra_calls for acme" in told
    bought, given = (await desk.terms()).grants
    assert (bought.grant_id, bought.kind, bought.expires_at) == (
        *(first["id"], GrantKind.TOP_UP),
        datetime(2099, 12, 31, tzinfo=UTC),
    )
    assert (given.kind, given.priority, given.expires_at) == (GrantKind.PROMOTIONAL, 0, None)
    assert given.effective_at == datetime(2050, 1, 1, 10, tzinfo=UTC)
    assert await desk.json("grant", "void", str(first["id"])) == {"id": first["id"], "voided": True}
    assert "voided before" in await desk.run("grant", "void", str(first["id"]))
    assert [grant.grant_id for grant in (await desk.terms()).grants] == [given.grant_id]
    listed = await desk.json("grant", "list", "acme")
    assert [(one["id"], one["voided_at"] is None) for one in listed] == [(first["id"], False), (given.grant_id, True)]
    shown = await desk.run("grant", "list", "acme")
    assert "promotional" in shown
    assert "2050-01-01 10:00" in shown
    assert await desk.json("grant", "list", "umbrella") == []


async def test_overrides_are_set_replaced_and_removed(desk: Desk) -> None:
    """They are kept in the catalog's canonical notation, whole; the last one said is the one there is."""
    set_one = ("override", "set", "acme", "calls")
    made = await desk.json(*set_one, "{limit: 5000, window: month, thresholds: [80]}")
    assert made["entitlement"] == {"limit": 5000, "window": "month", "thresholds": [80]}
    await desk.run(*set_one, "{limit: unlimited, window: day}", "--expires", "2099-01-01")
    assert "overridden regions for acme" in await desk.run("override", "set", "acme", "regions", '{"eu": 1.50}')
    calls, regions = (await desk.terms()).overrides
    assert json.loads(calls.entitlement) == {"limit": "unlimited", "window": "day"}
    assert (calls.expires_at, regions.expires_at) == (datetime(2099, 1, 1, tzinfo=UTC), None)
    assert "1.50" in regions.entitlement
    assert [one["feature"] for one in await desk.json("override", "list", "acme")] == ["calls", "regions"]
    assert "unlimited" in await desk.run("override", "list", "acme")
    await desk.run("override", "remove", "acme", "calls")
    assert [one.feature for one in (await desk.terms()).overrides] == ["regions"]
    with pytest.raises(NotFoundError, match="override of calls"):
        await desk.run("override", "remove", "acme", "calls")


async def test_a_subscription_is_told_how_it_stands(desk: Desk) -> None:
    """Add-ons, licences, trial, status and time zone: each is in the next document."""
    await desk.run("addon", "set", "acme", "pack", "3")
    await desk.run("addon", "set", "acme", "pack", "2")
    await desk.run("licence", "set", "acme", "editors", "7")
    await desk.run("trial", "set", "acme", "--until", "2099-06-01")
    await desk.run("status", "set", "acme", "past_due")
    assert "Europe/Berlin" in await desk.run("customer", "timezone", "acme", "Europe/Berlin")
    held = await desk.terms()
    assert held.subscription is not None
    since = held.subscription.status_since
    assert (held.timezone, held.subscription.status, held.subscription.add_ons) == (
        *("Europe/Berlin", Status.PAST_DUE),
        {"pack": 2},
    )
    assert held.subscription.licences == {"editors": 7}
    assert held.subscription.trial_ends_at == datetime(2099, 6, 1, tzinfo=UTC)
    assert (await desk.json("status", "set", "acme", "past_due"))["since"] == since.isoformat()
    assert (await desk.json("status", "set", "acme", "active"))["since"] > since.isoformat()
    await desk.run("addon", "remove", "acme", "pack")
    ended = datetime.fromisoformat((await desk.json("trial", "set", "acme", "--end"))["trial_ends_at"])
    assert timedelta() <= datetime.now(UTC) - ended < timedelta(seconds=30)
    now = (await desk.terms()).subscription
    assert now is not None
    assert (now.add_ons, now.trial_ends_at) == ({}, ended)


CHANGES = (
    ("grant", "add", "acme", "calls", "5"),
    ("grant", "void", "1"),
    ("override", "set", "acme", "beta", "true"),
    ("override", "remove", "acme", "beta"),
    ("addon", "set", "acme", "pack"),
    ("addon", "remove", "acme", "pack"),
    ("licence", "set", "acme", "editors", "0"),
    ("trial", "set", "acme", "--end"),
    ("status", "set", "acme", "paused"),
    ("customer", "timezone", "acme", "Asia/Kolkata"),
)


async def test_each_change_is_a_new_document_that_waits_to_be_published(
    desk: Desk, postgres: asyncpg.Connection
) -> None:
    """The document's version rises by one with each command, and it is marked for publishing in the same commit."""
    for place, command in enumerate(CHANGES):
        before = (await desk.terms()).document_version
        await desk.run(*command)
        assert (await desk.terms()).document_version == before + 1, command
        waiting = await postgres.fetch("SELECT customer FROM publications")
        assert [row["customer"] for row in waiting] == ["acme"] * (place + 1), command


ADD, SET = ("grant", "add", "acme"), ("override", "set", "acme")


@pytest.mark.parametrize(
    ("command", "error", "says"),
    [
        ((*ADD, "call", "5"), NotFoundError, "feature call of kinds; did you mean calls?"),
        ((*ADD, "zzz", "5"), NotFoundError, "there are beta, calls, editors, extra_calls, peak, regions"),
        ((*ADD, "beta", "5"), InvalidRequestError, "beta is a boolean feature; a grant is of a metered feature"),
        ((*ADD, "calls", "0"), InvalidRequestError, "amount: 0 is out of range; expected 1 to 9007199254740991"),
        ((*ADD, "calls", "9007199254740992"), InvalidRequestError, "amount"),
        ((*ADD, "calls", "5", "--priority", "256"), InvalidRequestError, "priority: 256 is out of range"),
        ((*ADD, "calls", "5", "--expires", "2020-01-01"), InvalidRequestError, "2020-01-01T00:00:00+00:00 is over"),
        ((*ADD, "calls", "5", "--expires", "soon"), InvalidRequestError, "--expires: 'soon' is no moment"),
        ((*ADD, "calls", "5", "--expires", "9999-12-31"), InvalidRequestError, "is no moment"),
        (
            (*ADD, "calls", "5", "--effective", "2098-01-01", "--expires", "2097-01-01"),
            InvalidRequestError,
            "not after",
        ),
        (("grant", "add", "nobody", "calls", "5"), NotFoundError, "customer nobody"),
        (("grant", "add", "umbrella", "calls", "5"), PreconditionError, "umbrella has no subscription"),
        (("grant", "list", "nobody"), NotFoundError, "customer nobody"),
        (("grant", "void", "999"), NotFoundError, "grant 999"),
        ((*SET, "calls", "true"), BillingError, "a mapping"),
        ((*SET, "calls", "{limit: 5}"), BillingError, "window"),
        ((*SET, "calls", "{limit: -5, window: month}"), BillingError, "limit"),
        ((*SET, "calls", "{limit: 5, window: month"), BillingError, "expected YAML or JSON"),
        ((*SET, "peak", "{limit: 5, window: month}"), BillingError, "counters only add"),
        ((*SET, "regions", "null"), BillingError, ""),
        ((*SET, "none", "true"), NotFoundError, "feature none"),
        (("override", "set", "umbrella", "beta", "true"), PreconditionError, "no subscription"),
        (("addon", "set", "acme", "packs"), NotFoundError, "add-on packs beside plan basic; did you mean pack?"),
        (("addon", "set", "acme", "pack", "0"), InvalidRequestError, "quantity: 0"),
        (("addon", "remove", "acme", "pack"), NotFoundError, "add-on pack"),
        (("licence", "set", "acme", "calls", "5"), InvalidRequestError, "a licence is of a licence feature"),
        (("trial", "set", "acme"), InvalidRequestError, "neither was given"),
        (("trial", "set", "acme", "--end", "--until", "2099-01-01"), InvalidRequestError, "both were given"),
        (("trial", "set", "acme", "--until", "2020-01-01"), InvalidRequestError, "is over"),
        (("status", "set", "umbrella", "paused"), PreconditionError, "no subscription"),
        (("customer", "timezone", "acme", "Europe/Belrin"), InvalidRequestError, "did you mean Europe/Berlin?"),
        (("customer", "timezone", "acme", "../etc/passwd"), InvalidRequestError, "is no time zone"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
async def test_what_cannot_be_is_refused_and_changes_nothing(
    desk: Desk, postgres: asyncpg.Connection, command: tuple[str, ...], error: type[Exception], says: str
) -> None:
    """Each says what was wrong and what was expected; no document changes, nothing waits."""
    before = await postgres.fetch("TABLE customers")
    with pytest.raises(error) as refused:
        await desk.run(*command)
    assert says in str(refused.value)
    assert await postgres.fetch("TABLE customers") == before
    for table in ("grants", "overrides", "subscription_add_ons", "licence_counts", "publications"):
        assert await postgres.fetchval(f"SELECT count(*) FROM {table}") == 0  # noqa: S608 - names from above


async def test_many_customers_are_one_query(desk: Desk, postgres: asyncpg.Connection) -> None:
    """Documents of a batch come in one reading, each with its own, and what is long over is in none."""
    await desk.run("grant", "add", "acme", "calls", "5")
    await desk.run("grant", "add", "acme", "calls", "6", "--expires", "2099-01-01")
    await desk.run("override", "set", "acme", "beta", "true", "--expires", "2099-01-01")
    await postgres.execute(
        "UPDATE grants SET effective_at = now() - interval '9 d', expires_at = now() - interval '2 d' WHERE amount = 6"
    )
    await postgres.execute("UPDATE overrides SET expires_at = now() - interval '2 d'")
    async with desk.database.transaction() as transaction:
        read = {one.customer: one for one in await terms.documents(transaction, ["acme", "umbrella", "nobody"])}
    assert read.keys() == {"acme", "umbrella"}
    assert [grant.amount for grant in read["acme"].grants] == [5]
    assert read["acme"].overrides == ()
    assert (read["umbrella"].subscription, read["umbrella"].grants, read["umbrella"].timezone) == (None, (), "UTC")
