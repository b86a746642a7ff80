"""How keys are named in Redis: a customer's bucket is one hash tag, so that one script reaches all of it."""

from __future__ import annotations

import zlib
from typing import Final

BUCKETS: Final = 64
"""Fixed when a deployment is born: a customer's bucket is a hash of its root modulo this."""

CHANGES: Final = "tollkeeper:changes"
"""The channel on which the name of every replaced document is announced, after a number: `<number> <name>`."""

ANNOUNCED: Final = "tollkeeper:announced"
"""Holds the number of the last announcement there; each has the next."""

PUBLISHED: Final = "published:l"
"""Holds the deployment's id once every document is there: before that, a missing document says nothing."""

PUBLISHING: Final = "-"
"""What it holds meanwhile."""

CREDENTIALS: Final = "tollkeeper:credentials"
"""Holds every credential in force."""

LINE_CHANGED: Final = "line"
"""What is announced there when the next epoch opens."""


def bucket_of(root: str) -> int:
    """Place a customer by the root of its hierarchy, so that a team and its organisation share a bucket."""
    return zlib.crc32(root.encode()) % BUCKETS


def tag(bucket: int) -> str:
    """Name a bucket as it stands in Postgres and in keys: live mode, then the number."""
    return f"l{bucket}"


def bucket_of_tag(name: str) -> int:
    """Read a bucket's name back."""
    return int(name.removeprefix("l"))


def head(bucket: int) -> str:
    """``{l17}:head``."""
    return f"{{{tag(bucket)}}}:head"


def use(bucket: int, customer: str) -> str:
    """``{l17}:use:<customer>``."""
    return f"{{{tag(bucket)}}}:use:{customer}"


def usage(bucket: int) -> str:
    """``{l17}:usage``."""
    return f"{{{tag(bucket)}}}:usage"


def idempotency(bucket: int, customer: str, digest: str) -> str:
    """``{l17}:idem:<customer>:<digest>``."""
    return f"{{{tag(bucket)}}}:idem:{customer}:{digest}"


def hold(bucket: int, customer: str) -> str:
    """``{l17}:hold:<customer>``."""
    return f"{{{tag(bucket)}}}:hold:{customer}"


def dues(bucket: int, customer: str) -> str:
    """``{l17}:dues:<customer>``."""
    return f"{{{tag(bucket)}}}:dues:{customer}"


def due(bucket: int) -> str:
    """``{l17}:due``."""
    return f"{{{tag(bucket)}}}:due"


def seat(bucket: int, customer: str, feature: str) -> str:
    """``{l17}:seat:<customer>:<feature>``."""
    return f"{{{tag(bucket)}}}:seat:{customer}:{feature}"
