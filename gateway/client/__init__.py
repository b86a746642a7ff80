"""How a caller in Python asks a gateway.

`AsyncGate` and `Gate` are for API servers: may this customer use this feature now? `Gateway` is for whoever manages
what customers may do; it speaks the messages of the public API. What is decided is decided by the gateway.
"""

from gateway.client.async_gate import AsyncGate
from gateway.client.faults import DeniedError, GatewayError
from gateway.client.gate import Gate
from gateway.client.gateway import TIMEOUT_S, Gateway
from gateway.client.messages import Asked
from gateway.client.reservations import AsyncReservation, Reservation, ReservationState, Settled
from gateway.decision import Decision, LimitKind, LimitState, Reason
from gateway.tls import ClientTls

__all__ = [
    "TIMEOUT_S",
    "Asked",
    "AsyncGate",
    "AsyncReservation",
    "ClientTls",
    "Decision",
    "DeniedError",
    "Gate",
    "Gateway",
    "GatewayError",
    "LimitKind",
    "LimitState",
    "Reason",
    "Reservation",
    "ReservationState",
    "Settled",
]
