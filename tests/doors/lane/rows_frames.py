"""Each frame, each error, each field: a row for each case of h2spec's `http2` sections 6 to 8 and of its `hpack` part.

The sections are RFC 7540's and RFC 7541's, as the suite counts them.
"""

from __future__ import annotations

from typing import Final

from tests.doors.lane.steps import (
    HELLO,
    OF_GET,
    SHUT,
    WHOLE,
    Rows,
    acknowledged,
    answered,
    begun,
    breaks,
    brings,
    continued,
    data,
    get,
    goaway,
    goes_on,
    literal,
    ping,
    pong,
    post,
    resets,
    text,
    trailers,
    weight,
)
from tests.doors.lane.wire import (
    ACK,
    CLOSED,
    COMPRESSION,
    END_HEADERS,
    END_STREAM,
    FLOW,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PROTOCOL,
    PUSH,
    RST,
    SETTINGS,
    SIZE,
    WINDOW,
    raw,
    reset,
    settings,
    window,
)

_MOST: Final = 2**31 - 1
_PUSHED: Final = raw(PUSH, END_HEADERS, 1, bytes(4) + OF_GET)


def _malformed(block: bytes) -> tuple[bytes, ...]:
    """Send a block that is no request."""
    return HELLO, raw(HEADERS, WHOLE, 1, block)


