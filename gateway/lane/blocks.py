"""Header blocks: one that this connection has sent before is looked up whole, any other is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.lane.fields import FieldReader, HeaderListTooLargeError
from gateway.lane.limits import KNOWN_BLOCK_BYTES_MAX, KNOWN_BLOCKS_MAX
from gateway.lane.opening import TIMEOUT, MalformedRequestError, Opening, check_trailers, opening_of, timeout_s
from gateway.lane.replies import LIST_TOO_LARGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.lane.call import Method
    from gateway.lane.fields import Field


class Blocks:
    """The header blocks of one connection.

    A block's bytes mean what the table behind them makes of them. So a block is remembered only if reading it left the
    table as it was, and all are forgotten whenever the table becomes another.
    """

    __slots__ = ("_alike", "_methods", "_reader", "known")

    def __init__(self, methods: Mapping[bytes, Method]) -> None:
        self._methods = methods
        self._reader = FieldReader()
        self.known: dict[bytes, Opening] = {}
        self._alike: dict[tuple[object, ...], Opening] = {}
        """By all fields but the timeout, which a client that counts down to a deadline never sends twice."""

    def opening(self, block: bytes) -> Opening:
        """Read a block that begins a request; raises MalformedRequestError and ConnectionFault."""
        changes = self._reader.changes
        try:
            opening = self._opening_of(self._reader.read(block))
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

    def _opening_of(self, fields: list[Field]) -> Opening:
        names = [name for name, _ in fields]
        if TIMEOUT not in names:
            return opening_of(fields, self._methods)
        at = names.index(TIMEOUT)
        alike = at, *fields[:at], *fields[at + 1 :]
        found, seconds = self._alike.get(alike), timeout_s(fields[at][1])
        if found is not None and seconds is not None:
            return found._replace(timeout_s=seconds)
        opening = opening_of(fields, self._methods)
        if opening.refusal is None and sum(len(name) + len(value) for name, value in fields) <= KNOWN_BLOCK_BYTES_MAX:
            if len(self._alike) >= KNOWN_BLOCKS_MAX:
                self._alike.clear()
            self._alike[alike] = opening
        return opening

    def trailers(self, block: bytes) -> None:
        """Read a block that ends a request; raises MalformedRequestError and ConnectionFault."""
        changes = self._reader.changes
        try:
            check_trailers(self._reader.read(block))
        except HeaderListTooLargeError as error:
            raise MalformedRequestError("trailers are too large") from error
        finally:
            if self._reader.changes != changes:
                self.known.clear()
