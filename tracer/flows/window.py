"""The last minute of something that is added up: parts of it, of which the oldest is let go of."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

PART_NS = 10_000_000_000
PARTS = 7  # six whole ones are a minute; the last is being filled

Table = TypeVar("Table")


class Window(Generic[Table]):
    """Tables of PART_NS each: what is older than a minute, or a little more, is in none of them."""

    def __init__(self, make: Callable[[], Table], now_ns: int) -> None:
        self._make = make
        self._parts: deque[tuple[int, Table]] = deque([(now_ns, make())], maxlen=PARTS)

    @property
    def now(self) -> Table:
        """The table to add to."""
        return self._parts[-1][1]

    @property
    def tables(self) -> list[Table]:
        """All of them, oldest first."""
        return [table for _, table in self._parts]

    @property
    def since_ns(self) -> int:
        """When the oldest of them began."""
        return self._parts[0][0]

    def turn(self, now_ns: int) -> None:
        """Begin another table if the last is PART_NS old."""
        if now_ns >= self._parts[-1][0] + PART_NS:
            self._parts.append((now_ns, self._make()))
