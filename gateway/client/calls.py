"""The calls that a gate makes: of each its method, what is sent, and how the answer is read."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from grpc import ssl_channel_credentials

from gateway.client.faults import fault_of
from gateway.client.messages import Asked, decision_of
from gateway.client.reservations import Held, ReservationState, Settled
from gateway.v1 import entitlement_pb2 as messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from google.protobuf.message import Message
    from grpc import ChannelCredentials, RpcError

    from gateway.client.faults import GatewayError
    from gateway.decision import Decision
    from gateway.tls import ClientTls

Answer = TypeVar("Answer")

TIMEOUT_S: Final = 1.0
"""A check that takes longer helps no request any more."""

_SERVICE: Final = "/gateway.v1.EntitlementService/"


class Call(NamedTuple, Generic[Answer]):
    """One call."""

    method: str
    request: Message
    answer: type[Message]
    read: Callable[[Any], Answer]

    @property
    def path(self) -> str:
        """Where it goes."""
        return _SERVICE + self.method


class Way(NamedTuple):
    """How a gateway is reached: where, how long its answers are waited for, and with which credential."""

    target: str
    timeout_s: float
    metadata: tuple[tuple[str, str], ...]

    @classmethod
    def to(cls, target: str, key: str | None, timeout_s: float) -> Way:
        """Reach a gateway with an API key, or without."""
        return cls(target, timeout_s, (("authorization", f"Bearer {key}"),) if key else ())

    def fault(self, error: RpcError) -> GatewayError:
        """Say what went wrong on it."""
        return fault_of(error, self.target, "is a sidecar, or `tollkeeper dev`, running there?")


def check(asked: Asked) -> Call[Decision]:
    """Ask one claim."""
    return Call("CheckEntitlement", asked.message(), messages.CheckEntitlementResponse, decision_of)


def check_all(claims: Iterable[Asked]) -> Call[list[Decision]]:
    """Ask several claims of one customer, all of them or none."""
    request = messages.BatchCheckEntitlementsRequest(claims=[asked.message() for asked in claims], atomic=True)
    return Call("BatchCheckEntitlements", request, messages.BatchCheckEntitlementsResponse, _decisions_of)


def hold(asked: Asked, ttl_ms: int | None) -> Call[Held]:
    """Begin a reservation."""
    request = messages.ReserveQuotaRequest(claim=asked.message(), ttl_ms=ttl_ms)
    return Call("ReserveQuota", request, messages.ReserveQuotaResponse, _held_of)


def extend(customer: str, reservation: str, ttl_ms: int) -> Call[Settled]:
    """Keep a reservation for so long from now on."""
    request = messages.ExtendReservationRequest(customer=customer, reservation=reservation, ttl_ms=ttl_ms)
    return Call("ExtendReservation", request, messages.ReservationResponse, _settled_of)


def commit(customer: str, reservation: str, quantity: int) -> Call[Settled]:
    """Say what was really used."""
    request = messages.CommitReservationRequest(customer=customer, reservation=reservation, quantity=quantity)
    return Call("CommitReservation", request, messages.ReservationResponse, _settled_of)


def release(customer: str, reservation: str) -> Call[Settled]:
    """Give back what is held."""
    request = messages.ReleaseReservationRequest(customer=customer, reservation=reservation)
    return Call("ReleaseReservation", request, messages.ReservationResponse, _settled_of)


def shown(tls: ClientTls) -> ChannelCredentials:
    """Write what a client trusts and shows as grpcio wants it."""
    return ssl_channel_credentials(tls.server_ca, tls.key, tls.certificate)


def argument_of(function: Callable[..., object], name: str) -> Callable[..., str]:
    """Find what a call of a function gives to one of its parameters; TypeError when it has none of that name."""
    signature = inspect.signature(function)
    if name not in signature.parameters:
        raise TypeError(f"{function.__qualname__} has no parameter {name!r} that says who the customer is")

    def found(*args: object, **kwargs: object) -> str:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return str(bound.arguments[name])

    return found


def _decisions_of(answered: messages.BatchCheckEntitlementsResponse) -> list[Decision]:
    return [decision_of(one) for one in answered.decisions]


def _held_of(answered: messages.ReserveQuotaResponse) -> Held:
    return Held(decision_of(answered.decision), answered.reservation, answered.expires_at_ms, answered.ttl_ms)


def _settled_of(answered: messages.ReservationResponse) -> Settled:
    expires_at_ms = answered.expires_at_ms if answered.HasField("expires_at_ms") else None
    return Settled(ReservationState(answered.state), answered.quantity, expires_at_ms, answered.replayed)
