"""The table of what the lane answers, each method a function of its call; Health is the lane's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse

from gateway.errors import NotFoundError
from gateway.lane.call import Method
from gateway.lane.entitlements import parsed

if TYPE_CHECKING:
    from gateway.lane.call import Call
    from gateway.lane.entitlements import Entitlements


class Health:
    """The unary methods of grpc.health.v1.Health."""

    def __init__(self) -> None:
        self.serving = True
        self._services: list[str] = []

    def answers_for(self, table: dict[bytes, Method]) -> None:
        """Speak for the services of a table, and for the whole."""
        self._services = ["", *dict.fromkeys(path.decode().split("/")[1] for path in table)]

    def check(self, call: Call) -> None:
        """Say how one service is."""
        service = parsed(HealthCheckRequest, call.message).service
        if service not in self._services:
            raise NotFoundError(f"service {service[:64]!r}")
        call.answer(self._status().SerializeToString())

    def list(self, call: Call) -> None:
        """Say how every service is."""
        parsed(HealthListRequest, call.message)
        statuses = {service: self._status() for service in self._services}
        call.answer(HealthListResponse(statuses=statuses).SerializeToString())

    def _status(self) -> HealthCheckResponse:
        serving = HealthCheckResponse.SERVING if self.serving else HealthCheckResponse.NOT_SERVING
        return HealthCheckResponse(status=serving)


def methods(entitlements: Entitlements, health: Health, role: Any) -> dict[bytes, Method]:
    """List every method by its path; who asks for an entitlement needs `role`."""
    punctual = {
        b"CheckEntitlement": entitlements.check,
        b"BatchCheckEntitlements": entitlements.batch_check,
        b"ReserveQuota": entitlements.reserve,
        b"ExtendReservation": entitlements.extend,
        b"CommitReservation": entitlements.commit,
        b"ReleaseReservation": entitlements.release,
        b"ListEntitlements": entitlements.list_features,
    }
    service = b"/gateway.v1.EntitlementService/"
    table = {service + name: Method(submit, role, punctual=True) for name, submit in punctual.items()} | {
        b"/grpc.health.v1.Health/Check": Method(health.check),
        b"/grpc.health.v1.Health/List": Method(health.list),
    }
    health.answers_for(table)
    return table
