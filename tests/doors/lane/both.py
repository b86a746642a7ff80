"""Both doors on one checker, a real one or a stand-in: the lane over TCP and a unix socket, and grpcio's."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway import app
from gateway.counters import keys
from gateway.counters.connection import Address
from gateway.credentials import Credentials, Peer, Role
from gateway.entrances import Entrance
from gateway.lane import methods as methods_of_lane
from gateway.lane.entitlements import Entitlements as EntitlementsOnLane
from gateway.lane.lane import Lane
from gateway.lane.server import LaneDoor
from gateway.listening import listen
from gateway.rpc import services
from gateway.rpc.afterwards import Afterwards
from gateway.rpc.entitlements import Entitlements as EntitlementsOnRpc
from gateway.rpc.server import RpcDoor
from gateway.settings import Proof, Settings
from gateway.v1.entitlement_pb2 import CheckEntitlementRequest
from tests.counters_seen import counters

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator
    from pathlib import Path

    import redis.asyncio

    from gateway.lane.connection import Connection
    from gateway.lane.limits import Limits

TOKEN = CheckEntitlementRequest(customer="acme", feature="input_tokens")
SERVICE = "gateway.v1.EntitlementService"
CHECK = f"/{SERVICE}/CheckEntitlement"
BATCH = f"/{SERVICE}/BatchCheckEntitlements"
HEALTH = "/grpc.health.v1.Health"
TCP = "127.0.0.1:0"
DEADLINE_MS = 30_000
REDIS_TIMEOUT_MS = 10_000
"""A busy machine is not a store that is away."""


NOBODY_IS_ASKED, KEYS_ARE_ASKED = frozenset((Proof.NONE,)), frozenset((Proof.KEYS,))


@dataclass(frozen=True)
class Doors:
    """A lane and where it listens; where grpcio's door of the same checker listens; and where each asks for keys."""

    lane: Lane
    door: LaneDoor
    tcp: str
    unix: str
    rpc: str
    keyed: str
    rpc_keyed: str

    def at(self, place: str) -> str:
        """Return the lane's address of one kind."""
        return {"tcp": self.tcp, "unix": self.unix}[place]

    async def over_tls(self, tls: ssl.SSLContext) -> str:
        """Let the lane listen in one more place."""
        return await self.door.serve(listen(TCP)[0], lambda _: Peer(NOBODY_IS_ASKED), tls=tls)

    @property
    def connection(self) -> Connection:
        """The one connection that there is."""
        (only,) = self.lane.connections
        return only

    async def settled(self) -> None:
        """Wait until the lane knows that nobody waits for an answer any more."""
        async with asyncio.timeout(5):
            while any(connection._session.streams.calls for connection in self.lane.connections):
                await asyncio.sleep(0.005)


@asynccontextmanager
async def doors_on(
    checker: Any, folder: Path, limits: Limits | None = None, credentials: Credentials | None = None
) -> AsyncIterator[Doors]:
    """Open both doors to one checker; `folder` is short enough for a socket."""
    known = credentials or Credentials()
    table = methods_of_lane.methods(EntitlementsOnLane(checker), methods_of_lane.Health(), Role.CHECK)
    lane = Lane(asyncio.get_running_loop(), table, known, deadline_ms=DEADLINE_MS, limits=limits)
    door = LaneDoor(lane, grace_s=1)
    plane: Any = None
    planes = services.Plane(plane, plane), Afterwards(plane, plane)
    offered = {SERVICE: services.methods(EntitlementsOnRpc(checker), *planes)[SERVICE]}
    rpc = RpcDoor(offered, known, deadline_ms=DEADLINE_MS)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(door.stop)
        places = (f"unix:{folder / 'lane.sock'}", NOBODY_IS_ASKED), (TCP, NOBODY_IS_ASKED), (TCP, KEYS_ARE_ASKED)
        unix, tcp, keyed = [
            await door.serve(listen(address)[0], lambda _, proofs=proofs: Peer(proofs)) for address, proofs in places
        ]
        stack.push_async_callback(rpc.stop)
        open_rpc, keyed_rpc = await rpc.start([Entrance(TCP, NOBODY_IS_ASKED), Entrance(TCP, KEYS_ARE_ASKED)])
        yield Doors(lane, door, tcp, unix, open_rpc, keyed, keyed_rpc)


@asynccontextmanager
async def both_doors(redis_url: str, folder: Path, limits: Limits | None = None) -> AsyncIterator[Doors]:
    """Open both doors to one real checker, put together as a gateway puts it together."""
    settings = Settings(redis_timeout_ms=REDIS_TIMEOUT_MS, check_deadline_ms=DEADLINE_MS)
    async with (
        app._deciding(settings, Address.parse(redis_url), None) as deciding,
        doors_on(deciding.checker, folder, limits, deciding.credentials) as doors,
    ):
        yield doors


@dataclass(frozen=True)
class Counted:
    """What Redis has counted of a customer's input tokens: the counter, and the ids of the events in order."""

    used: int
    ids: list[str]


async def counted(redis: redis.asyncio.Redis, customer: str = "acme") -> Counted:
    """Look into Redis; every event that these tests cause is of one token, and none is written twice."""
    bucket = keys.bucket_of(customer)
    used, _ = (await counters(redis, bucket, customer)).get("input_tokens:month", (0, 0))
    ids = [fields["id"] for _, fields in await redis.xrange(keys.usage(bucket)) if f'"{customer}"' in fields["claim"]]
    assert len(ids) == len(set(ids))
    return Counted(used, sorted(ids))
