"""How much one peer, and all of them together, may ask of this process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

STREAM_WINDOW: Final = 65_535
"""What a stream may send unasked: the protocol's own start, so that no setting has to say it."""

CONNECTION_WINDOW: Final = 1_048_576
"""What a connection may send unasked: sixteen streams' worth, so that one large batch holds nobody up."""

HEADER_LIST_BYTES_MAX: Final = 32_768
"""Names, values and 32 bytes a field, as RFC 9113 counts: twice what gRPC clients keep below by themselves."""

HEADER_BLOCK_BYTES_MAX: Final = 65_536
"""A block on the wire is never longer than its list. One above the list's limit is read to its end and its call is
refused, so that a client that says too much loses one call; one above this costs the connection and all its calls."""

CONTINUATIONS_MAX: Final = 16
"""Eight full frames would do for the longest block that is allowed."""

KNOWN_BLOCKS_MAX: Final = 256
KNOWN_BLOCK_BYTES_MAX: Final = 1024
"""Blocks remembered for a connection: at most 256 KiB of what its peer chooses to send."""

PIECE_BYTES: Final = 32_768
"""How much is taken in before answers are let out: some six hundred calls, more than arrive in one turn."""

FORSAKEN_MAX: Final = 1000
"""Streams that we ended before their peer did, and whose last frames may still be on their way."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an operator or a test may set otherwise; a default's reason stands beside it."""

    message_bytes_max: int = 2 * 1024 * 1024  # the other door's, so that both refuse the same
    body_bytes_max: int = 16 * 1024 * 1024  # unfinished requests of one connection: forty of the largest batches
    streams_max: int = 1000  # a caller with a thousand calls in flight needs one connection
    in_flight_max: int = 20_000  # submitted and unanswered, all connections: a second's work, some 20 MiB
    connections_max: int = 16_384  # some 4 KiB each while they idle
    preface_s: float = 10.0  # from connecting to the first settings
    idle_s: float = 600.0  # without a call; a client connects again when it needs to
    slow_reader_s: float = 20.0  # with answers that it does not take
    over_s: float = 1.0  # after a call's deadline; nobody can still be about to end it
    farewell_s: float = 2.0  # for a peer that was told goodbye to take it
    look_s: float = 1.0  # how often these times are looked at
