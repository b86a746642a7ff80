"""The one vocabulary of log events; none is written per check."""

from __future__ import annotations

import logging
import math
import sys
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


class Event(StrEnum):
    """What can happen behind a caller's back; the fields that come with each stand beside it."""

    OFFICE_STARTED = "office.started"  # listen: addresses
    OFFICE_STOPPED = "office.stopped"
    SIDECAR_STARTED = "sidecar.started"  # listen: addresses
    SIDECAR_STOPPED = "sidecar.stopped"
    KEYS_IN_CLEAR = "keys.in_clear"  # listen: addresses on which keys cross a network without TLS of ours
    REDIS_LOST = "redis.lost"  # error
    KEEPER_BLIND = "keeper.blind"  # error: a store did not let it look
    COUNTING_REFUSED = "counting.refused"  # error: what Redis answered to a claim
    EPOCH_OPENED = "epoch.opened"  # epoch
    EPOCH_HOLDS = "epoch.holds"  # epoch
    EPOCH_CLOSED = "epoch.closed"  # why: no metered claim is admitted until it is mended
    ENTRY_QUARANTINED = "entry.quarantined"  # bucket, stream_id, why
    FLUSH_FAILED = "flush.failed"  # error
    PUBLISH_FAILED = "publish.failed"  # error
    DOCUMENT_REFUSED = "document.refused"  # key, error: an entitlement document that cannot be read
    ANNOUNCEMENTS_MISSED = "announcements.missed"  # last, heard: numbers; all documents held are read again
    WORKER_ENDED = "worker.ended"  # worker: its number; exit_code: below zero, the signal that killed it
    JOURNAL_DROPPED = "journal.dropped"  # path: of a gateway that ended, as too many were kept
    SWEEP_FAILED = "sweep.failed"
    OUTBOX_FAILED = "outbox.failed"  # error: live counters do not hear yet of what was decided
    GIVE_BACK_SHORT = "outbox.short"  # bucket, number, customer, counter, missing: less was counted than is given back
    UNEXPECTED = "unexpected"  # reference: what the caller was told; exception


KINDS_MAX: Final = 1000


class Seldom:
    """Writes an event that checks can cause at most once a second for each kind of it, with how many it stands for."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, int]] = {}

    def warning(self, kind: str, event: Event, **fields: object) -> None:
        """Log now, or count towards the next that is logged."""
        logged_s, passed_over = self._last.get(kind, (-math.inf, 0))
        now_s = time.monotonic()
        if now_s - logged_s < 1:
            self._last[kind] = (logged_s, passed_over + 1)
            return
        if len(self._last) >= KINDS_MAX:
            self._last.clear()
        self._last[kind] = (now_s, 0)
        log.warning(event, more=passed_over, **fields)


def configure(*, quiet: bool = False) -> None:
    """Write events to standard error, one line each, for people at a terminal and as JSON elsewhere.

    `quiet` leaves out what only says that all is well.
    """
    tty = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,  # without local variables: they hold addresses and passwords
            structlog.dev.ConsoleRenderer() if tty else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING if quiet else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


log: FilteringBoundLogger = structlog.get_logger()
