"""A pool of connections to Postgres; what asyncpg raises stops here and becomes an error of ours."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self

import asyncpg

from gateway.errors import StoreCorruptError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from asyncpg.pool import PoolConnectionProxy

    Connection = PoolConnectionProxy[asyncpg.Record]
    Row = asyncpg.Record

CONNECTIONS_MAX = 8
COMMAND_TIMEOUT_S = 10
CONNECT_TIMEOUT_S = 5
TRANSACTION_S_MAX = 30

_UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.CannotConnectNowError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.UndefinedTableError,
    asyncpg.InsufficientPrivilegeError,
)


class Database:
    """Opens transactions."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect; raises StoreUnavailableError when Postgres does not answer."""
        with _door():
            pool = await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=CONNECTIONS_MAX,
                command_timeout=COMMAND_TIMEOUT_S,
                timeout=CONNECT_TIMEOUT_S,
                server_settings={"application_name": "tollkeeper", "timezone": "UTC"},
            )
        return cls(pool)

    async def close(self) -> None:
        """Give every connection back."""
        self._pool.terminate()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """One transaction: committed at the end, undone by an exception.

        What it wrote is on disk when it ends, whatever the server's own setting says.
        """
        with _door():
            async with (
                asyncio.timeout(TRANSACTION_S_MAX),
                self._pool.acquire(timeout=CONNECT_TIMEOUT_S) as connection,
                connection.transaction(),
            ):
                await connection.execute("SET LOCAL synchronous_commit = on")
                yield connection


@contextlib.contextmanager
def _door() -> Iterator[None]:
    try:
        yield
    except asyncpg.DataError as error:
        raise StoreCorruptError(f"Postgres takes no such value ({error})") from error
    except _UNAVAILABLE as error:
        raise StoreUnavailableError(f"Postgres: {str(error) or type(error).__name__}") from error
