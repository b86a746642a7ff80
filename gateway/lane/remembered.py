"""What was worked out for bytes that come again and again: bounded, and the least used goes first, roughly."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

Value = TypeVar("Value")

KEY_BYTES_MAX: Final = 256
"""A request with the longest ids fits; what is longer is rare, and would cost more memory than it saves time."""


class Remembered(Generic[Value]):
    """Two dictionaries: what is used moves into the young one, and when that is full, the old one is dropped."""

    __slots__ = ("_entries_max", "_old", "_young")

    def __init__(self, entries_max: int) -> None:
        """Hold no more than `entries_max`."""
        self._entries_max = entries_max // 2
        self._young: dict[bytes, Value] = {}
        self._old: dict[bytes, Value] = {}

    def get(self, key: bytes) -> Value | None:
        """Return what is held for these bytes."""
        value = self._young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.hold(key, value)
        return value

    def hold(self, key: bytes, value: Value) -> None:
        """Hold a value."""
        if len(key) > KEY_BYTES_MAX:
            return
        if len(self._young) >= self._entries_max:
            self._old, self._young = self._young, {}
        self._young[key] = value
