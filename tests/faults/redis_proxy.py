"""A proxy between a gateway and Redis that can lose replies: the command runs, its answer never comes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class RedisProxy:
    """Forwards bytes both ways; `lose_reply_to` cuts the connection instead of forwarding one reply."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.lose_reply_to: bytes | None = None
        self.hold_replies = False
        self.lost = 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until either side is gone."""
        up_reader, up_writer = await asyncio.open_unix_connection(self._path)
        cut = asyncio.Event()
        self._writers |= {writer, up_writer}

        async def up() -> None:
            while data := await reader.read(65536):
                if self.lose_reply_to is not None and self.lose_reply_to in data:
                    self.lose_reply_to = None
                    cut.set()
                up_writer.write(data)
                await up_writer.drain()
            up_writer.close()

        async def down() -> None:
            while data := await up_reader.read(65536):
                while self.hold_replies:
                    await asyncio.sleep(0.01)
                if cut.is_set():  # Redis has answered, so it has run: the answer is dropped with the connection
                    self.lost += 1
                    break
                writer.write(data)
                await writer.drain()
            writer.close()

        try:
            await asyncio.gather(up(), down(), return_exceptions=True)
        finally:
            self._writers -= {writer, up_writer}

    def cut_all(self) -> None:
        """Cut every connection now."""
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def redis_proxy(redis_url: str, folder: Path) -> AsyncIterator[tuple[RedisProxy, str]]:
    """Run a proxy in front of a Redis on a unix socket; yields it and its URL."""
    parts = urlsplit(redis_url)
    proxy = RedisProxy(parts.path)
    path = folder / "proxy.sock"
    server = await asyncio.start_unix_server(proxy.serve, path)
    yield proxy, f"unix://{path}?{parts.query}"
    proxy.cut_all()
    server.close()
