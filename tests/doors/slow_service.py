"""A service that computes and sleeps as long as it is told for each claim: run as a program, to be measured.

Arguments: its address, milliseconds to compute, milliseconds to sleep.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from gateway.v1.entitlement_pb2 import CheckEntitlementRequest, CheckEntitlementResponse, Reason
from gateway.v1.entitlement_pb2_grpc import EntitlementServiceServicer, add_EntitlementServiceServicer_to_server


class Slow(EntitlementServiceServicer):  # type: ignore[misc]
    """Allows everything, one claim at a time."""

    def __init__(self, compute_s: float, sleep_s: float) -> None:
        self._compute_s = compute_s
        self._sleep_s = sleep_s

    def CheckEntitlement(self, request: CheckEntitlementRequest, context: Any) -> CheckEntitlementResponse:  # noqa: ARG002, N802
        """Answer a claim."""
        until_s = time.thread_time() + self._compute_s
        while time.thread_time() < until_s:
            pass
        time.sleep(self._sleep_s)
        return CheckEntitlementResponse(allowed=True, reason=Reason.OK)


if __name__ == "__main__":
    server = grpc.server(ThreadPoolExecutor(1))
    add_EntitlementServiceServicer_to_server(Slow(*(float(given) / 1000 for given in sys.argv[2:4])), server)
    server.add_insecure_port(sys.argv[1])
    server.start()
    server.wait_for_termination()
