"""A proxy between a gateway and a store that can lose replies: the command runs, its answer never comes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class StoreProxy:
    """Forwards bytes both ways, but for what a test asks for.

    `lose_reply_to` cuts the connection instead of forwarding one reply; `hold_request` keeps one request back until
    `release` is set; `away` refuses everybody.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.lose_reply_to: bytes | None = None
        self.lost = 0
        self.hold_request: bytes | None = None
        self.held = asyncio.Event()
        self.away = False
        self.release = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until either side is gone."""
        if self.away:
            writer.close()
            return
        up_reader, up_writer = await asyncio.open_unix_connection(self._path)
        cut = asyncio.Event()
        self._writers |= {writer, up_writer}

        async def up() -> None:
            while data := await reader.read(65536):
                if self.lose_reply_to is not None and self.lose_reply_to in data:
                    self.lose_reply_to = None
                    cut.set()
                if self.hold_request is not None and self.hold_request in data:
                    self.hold_request = None
                    self.held.set()
                    await self.release.wait()
                up_writer.write(data)
                await up_writer.drain()
            up_writer.close()

        async def down() -> None:
            while data := await up_reader.read(65536):
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
async def redis_proxy(redis_url: str, folder: Path) -> AsyncIterator[tuple[StoreProxy, str]]:
    """Run a proxy in front of a Redis on a unix socket; yields it and its URL."""
    parts = urlsplit(redis_url)
    path = folder / "proxy.sock"
    async with _proxy(parts.path, path) as proxy:
        yield proxy, f"unix://{path}?{parts.query}"


@asynccontextmanager
async def postgres_proxy(postgres_url: str, folder: Path) -> AsyncIterator[tuple[StoreProxy, str]]:
    """Run a proxy in front of a Postgres on a unix socket; yields it and its URL."""
    parts = urlsplit(postgres_url)
    where = parse_qs(parts.query)["host"][0]
    async with _proxy(f"{where}/.s.PGSQL.5432", folder / ".s.PGSQL.5432") as proxy:
        yield proxy, postgres_url.replace(where, str(folder))


@asynccontextmanager
async def _proxy(upstream: str, path: Path) -> AsyncIterator[StoreProxy]:
    proxy = StoreProxy(upstream)
    server = await asyncio.start_unix_server(proxy.serve, path)
    try:
        yield proxy
    finally:
        proxy.release.set()
        proxy.cut_all()
        server.close()