FRAMES: Final[Rows] = {
    "6.1/1 DATA of no stream": (HELLO, data(stream_id=0), breaks(PROTOCOL)),
    "6.1/2 DATA of a stream that is at its end": (SHUT, get(), data(), resets(CLOSED), goes_on),
    "6.1/3 DATA of padding only, and more": (HELLO, post(), data(b"\x06Test", END_STREAM | PADDED), breaks(PROTOCOL)),
    "6.2/1 PRIORITY inside a block": (HELLO, begun(), weight(1), continued(), breaks(PROTOCOL)),
    "6.2/2 HEADERS inside another stream's block": (HELLO, begun(), begun(WHOLE, 3), continued(), breaks(PROTOCOL)),
    "6.2/3 HEADERS of no stream": (HELLO, get(stream_id=0), breaks(PROTOCOL)),
    "6.2/4 HEADERS of padding only, and more": (
        HELLO,
        raw(HEADERS, WHOLE | PADDED, 1, b"\x17" + OF_GET),
        breaks(PROTOCOL),
    ),
    "6.3/1 PRIORITY of no stream": (HELLO, weight(0, on=1), breaks(PROTOCOL)),
    "6.3/2 PRIORITY of 4 bytes": (HELLO, post(), raw(PRIORITY, 0, 1, bytes(4)), breaks(SIZE)),
    "6.4/1 RST_STREAM of no stream": (HELLO, reset(0), breaks(PROTOCOL)),
    "6.4/2 RST_STREAM of an idle stream": (HELLO, reset(1), breaks(PROTOCOL)),
    "6.4/3 RST_STREAM of 3 bytes": (HELLO, post(), raw(RST, 0, 1, bytes(3)), breaks(SIZE)),
    "6.5/1 SETTINGS that acknowledge and say something": (HELLO, raw(SETTINGS, ACK, 0, bytes(1)), breaks(SIZE)),
    "6.5/2 SETTINGS of a stream": (HELLO, raw(SETTINGS, 0, 1, b"\x00\x03\x00\x00\x00\x64"), breaks(PROTOCOL)),
    "6.5/3 SETTINGS of 3 bytes": (HELLO, raw(SETTINGS, 0, 0, bytes(3)), breaks(SIZE)),
    "6.5.2/1 ENABLE_PUSH that is neither 0 nor 1": (HELLO, settings(s2=2), breaks(PROTOCOL)),
    "6.5.2/2 INITIAL_WINDOW_SIZE that is none": (HELLO, settings(s4=2**31), breaks(FLOW)),
    "6.5.2/3 MAX_FRAME_SIZE that is too small": (HELLO, settings(s5=2**14 - 1), breaks(PROTOCOL)),
    "6.5.2/4 MAX_FRAME_SIZE that is too large": (HELLO, settings(s5=2**24), breaks(PROTOCOL)),
    "6.5.2/5 a setting that nobody knows": (HELLO, settings(s255=1), ping(), pong()),
    "6.5.3/1 the later of two values holds": (
        HELLO + raw(SETTINGS, 0, 0, settings(s4=100)[9:] + settings(s4=1)[9:]),
        get(),
        brings(1),
    ),
    "6.5.3/2 SETTINGS are acknowledged": (HELLO, settings(s2=0), acknowledged(2)),
    "6.7/1 PING": (HELLO, ping(), pong()),
    "6.7/2 PING that is an answer has none": (HELLO, raw(PING, ACK, 0, b"no reply"), ping(), pong()),
    "6.7/3 PING of a stream": (HELLO, raw(PING, 0, 1, bytes(8)), breaks(PROTOCOL)),
    "6.7/4 PING of 6 bytes": (HELLO, raw(PING, 0, 0, bytes(6)), breaks(SIZE)),
    "6.8/1 GOAWAY of a stream": (HELLO, raw(GOAWAY, 0, 1, bytes(8)), breaks(PROTOCOL)),
    "6.9/1 WINDOW_UPDATE by nothing": (HELLO, window(0, 0), breaks(PROTOCOL)),
    "6.9/2 WINDOW_UPDATE of a stream by nothing": (HELLO, post(), window(1, 0), resets(PROTOCOL), goes_on),
    "6.9/3 WINDOW_UPDATE of 3 bytes": (HELLO, raw(WINDOW, 0, 0, bytes(3)), breaks(SIZE)),
    "6.9.1/1 a window of 1": (HELLO + settings(s4=1), get(), brings(1)),
    "6.9.1/2 a connection's window that is none": (HELLO, window(0, _MOST), window(0, _MOST), breaks(FLOW)),
    "6.9.1/3 a stream's window that is none": (HELLO, post(), window(1, _MOST), window(1, _MOST), resets(FLOW)),
    "6.9.2/1 a window that opens later": (SHUT, get(), brings(), settings(s4=1), brings(1)),
    "6.9.2/2 a window below nothing": (
        HELLO + settings(s4=3),
        get(),
        brings(3),
        settings(s4=2) + window(1, 2),
        brings(3, 1),
    ),
    "6.9.2/3 a first window that is none": (HELLO, settings(s4=2**31), breaks(FLOW)),
    "6.10/1 two CONTINUATION": (HELLO, begun(END_STREAM), continued(0), continued(), answered()),
    "6.10/2 DATA inside a block": (HELLO, begun(), continued(0), data(), breaks(PROTOCOL)),
    "6.10/3 CONTINUATION of no stream": (HELLO, begun(END_STREAM), continued(stream_id=0), breaks(PROTOCOL)),
    "6.10/4 CONTINUATION after the end of a block": (HELLO, get(), continued(), breaks(PROTOCOL)),
    "6.10/5 CONTINUATION after one that ends a block": (
        HELLO,
        begun(END_STREAM),
        continued(),
        continued(),
        breaks(PROTOCOL),
    ),
    "6.10/6 CONTINUATION after DATA": (HELLO, post(), data(flags=0), continued(), breaks(PROTOCOL)),
    "7/1 GOAWAY with an error that nobody knows": (HELLO, goaway(0xFF), ping(), pong()),
    "7/2 RST_STREAM with an error that nobody knows": (HELLO, post(), reset(1, 0xFF), ping(), pong(), goes_on),
    "8.1/1 trailers that are not the end": (
        HELLO,
        post(),
        data(flags=0),
        trailers(0, literal(b"x-test", b"ok")),
        resets(PROTOCOL),
        goes_on,
    ),
    "8.1.2/1 a name in capitals": (*_malformed(OF_GET + literal(b"X-TEST", b"ok")), resets(PROTOCOL)),
    "8.1.2.1/1 a pseudo-field that nobody knows": (*_malformed(OF_GET + literal(b":test", b"ok")), resets(PROTOCOL)),
    "8.1.2.1/2 an answer's pseudo-field": (*_malformed(OF_GET + b"\x88"), resets(PROTOCOL)),
    "8.1.2.1/3 a pseudo-field in trailers": (
        HELLO,
        post(),
        data(flags=0),
        trailers(END_STREAM, b"\x83"),
        resets(PROTOCOL),
        goes_on,
    ),
    "8.1.2.1/4 a pseudo-field behind another": (
        *_malformed(b"\x82\x86" + literal(b"x-test", b"ok") + b"\x84"),
        resets(PROTOCOL),
    ),
    "8.1.2.2/1 a connection's field": (*_malformed(OF_GET + literal(b"connection", b"keep-alive")), resets(PROTOCOL)),
    "8.1.2.2/2 te that is not trailers": (*_malformed(OF_GET + literal(b"te", b"trailers, deflate")), resets(PROTOCOL)),
    "8.1.2.3/1 an empty path": (*_malformed(b"\x82\x86" + literal(4, b"")), resets(PROTOCOL)),
    "8.1.2.3/2 no method": (*_malformed(b"\x86\x84"), resets(PROTOCOL)),
    "8.1.2.3/3 no scheme": (*_malformed(b"\x82\x84"), resets(PROTOCOL)),
    "8.1.2.3/4 no path": (*_malformed(b"\x82\x86"), resets(PROTOCOL)),
    "8.1.2.3/5 two methods": (*_malformed(OF_GET + b"\x82"), resets(PROTOCOL)),
    "8.1.2.3/6 two schemes": (*_malformed(OF_GET + b"\x86"), resets(PROTOCOL)),
    "8.1.2.3/7 two paths": (*_malformed(OF_GET + b"\x84"), resets(PROTOCOL)),
    "8.1.2.6/1 DATA longer than was said": (HELLO, post(literal(b"content-length", b"1")), data(), resets(PROTOCOL)),
    "8.1.2.6/2 DATA in two frames longer than was said": (
        HELLO,
        post(literal(b"content-length", b"1")),
        data(flags=0),
        data(),
        resets(PROTOCOL),
        goes_on,
    ),
    "8.2/1 PUSH_PROMISE": (HELLO, _PUSHED, breaks(PROTOCOL)),
}

HPACK: Final[Rows] = {
    "2.3.3/1 an index beyond both tables": (*_malformed(OF_GET + b"\xc6"), breaks(COMPRESSION)),
    "4.2/1 a table's size behind a field": (*_malformed(OF_GET + b"\x21"), breaks(COMPRESSION)),
    "5.2/1 Huffman's code with a byte too many": (
        *_malformed(OF_GET + b"\x00" + text(b"x-test") + b"\x84\x49\x50\x9f\xff"),
        breaks(COMPRESSION),
    ),
    "5.2/2 Huffman's code padded with zeros": (
        *_malformed(OF_GET + b"\x00" + text(b"x-test") + b"\x83\x49\x50\x90"),
        breaks(COMPRESSION),
    ),
    "5.2/3 Huffman's code with its end in it": (
        *_malformed(OF_GET + b"\x00" + text(b"x-test") + b"\x84\xff\xff\xff\xff"),
        breaks(COMPRESSION),
    ),
    "6.1/1 the index 0": (*_malformed(OF_GET + b"\x80"), breaks(COMPRESSION)),
    "6.3/1 a table larger than was allowed": (*_malformed(b"\x3f\xe2\x1f" + OF_GET), breaks(COMPRESSION)),
}
