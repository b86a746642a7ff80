"""What was found, whether it is right, and how to mend it: every fact about a store becomes such a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

from gateway.embedded.locate import FLOORS

if TYPE_CHECKING:
    from gateway.counters.examine import Buckets
    from gateway.counters.examine import Server as RedisServer
    from gateway.records.examine import Content, Schema
    from gateway.records.examine import Server as PostgresServer

UNWRITTEN_S_MAX: Final = 5.0
"""A running office writes down what was counted within a second."""
MEMORY_PERCENT_MAX: Final = 70
"""The rest is for the stream, which grows while Postgres is away."""
MEND_COUNTERS: Final = (
    "point TOLLKEEPER_REDIS_URL at the Redis that holds them, or restore its append-only file; "
    "a dev gateway may start over with: tollkeeper dev reset"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One finding; `mend` of a row that is right is advice."""

    name: str
    ok: bool
    found: str
    mend: str | None = None


def judged(name: str, found: str, *, wrong: bool, mend: str) -> Row:
    """Make a row that says how to mend it only where it is wrong."""
    return Row(name, not wrong, found, mend if wrong else None)


def redis_rows(server: RedisServer, where: str) -> list[Row]:
    """Say whether a Redis keeps what it is told."""
    return [
        _version("redis", server.name, server.version, where),
        judged(
            "redis role",
            server.role,
            wrong=server.role != "master",
            mend="point TOLLKEEPER_REDIS_URL at the master: a replica counts nothing",
        ),
        judged(
            "redis eviction",
            f"maxmemory-policy {server.maxmemory_policy}",
            wrong=server.maxmemory_policy != "noeviction",
            mend="set maxmemory-policy noeviction in its configuration, at once with: CONFIG SET maxmemory-policy "
            "noeviction; with any other, a counter can vanish and a limit be admitted twice",
        ),
        _redis_durability(server),
        _memory(server),
    ]


def postgres_rows(server: PostgresServer, schema: Schema, where: str) -> list[Row]:
    """Say whether a Postgres keeps what it is told, and whether it has our tables."""
    return [
        _version("postgres", "PostgreSQL", server.version, where),
        judged(
            "postgres role",
            "standby, read-only" if server.standby else "primary",
            wrong=server.standby,
            mend="point TOLLKEEPER_POSTGRES_URL at the primary",
        ),
        _postgres_durability(server),
        _schema(schema),
    ]


def backlog_rows(content: Content) -> list[Row]:
    """Say what waits in Postgres for somebody."""
    waiting = content.publications
    return [
        Row(
            "publications",
            ok=True,
            found=f"{waiting} waiting",
            mend="a running office publishes within a second; if they stay, its log says why (publish.failed)"
            if waiting
            else None,
        ),
        judged(
            "quarantine",
            f"{content.quarantined} unreadable usage events",
            wrong=content.quarantined > 0,
            mend="look at table quarantine: each row says why it could not be read; what it holds is not billed",
        ),
    ]


def counting_rows(content: Content, buckets: Buckets, replid: str) -> list[Row]:
    """Say whether metered claims are admitted, and how far behind the writing is."""
    age_s = buckets.oldest_unwritten_s
    return [
        _counters(content, buckets, replid),
        judged(
            "flush",
            "everything counted is written down" if age_s is None else f"the oldest unwritten use is {age_s:.1f} s old",
            wrong=age_s is not None and age_s > UNWRITTEN_S_MAX,
            mend="start an office with: tollkeeper office; if one runs, its log says why (flush.failed)",
        ),
    ]


def _version(name: str, product: str, version: str, where: str) -> Row:
    floor = FLOORS[product]
    least = ".".join(map(str, floor))
    numbers = tuple(int(part) for part in version.split(".") if part.isdecimal())
    return judged(
        name, f"{product} {version} at {where}", wrong=numbers < floor, mend=f"upgrade it to {least} or newer"
    )


def _redis_durability(server: RedisServer) -> Row:
    """1. No file at all. 2. A file that reaches the disk when it likes. 3. What we cannot know. 4. As it should be."""
    if not server.appendonly:
        found, advice = (
            "appendonly no",
            ("set appendonly yes and appendfsync always: a restart loses every counter, and metered claims are denied"),
        )
    elif server.appendfsync in ("everysec", "no"):
        found, advice = (
            f"appendonly yes, appendfsync {server.appendfsync}",
            ("set appendfsync always: a crash of its machine loses what was counted last"),
        )
    else:
        found, advice = f"appendonly yes, appendfsync {server.appendfsync or 'not told'}", None
    return Row("redis durability", ok=True, found=found, mend=advice)


def _memory(server: RedisServer) -> Row:
    used, most = server.memory_bytes, server.memory_bytes_max
    percent = used * 100 // most if most else 0
    return judged(
        "redis memory",
        f"{_mebibytes(used)} of {_mebibytes(most)} used, {percent} %"
        if most
        else f"{_mebibytes(used)} used, no ceiling",
        wrong=percent >= MEMORY_PERCENT_MAX,
        mend="raise maxmemory, or see below why usage is not written down: a full Redis counts nothing",
    )


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"


def _postgres_durability(server: PostgresServer) -> Row:
    """1. A crash can corrupt it. 2. A crash can lose what others wrote, not what we did. 3. As it should be."""
    name, found = "postgres durability", f"fsync {server.fsync}, synchronous_commit {server.synchronous_commit}"
    if server.fsync != "on":
        return Row(name, ok=False, found=found, mend="set fsync = on: without it, a crash can lose what was used")
    if server.synchronous_commit == "off":
        advice = "set synchronous_commit = on; Tollkeeper's own transactions turn it on for themselves"
        return Row(name, ok=True, found=found, mend=advice)
    return Row(name, ok=True, found=found)


def _schema(schema: Schema) -> Row:
    """1. A newer software's. 2. Changed after the fact. 3. Not there yet. 4. As it should be."""
    name, found = "postgres schema", f"{len(schema.applied)} of {len(schema.applied) + len(schema.pending)} migrations"
    if schema.unknown:
        numbers = ", ".join(map(str, schema.unknown))
        return Row(name, ok=False, found=f"migration {numbers} is not known here", mend="upgrade tollkeeper")
    if schema.changed:
        changed = ", ".join(schema.changed)
        return Row(name, ok=False, found=f"{changed} was changed after it had been applied", mend="restore the file")
    if schema.pending:
        pending = ", ".join(schema.pending)
        return Row(name, ok=False, found=f"{found}; {pending} is missing", mend="run: tollkeeper migrate")
    return Row(name, ok=True, found=found)


def _counters(content: Content, buckets: Buckets, replid: str) -> Row:
    from gateway.keeper import Closed, Holds, Open, judge

    name, deployment = "counters", content.deployment
    if deployment is None:
        return Row(name, ok=True, found="no office ever ran here", mend="start one with: tollkeeper office")
    match judge(deployment, replid, buckets.lines, buckets.last_ids, buckets.watermarks):
        case Holds():
            found = f"{len(buckets.lines)} buckets in epoch {deployment.epoch}: metered claims are admitted"
            return Row(name, ok=True, found=found)
        case Open(epoch):
            found = f"epoch {epoch} is not open yet: metered claims are denied"
            return Row(name, ok=True, found=found, mend="a running office opens it at once; start one")
        case Closed(why):
            found = f"{why}; metered claims are denied with STORE_UNAVAILABLE"
            return Row(name, ok=False, found=found, mend=MEND_COUNTERS)
        case never:
            assert_never(never)
