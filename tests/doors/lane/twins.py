"""The same question to both doors, each for a customer of its own, and what of the answers must be equal."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from google.rpc.status_pb2 import Status
from grpc import StatusCode, aio
from grpc_health.v1.health_pb2 import HealthCheckResponse, HealthListResponse

from gateway.v1.entitlement_pb2 import BatchCheckEntitlementsResponse, CheckEntitlementResponse
from tests.doors.lane.both import BATCH, CHECK, HEALTH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from google.protobuf.message import Message

    from tests.doors.lane.both import Doors

EITHER: Final = "twin-both"
"""Stands in a request for the customer of the door that is asked: as long as both names, so that no length changes."""

TWINS: Final = ("twin-lane", "twin-grpc")
DETAILS: Final = "grpc-status-details-bin"
RESPONSES: Final[Mapping[str, type[Message]]] = {
    CHECK: CheckEntitlementResponse,
    BATCH: BatchCheckEntitlementsResponse,
    f"{HEALTH}/Check": HealthCheckResponse,
    f"{HEALTH}/List": HealthListResponse,
}
_EVENT: Final = re.compile(r"[a-z2-7]{16}-[0-9]+|[0-9a-f]{32}")
_REFERENCE: Final = re.compile(r"the log has it as [0-9a-f]{8}")


@dataclass(frozen=True)
class Answer:
    """All that a client can see of an answer, with EITHER for its customer's name."""

    code: StatusCode
    words: str
    message: Message | None
    status: Status | None
    leading: tuple[Any, ...]
    trailing: tuple[Any, ...]


class Channels:
    """A channel to each door."""

    def __init__(self, lane: aio.Channel, rpc: aio.Channel) -> None:
        self._channels = (lane, rpc)

    async def ask(self, method: str, request: bytes, **options: Any) -> tuple[Answer, Answer]:
        """Ask the lane, then grpcio's door."""
        lane, rpc = [
            await _asked(channel, method, request, twin, options)
            for channel, twin in zip(self._channels, TWINS, strict=True)
        ]
        return lane, rpc

    async def agree(self, method: str, request: bytes, **options: Any) -> Answer:
        """See that both answer alike; returns the answer."""
        lane, rpc = await self.ask(method, request, **options)
        assert lane == rpc, f"{method} {request!r} {options}\n{lane}\n{rpc}"
        return lane


@asynccontextmanager
async def channels_to(doors: Doors, *, keyed: bool = False) -> AsyncIterator[Channels]:
    """Connect to both doors, where nobody is asked or where keys are."""
    lane, rpc = (doors.keyed, doors.rpc_keyed) if keyed else (doors.tcp, doors.rpc)
    async with aio.insecure_channel(lane) as first, aio.insecure_channel(rpc) as second:
        yield Channels(first, second)


async def _asked(channel: aio.Channel, method: str, request: bytes, twin: str, options: dict[str, Any]) -> Answer:
    call: Any = channel.unary_unary(method)(
        request.replace(EITHER.encode(), twin.encode()), **{"timeout": 30, **options}
    )
    code = await call.code()
    message = _read(method, (await call).replace(twin.encode(), EITHER.encode())) if code is StatusCode.OK else None
    trailing = tuple(await call.trailing_metadata())
    told = [value for name, value in trailing if name == DETAILS]
    assert len(told) <= 1
    status = _blurred(Status.FromString(told[0].replace(twin.encode(), EITHER.encode()))) if told else None
    return Answer(
        code,
        _REFERENCE.sub("the log has it", (await call.details()).replace(twin, EITHER)),
        message,
        status,
        tuple(await call.initial_metadata()),
        tuple((name, value) for name, value in trailing if name != DETAILS),
    )


def _read(method: str, raw: bytes) -> Message:
    """Read an answer; what no field of it says, and what protobuf would have written otherwise, is a mistake.

    Two things differ between doors and are taken out: the id of an event, and how long it is to a window's end.
    """
    message = RESPONSES[method].FromString(raw)
    assert len(message.SerializeToString()) == len(raw)
    if isinstance(message, CheckEntitlementResponse):
        _blur([message])
    if isinstance(message, BatchCheckEntitlementsResponse):
        _blur(message.decisions)
    return message


def _blur(decisions: Sequence[CheckEntitlementResponse]) -> None:
    for decision in decisions:
        decision.decision_id = _EVENT.sub("EVENT", decision.decision_id)
        if decision.HasField("retry_after_ms"):
            assert 0 < decision.retry_after_ms <= 32 * 86_400_000
            decision.retry_after_ms = 1


def _blurred(status: Status) -> Status:
    status.message = _REFERENCE.sub("the log has it", status.message)
    return status
