"""The library h2 as a client: it knows the protocol's rules for servers, and raises where one is broken."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from tests.doors.lane.wire import fields_of

if TYPE_CHECKING:
    from tests.doors.lane.wire import Served


async def test_the_library_h2_finds_nothing_wrong(served: Served) -> None:
    """It checks every frame that we send against its own idea of the protocol, through requests of all kinds."""
    reader, writer = await asyncio.open_unix_connection(served.address.removeprefix("unix:"))
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    client.update_settings({1: 0, 4: 10})
    answered: dict[int, bytes] = {}
    waiting = set(range(1, 41, 2))
    for stream_id in waiting:
        path = ("/test/Echo", "/test/Fail", "/test/Nothing", "/test/Much")[stream_id % 4 if stream_id % 8 < 4 else 0]
        client.send_headers(stream_id, fields_of(path))
        client.send_data(
            stream_id, b"\0\0\0\0\x06reused" if path == "/test/Fail" else b"\0\0\0\0\x0242", end_stream=True
        )
    async with asyncio.timeout(10):
        while waiting:
            writer.write(client.data_to_send())
            for event in client.receive_data(await reader.read(65_536)):
                if isinstance(event, h2.events.DataReceived):
                    answered[event.stream_id] = answered.get(event.stream_id, b"") + event.data
                    with contextlib.suppress(h2.exceptions.StreamClosedError):  # the end came in the same read
                        client.increment_flow_control_window(7, event.stream_id)
                if isinstance(event, h2.events.StreamEnded):
                    waiting.discard(event.stream_id)
                assert not isinstance(event, h2.events.ConnectionTerminated), event
    writer.close()
    assert any(answered.values())
