"""Header blocks: one that this connection has sent before is looked up whole, any other is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.lane.fields import FieldReader, HeaderListTooLargeError
from gateway.lane.limits import KNOWN_BLOCK_BYTES_MAX, KNOWN_BLOCKS_MAX
from gateway.lane.opening import Opening, check_trailers, opening_of
from gateway.lane.replies import LIST_TOO_LARGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.lane.call import Method


class Blocks:
    """The header blocks of one connection.

    A block's bytes mean what the table behind them makes of them. So a block is remembered only if reading it left the
    table as it was, and all are forgotten whenever the table becomes another.
    """

    __slots__ = ("_methods", "_reader", "known")

    def __init__(self, methods: Mapping[bytes, Method]) -> None:
        self._methods = methods
        self._reader = FieldReader()
        self.known: dict[bytes, Opening] = {}

    def opening(self, block: bytes) -> Opening:
        """Read a block that begins a request; raises MalformedRequestError and ConnectionFault."""
        changes = self._reader.changes
        try:
            opening = opening_of(self._reader.read(block), self._methods)
        except HeaderListTooLargeError:
            opening = Opening(refusal=LIST_TOO_LARGE)
        finally:
            if self._reader.changes != changes:
                self.known.clear()
        if self._reader.changes == changes and len(block) <= KNOWN_BLOCK_BYTES_MAX:
            if len(self.known) >= KNOWN_BLOCKS_MAX:
                self.known.clear()
            self.known[block] = opening
        return opening

    def trailers(self, block: bytes) -> None:
        """Read a block that ends a request; raises MalformedRequestError and ConnectionFault."""
        changes = self._reader.changes
        try:
            check_trailers(self._reader.read(block))
        except HeaderListTooLargeError:
            return
        finally:
            if self._reader.changes != changes:
                self.known.clear()
