"""The gate for asyncio: one connection, typed answers, deadlines on by default."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar

from grpc import aio

from gateway.client import calls
from gateway.client.calls import TIMEOUT_S, Call, Way
from gateway.client.faults import DeniedError
from gateway.client.messages import Asked
from gateway.client.reservations import AsyncReservation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from types import TracebackType

    from gateway.client.reservations import Held, Settled
    from gateway.decision import Decision
    from gateway.tls import ClientTls

Answer = TypeVar("Answer")
Parameters = ParamSpec("Parameters")


class AsyncGate:
    """A connection to a gateway at `unix:/path` or `host:port` for asyncio, used with `async with`.

    `key` goes with every call; with `tls` the connection is encrypted. Every method raises GatewayError when there is
    no answer within `timeout_s`; a denial is an answer.
    """

    def __init__(
        self, target: str, *, key: str | None = None, tls: ClientTls | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._way = Way.to(target, key, timeout_s)
        self._channel = aio.insecure_channel(target) if tls is None else aio.secure_channel(target, calls.shown(tls))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    async def check(
        self,
        customer: str,
        feature: str,
        quantity: int | None = None,
        *,
        idempotency_key: str = "",
        dimensions: Mapping[str, str] | None = None,
        subject: str = "",
    ) -> Decision:
        """Ask whether a customer may use `quantity` of a feature now; when it may, it is counted.

        Args: `quantity` in the meter's base unit, 1 when not given. The same `idempotency_key` counts once.
        """
        return await self._asked(calls.check(Asked(customer, feature, quantity, idempotency_key, dimensions, subject)))

    async def peek(
        self,
        customer: str,
        feature: str,
        quantity: int | None = None,
        *,
        dimensions: Mapping[str, str] | None = None,
        subject: str = "",
    ) -> Decision:
        """Ask what a check would be answered, and count nothing."""
        return await self._asked(calls.check(Asked(customer, feature, quantity, "", dimensions, subject, peek=True)))

    async def check_all(self, claims: Iterable[Asked]) -> list[Decision]:
        """Ask for several features of one customer at once: all are counted, or none is."""
        return await self._asked(calls.check_all(claims))

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
    ) -> AsyncReservation:
        """Hold a quantity, or a slot, for as long as an `async with` block runs; `commit` in it says what was used."""
        return AsyncReservation(self, Asked(customer, feature, quantity, idempotency_key, dimensions, subject), ttl_ms)

    def requires(
        self, feature: str, *, customer: str = "customer", quantity: int | None = None
    ) -> Callable[[Callable[Parameters, Awaitable[Answer]]], Callable[Parameters, Awaitable[Answer]]]:
        """Decorate a coroutine function that a customer may call only when a check allows it.

        `customer` names the parameter that says who. Raises DeniedError when it may not.
        """

        def decorated(
            function: Callable[Parameters, Awaitable[Answer]],
        ) -> Callable[Parameters, Awaitable[Answer]]:
            customer_in = calls.argument_of(function, customer)

            @functools.wraps(function)
            async def asking(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
                who = customer_in(*args, **kwargs)
                decision = await self.check(who, feature, quantity)
                if not decision:
                    raise DeniedError(who, feature, decision)
                return await function(*args, **kwargs)

            return asking

        return decorated

    # a reservation's calls, for whoever keeps one beyond a block

    async def hold(self, asked: Asked, ttl_ms: int | None = None) -> Held:
        """Begin a reservation."""
        return await self._asked(calls.hold(asked, ttl_ms))

    async def extend(self, customer: str, reservation: str, ttl_ms: int) -> Settled:
        """Keep it for so long from now on."""
        return await self._asked(calls.extend(customer, reservation, ttl_ms))

    async def commit(self, customer: str, reservation: str, quantity: int) -> Settled:
        """Say what was really used."""
        return await self._asked(calls.commit(customer, reservation, quantity))

    async def release(self, customer: str, reservation: str) -> Settled:
        """Give back what is held."""
        return await self._asked(calls.release(customer, reservation))

    async def _asked(self, call: Call[Answer]) -> Answer:
        way = self._way
        method = self._channel.unary_unary(
            call.path,
            request_serializer=type(call.request).SerializeToString,
            response_deserializer=call.answer.FromString,
        )
        try:
            return call.read(await method(call.request, timeout=way.timeout_s, metadata=way.metadata))
        except aio.AioRpcError as error:
            raise way.fault(error) from error
