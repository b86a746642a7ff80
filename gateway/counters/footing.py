"""On what a bucket is counted, as every script is told it first, and how a script is joined of its parts."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING

import msgspec

from gateway.counters import keys
from gateway.counters.connection import word

if TYPE_CHECKING:
    from typing import Final


class Footing(msgspec.Struct, frozen=True):
    """On what a bucket is counted: its line, and the name under which this gateway is registered there."""

    line: str
    gateway: str
    packed: bytes = b""
    packed_line: bytes = b""
    packed_gateway: bytes = b""

    @classmethod
    def of(cls, line: str, gateway: str) -> Footing:
        """Pack both as the scripts are told them."""
        packed_line, packed_gateway = line.encode(), gateway.encode()
        return cls(line, gateway, word(packed_line) + word(packed_gateway), packed_line, packed_gateway)


def script(name: str) -> str:
    """Read a script, with each line `-- include FILE` replaced by that file."""
    text = files("gateway.counters").joinpath(name).read_text(encoding="utf-8")
    return re.sub(r"^-- include (\S+)$", lambda included: script(included[1]), text, flags=re.MULTILINE)


BUCKETS: Final = [
    word(keys.head(bucket).encode()) + word(keys.usage(bucket).encode()) + word(keys.due(bucket).encode())
    for bucket in range(keys.BUCKETS)
]
"""The keys of each bucket with which the KEYS of every script that counts begin."""
