"""What an error is to grpcio: as on every door, and besides what only this door can be asked wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import grpc

from gateway import status
from gateway.catalog_file import CatalogError

if TYPE_CHECKING:
    from google.rpc.status_pb2 import Status

DETAILS: Final = "grpc-status-details-bin"
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


def status_of(error: Exception) -> tuple[grpc.StatusCode, Status]:
    """Say what went wrong, and under which code."""
    if isinstance(error, CatalogError):
        wrong = status.bad_request([(one.path, f"line {one.line}: {one.message}") for one in error.problems])
        told = status.told(status.INVALID_ARGUMENT, "CATALOG_INVALID", str(error), [wrong])
    else:
        told = status.status_of(error)
    return _CODES[told.code], told
