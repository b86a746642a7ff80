"""What a customer's hash in Redis holds, read by somebody else's client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.counters import keys

if TYPE_CHECKING:
    import redis.asyncio


def packed(used: int, start_ms: int, rest: bytes = b"") -> bytes:
    """Write a counter as the scripts do."""
    return used.to_bytes(7, "big") + start_ms.to_bytes(6, "big") + rest


async def fields(redis: redis.asyncio.Redis, bucket: int, customer: str) -> dict[str, bytes]:
    """Read all fields of a customer's hash."""
    found = await redis.execute_command("HGETALL", keys.use(bucket, customer), NEVER_DECODE=True)
    return {name.decode(): value for name, value in found.items()}


async def counters(redis: redis.asyncio.Redis, bucket: int, customer: str) -> dict[str, tuple[int, int]]:
    """Read how much each counter of a customer has used, and since when."""
    found = await fields(redis, bucket, customer)
    return {
        name: (int.from_bytes(value[:7], "big"), int.from_bytes(value[7:13], "big"))
        for name, value in found.items()
        if not name.startswith(".")
    }
