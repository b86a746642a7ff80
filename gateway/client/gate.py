"""The gate for threads: what the one for asyncio is, with calls that wait."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar

import grpc

from gateway.client import calls
from gateway.client.calls import TIMEOUT_S, Call, Way
from gateway.client.faults import DeniedError
from gateway.client.messages import Asked
from gateway.client.reservations import Reservation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from gateway.client.reservations import Held, Settled
    from gateway.decision import Decision
    from gateway.tls import ClientTls

Answer = TypeVar("Answer")
Parameters = ParamSpec("Parameters")


class Gate:
    """A connection to a gateway for threads, used with `with`; otherwise as AsyncGate is."""

    def __init__(
        self, target: str, *, key: str | None = None, tls: ClientTls | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._way = Way.to(target, key, timeout_s)
        self._channel = grpc.insecure_channel(target) if tls is None else grpc.secure_channel(target, calls.shown(tls))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def check(
        self,
        customer: str,
        feature: str,
        quantity: int | None = None,
        *,
        idempotency_key: str = "",
        dimensions: Mapping[str, str] | None = None,
        subject: str = "",
    ) -> Decision:
        """Ask whether a customer may use `quantity` of a feature now; when it may, it is counted."""
        return self._asked(calls.check(Asked(customer, feature, quantity, idempotency_key, dimensions, subject)))

    def peek(
        self,
        customer: str,
        feature: str,
        quantity: int | None = None,
        *,
        dimensions: Mapping[str, str] | None = None,
        subject: str = "",
    ) -> Decision:
        """Ask what a check would be answered, and count nothing."""
        return self._asked(calls.check(Asked(customer, feature, quantity, "", dimensions, subject, peek=True)))

    def check_all(self, claims: Iterable[Asked]) -> list[Decision]:
        """Ask for several features of one customer at once: all are counted, or none is."""
        return self._asked(calls.check_all(claims))

    def reserve(
        self,
        customer: str,
        feature: str,
        quantity: int | None = None,
        *,
        ttl_ms: int | None = None,
        idempotency_key: str = "",
        dimensions: Mapping[str, str] | None = None,
        subject: str = "",
    ) -> Reservation:
        """Hold a quantity, or a slot, for as long as a `with` block runs; `commit` in it says what was used."""
        return Reservation(self, Asked(customer, feature, quantity, idempotency_key, dimensions, subject), ttl_ms)

    def requires(
        self, feature: str, *, customer: str = "customer", quantity: int | None = None
    ) -> Callable[[Callable[Parameters, Answer]], Callable[Parameters, Answer]]:
        """Decorate a function that a customer may call only when a check allows it; raises DeniedError else."""

        def decorated(function: Callable[Parameters, Answer]) -> Callable[Parameters, Answer]:
            customer_in = calls.argument_of(function, customer)

            @functools.wraps(function)
            def asking(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
                who = customer_in(*args, **kwargs)
                decision = self.check(who, feature, quantity)
                if not decision:
                    raise DeniedError(who, feature, decision)
                return function(*args, **kwargs)

            return asking

        return decorated

    def hold(self, asked: Asked, ttl_ms: int | None = None) -> Held:
        """Begin a reservation."""
        return self._asked(calls.hold(asked, ttl_ms))

    def extend(self, customer: str, reservation: str, ttl_ms: int) -> Settled:
        """Keep it for so long from now on."""
        return self._asked(calls.extend(customer, reservation, ttl_ms))

    def commit(self, customer: str, reservation: str, quantity: int) -> Settled:
        """Say what was really used."""
        return self._asked(calls.commit(customer, reservation, quantity))

    def release(self, customer: str, reservation: str) -> Settled:
        """Give back what is held."""
        return self._asked(calls.release(customer, reservation))

    def _asked(self, call: Call[Answer]) -> Answer:
        way = self._way
        method = self._channel.unary_unary(
            call.path,
            request_serializer=type(call.request).SerializeToString,
            response_deserializer=call.answer.FromString,
        )
        try:
            return call.read(method(call.request, timeout=way.timeout_s, metadata=way.metadata))
        except grpc.RpcError as error:
            raise way.fault(error) from error
