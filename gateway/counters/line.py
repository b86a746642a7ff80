"""Whether a bucket's counters may be believed: its line names the deployment, the epoch and this very Redis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from gateway.errors import StoreCorruptError, StoreUnavailableError

if TYPE_CHECKING:
    from gateway.counters.connection import Connection


@dataclass(frozen=True, slots=True)
class Line:
    """``<deployment>:<epoch>:<master_replid>``."""

    deployment: str
    epoch: int
    replid: str

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read what `head` holds."""
        deployment, _, rest = text.decode("ascii", "replace").partition(":")
        epoch, _, replid = rest.partition(":")
        if not (deployment and epoch.isdecimal() and replid):
            raise StoreCorruptError(f"a bucket's line reads {text!r}; expected <deployment>:<epoch>:<master_replid>")
        return cls(deployment, int(epoch), replid)

    def __str__(self) -> str:
        return f"{self.deployment}:{self.epoch}:{self.replid}"


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """Who answers on a connection: a restart changes both ids, a failover at least the second."""

    run_id: str
    replid: str


async def identify(connection: Connection) -> ServerIdentity:
    """Ask the server who it is; raises StoreUnavailableError unless it is a master that never evicts."""
    reply = await connection.call("INFO", "server", "replication", "memory")
    assert isinstance(reply, bytes | str)
    text = reply.decode() if isinstance(reply, bytes) else reply
    told = dict(row.split(":", 1) for row in text.splitlines() if ":" in row)
    if told.get("role") != "master":
        raise StoreUnavailableError(f"this Redis is a {told.get('role', 'stranger')}, not the master")
    policy = told.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise StoreUnavailableError(f"Redis's maxmemory-policy is {policy}; required: noeviction")
    return ServerIdentity(told["run_id"], told["master_replid"])
