"""How a caller in Python asks a gateway: typed answers, deadlines on by default.

Owns: the gates that API servers hold (`AsyncGate`, `Gate`), reservations as blocks of code, what a failed call is told
as; and `Gateway`, for whoever manages what customers may do.
Does not own: any decision, nor a retry: who asks again gives an idempotency key. Called by cli and by users.
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
