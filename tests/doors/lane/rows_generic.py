"""What every HTTP/2 server must take: a row for each case of h2spec's `generic` part, by its section and number."""

from __future__ import annotations

from struct import pack
from typing import Final

from tests.doors.lane.steps import (
    ENTERS,
    HELLO,
    NEVER,
    OF_GET,
    SHUT,
    WHOLE,
    Rows,
    acknowledged,
    answered,
    begun,
    brings,
    continued,
    data,
    get,
    goaway,
    goes_on,
    greeted,
    literal,
    ping,
    pong,
    post,
    trailers,
    weight,
)
from tests.doors.lane.wire import (
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    HAS_PRIORITY,
    HEADERS,
    PADDED,
    raw,
    reset,
    settings,
    window,
)

AGENT: Final = 58
"""The static table's index of user-agent, without a value."""

NEW: Final = b"x-new"
GENERIC: Final[Rows] = {
    "1/1 the preface and settings": (HELLO, greeted),
    "2/1 PRIORITY of an idle stream": (HELLO, weight(1), ping(), pong()),
    "2/2 WINDOW_UPDATE of a half-closed stream": (SHUT, get(), window(1, 1), brings(1)),
    "2/3 PRIORITY of a half-closed stream": (SHUT, get(), weight(1), window(1, 1), brings(1)),
    "2/4 RST_STREAM of a half-closed stream": (SHUT, get(), reset(1), ping(), pong(), goes_on),
    "2/5 PRIORITY of a closed stream": (HELLO, get(), answered(), weight(1), ping(), pong(), goes_on),
    "3.1/1 DATA": (HELLO, post(), data(), answered()),
    "3.1/2 DATA in two frames": (HELLO, post(), data(flags=0), data(), answered()),
    "3.1/3 DATA with padding": (HELLO, post(), data(b"\x05test\0\0\0\0\0", END_STREAM | PADDED), answered()),
    "3.2/1 HEADERS": (HELLO, get(), answered()),
    "3.2/2 HEADERS with padding": (
        HELLO,
        raw(HEADERS, WHOLE | PADDED, 1, b"\x08" + OF_GET + bytes(8)),
        answered(),
    ),
    "3.2/3 HEADERS with a priority": (
        HELLO,
        raw(HEADERS, WHOLE | HAS_PRIORITY, 1, pack(">IB", 0, 255) + OF_GET),
        answered(),
    ),
    "3.3/1 the least weight": (HELLO, weight(1, weighs=0), get(), answered()),
    "3.3/2 the greatest weight": (HELLO, weight(1, weighs=255), get(), answered()),
    "3.3/3 a stream that depends on another": (HELLO, weight(3, on=1, weighs=0), get(), answered()),
    "3.3/4 a stream that wants its parent alone": (HELLO, weight(1, exclusive=True, weighs=0), get(), answered()),
    "3.3/5 PRIORITY opens no stream": (HELLO, weight(3), get(), answered()),
    "3.4/1 RST_STREAM": (HELLO, post(), reset(1), ping(), pong(), goes_on),
    "3.5/1 SETTINGS": (HELLO, settings(s1=4096, s2=1, s3=100, s4=65_535, s5=16_384, s6=100), acknowledged(2)),
    "3.7/1 PING": (HELLO, ping(b"12345678"), pong(b"12345678")),
    "3.8/1 GOAWAY": (HELLO, goaway(0), ping(), pong()),
    "3.9/1 WINDOW_UPDATE of the connection": (HELLO, window(0, 1), ping(), pong()),
    "3.9/2 WINDOW_UPDATE of a stream": (HELLO, get(), window(1, 1), answered()),
    "3.10/1 CONTINUATION": (HELLO, begun(END_STREAM), continued(), answered()),
    "3.10/2 CONTINUATION in two frames, cut in a field": (
        HELLO,
        raw(HEADERS, END_STREAM, 1, OF_GET[:2]),
        raw(CONTINUATION, 0, 1, OF_GET[2:5]),
        raw(CONTINUATION, END_HEADERS, 1, OF_GET[5:]),
        answered(),
    ),
    "4/1 GET": (HELLO, get(), answered()),
    "4/2 HEAD": (HELLO, raw(HEADERS, WHOLE, 1, literal(2, b"HEAD") + OF_GET[1:]), brings(ended=True)),
    "4/3 POST": (HELLO, post(), data(), answered()),
    "4/4 POST with trailers": (
        HELLO,
        post(literal(b"trailer", b"x-test")),
        data(flags=0),
        trailers(END_STREAM, literal(b"x-test", b"ok")),
        answered(),
    ),
    "5/1 a field of the static table": (HELLO, get(b"\xba"), answered()),
    "5/2 a field that enters the table, its name indexed": (HELLO, get(literal(AGENT, b"x", first=ENTERS)), answered()),
    "5/3 the same in Huffman's code": (HELLO, get(literal(AGENT, b"xyz", first=ENTERS, huffman=True)), answered()),
    "5/4 a field that enters the table, its name new": (HELLO, get(literal(NEW, b"x", first=ENTERS)), answered()),
    "5/5 the same in Huffman's code": (HELLO, get(literal(NEW, b"xyz", first=ENTERS, huffman=True)), answered()),
    "5/6 a field outside the table, its name indexed": (HELLO, get(literal(AGENT, b"x")), answered()),
    "5/7 the same in Huffman's code": (HELLO, get(literal(AGENT, b"xyz", huffman=True)), answered()),
    "5/8 a field outside the table, its name new": (HELLO, get(literal(NEW, b"x")), answered()),
    "5/9 the same in Huffman's code": (HELLO, get(literal(NEW, b"xyz", huffman=True)), answered()),
    "5/10 a field for no table, its name indexed": (
        HELLO,
        get(literal(AGENT, b"x", first=NEVER)),
        answered(),
    ),
    "5/11 the same in Huffman's code": (HELLO, get(literal(AGENT, b"xyz", first=NEVER, huffman=True)), answered()),
    "5/12 a field for no table, its name new": (HELLO, get(literal(NEW, b"x", first=NEVER)), answered()),
    "5/13 the same in Huffman's code": (HELLO, get(literal(NEW, b"xyz", first=NEVER, huffman=True)), answered()),
    "5/14 a smaller table": (HELLO, raw(HEADERS, WHOLE, 1, b"\x3f\x61" + OF_GET), answered()),
    "5/15 a smaller table, and the largest after it": (
        HELLO,
        raw(HEADERS, WHOLE, 1, b"\x3f\x61\x3f\xe1\x1f" + OF_GET),
        answered(),
    ),
}
