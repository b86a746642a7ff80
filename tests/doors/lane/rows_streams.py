"""Frames, streams and their states: a row for each case of h2spec's `http2` sections 3 to 5, by section and number.

The sections are RFC 7540's, as the suite counts them.
"""

from __future__ import annotations

from struct import pack
from typing import Final

from gateway.lane.limits import Limits
from tests.doors.lane.steps import (
    HELLO,
    OF_GET,
    SHUT,
    WHOLE,
    Rows,
    answered,
    begun,
    breaks,
    continued,
    data,
    get,
    goes_on,
    greeted,
    ping,
    pong,
    post,
    resets,
    weight,
)
from tests.doors.lane.wire import (
    CLOSED,
    COMPRESSION,
    END_HEADERS,
    HAS_PRIORITY,
    HEADERS,
    PING,
    PROTOCOL,
    REFUSED,
    SIZE,
    raw,
    reset,
    window,
)

_LAST: Final = Limits().streams_max * 2 + 1
"""The first stream that is one too many."""

STREAMS: Final[Rows] = {
    "3.5/1 the preface": (HELLO, greeted, goes_on),
    "3.5/2 another preface": (b"ANOTHER PROTOCOL'S BEGINNING\r\n\r\n", breaks(PROTOCOL)),
    "4.1/1 a frame of a type that nobody knows": (HELLO, raw(0x16, 0, 0, bytes(8)), ping(), pong()),
    "4.1/2 flags that have no meaning": (HELLO, raw(PING, 0x16, 0, b"12345678"), pong(b"12345678")),
    "4.1/3 the reserved bit": (HELLO, raw(PING, 0x16, 1 << 31, b"12345678"), pong(b"12345678")),
    "4.2/1 the largest DATA": (HELLO, post(), data(bytes(16_384)), answered()),
    "4.2/2 DATA that is too large": (HELLO, post(), data(bytes(16_385)), breaks(SIZE)),
    "4.2/3 HEADERS that are too large": (HELLO, raw(HEADERS, WHOLE, 1, bytes(16_385)), breaks(SIZE)),
    "4.3/1 a block that cannot be read": (HELLO, raw(HEADERS, WHOLE, 1, b"\x40"), breaks(COMPRESSION)),
    "4.3/2 PRIORITY inside a block": (HELLO, begun(), weight(1), continued(), breaks(PROTOCOL)),
    "4.3/3 HEADERS of another stream inside a block": (
        HELLO,
        begun(),
        get(stream_id=3),
        continued(),
        breaks(PROTOCOL),
    ),
    "5.1/1 idle: DATA": (HELLO, data(), breaks(PROTOCOL)),
    "5.1/2 idle: RST_STREAM": (HELLO, reset(1), breaks(PROTOCOL)),
    "5.1/3 idle: WINDOW_UPDATE": (HELLO, window(1, 100), breaks(PROTOCOL)),
    "5.1/4 idle: CONTINUATION": (HELLO, continued(), breaks(PROTOCOL)),
    "5.1/5 half closed: DATA": (SHUT, get(), data(), resets(CLOSED), goes_on),
    "5.1/6 half closed: HEADERS": (SHUT, get(), get(), resets(CLOSED), goes_on),
    "5.1/7 half closed: CONTINUATION": (SHUT, get(), continued(), breaks(PROTOCOL)),
    "5.1/8 reset by its peer: DATA": (HELLO, post(), reset(1), data(), resets(CLOSED), goes_on),
    "5.1/9 reset by its peer: HEADERS": (HELLO, post(), reset(1), get(), breaks(CLOSED)),
    "5.1/10 reset by its peer: CONTINUATION": (HELLO, post(), reset(1), continued(), breaks(PROTOCOL)),
    "5.1/11 closed: DATA": (HELLO, get(), answered(), data(), resets(CLOSED), goes_on),
    "5.1/12 closed: HEADERS": (HELLO, get(), answered(), get(), breaks(CLOSED)),
    "5.1/13 closed: CONTINUATION": (HELLO, get(), answered(), continued(), breaks(PROTOCOL)),
    "5.1.1/1 a stream of a server's number": (HELLO, get(stream_id=2), breaks(PROTOCOL)),
    "5.1.1/2 a stream below the one before": (HELLO, get(stream_id=5), get(stream_id=3), breaks(PROTOCOL)),
    "5.1.2/1 one stream too many": (
        SHUT,
        *(get(stream_id=stream_id) for stream_id in range(1, _LAST + 1, 2)),
        resets(REFUSED, _LAST),
    ),
    "5.3.1/1 HEADERS that depend on themselves": (
        HELLO,
        raw(HEADERS, WHOLE | HAS_PRIORITY, 1, pack(">IB", 1, 255) + OF_GET),
        breaks(PROTOCOL),
    ),
    "5.3.1/2 PRIORITY on itself": (HELLO, weight(2, on=2), breaks(PROTOCOL)),
    "5.4.1/1 a PING of a stream ends the connection": (HELLO, raw(PING, 0, 3, bytes(8)), breaks(PROTOCOL)),
    "5.4.1/2 and GOAWAY says why": (HELLO, get(), answered(), raw(PING, 0, 3, bytes(8)), breaks(PROTOCOL)),
    "5.5/1 an extension's frame": (HELLO, raw(0x16, 0, 0, bytes(8)), ping(), pong(), goes_on),
    "5.5/2 an extension's frame inside a block": (
        HELLO,
        begun(),
        raw(0x16, END_HEADERS, 0, bytes(8)),
        breaks(PROTOCOL),
    ),
}
